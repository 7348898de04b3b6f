/* Files that are wrong or meant to do harm: each ends in one line that says what, without crash, hang or large allocation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "io/gguf.h"
#include "support_file.h"
#include "support_tokenizer.h"

/* A tokenizer.json out of its parts; NULL stands for what is right. */
struct parts {
    const char *vocab, *merges, *added, *model, *pre, *rest, *type;
};

#define PRE "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true}"

static void write_json(struct buf *b, const struct parts *p)
{
    buf_printf(
        b, "{\"added_tokens\":[%s],\"pre_tokenizer\":%s,%s\"model\":{\"type\":\"%s\",%s\"vocab\":{%s},\"merges\":[%s]}}",
        p->added ? p->added : "", p->pre ? p->pre : PRE, p->rest ? p->rest : "", p->type ? p->type : "BPE",
        p->model ? p->model : "", p->vocab ? p->vocab : "\"a\":0,\"b\":1,\"ab\":2", p->merges ? p->merges : "\"a b\"");
}

static struct tokenizer *open_parts(struct ctx *c, const struct parts *p)
{
    struct buf b;
    buf_init(&b, c, 1 << 20);
    write_json(&b, p);
    assert_true(buf_ok(&b));
    struct tokenizer *t = tokenizer_open_json(c, test_file(b.data, b.len));
    buf_release(&b);
    return t;
}

#define DIGITS_1 "{\"type\":\"Digits\"},"
#define DIGITS_4 DIGITS_1 DIGITS_1 DIGITS_1 DIGITS_1

static const struct {
    const char *label;
    enum status status;
    const char *message;
    struct parts parts;
} bad[] = {
    {"merge of a stranger", E_INPUT, "merge 0 makes or takes \"c\"", {.merges = "\"a c\""}},
    {"merge into a stranger", E_INPUT, "\"ba\", which is not", {.merges = "\"a b\",\"b a\""}},
    {"merge without space", E_INPUT, "merge 0, \"ab\", is not two", {.merges = "\"ab\""}},
    {"merge of three", E_INPUT, "is not two tokens", {.merges = "\"a b a\""}},
    {"empty merge", E_INPUT, "merge 0, \"\"", {.merges = "\"\""}},
    {"merge pair of one", E_INPUT, "merge 0 is neither", {.merges = "[\"a\"]"}},
    {"merge of numbers", E_INPUT, "merge 0 is neither", {.merges = "[1,2]"}},
    {"one id twice", E_INPUT, "is given to both", {.vocab = "\"a\":0,\"b\":0"}},
    {"one text twice", E_INPUT, "", {.vocab = "\"a\":0,\"a\":1"}},
    {"negative id", E_INPUT, "is not an integer in", {.vocab = "\"a\":-1"}},
    {"id of 2^31", E_INPUT, "is not an integer in", {.vocab = "\"a\":2147483648"}},
    {"id past 64 bits", E_INPUT, "", {.vocab = "\"a\":99999999999999999999"}},
    {"id with a fraction", E_INPUT, "is not an integer in", {.vocab = "\"a\":1.5"}},
    {"id as text", E_INPUT, "is not an integer in", {.vocab = "\"a\":\"1\""}},
    {"large id, small file", E_INPUT, "is too large for a vocabulary of 2", {.vocab = "\"a\":0,\"b\":2147483647"}},
    {"large added id", E_INPUT, "is too large", {.added = "{\"content\":\"x\",\"id\":2000000000,\"special\":true}"}},
    {"no vocabulary", E_INPUT, "the vocabulary is empty", {.vocab = " ", .merges = " "}},
    {"no bytes", E_INPUT, "stands for a byte", {.vocab = "\"ab\":0", .merges = " "}},
    {"added without content", E_INPUT, "added_tokens[0] has no content", {.added = "{\"id\":7}"}},
    {"added without id", E_INPUT, "the id of token \"x\"", {.added = "{\"content\":\"x\"}"}},
    {"added under another id", E_INPUT, "is already token 0", {.added = "{\"content\":\"a\",\"id\":9}"}},
    {"added on a taken id", E_INPUT, "is given to both \"b\" and \"x\"", {.added = "{\"content\":\"x\",\"id\":1}"}},
    {"added twice",
     E_INPUT,
     "is already token 5",
     {.added = "{\"content\":\"x\",\"id\":5,\"special\":true},{\"content\":\"x\",\"id\":5,\"special\":true}"}},
    {"WordPiece", E_UNSUPPORTED, "\"WordPiece\"", {.type = "WordPiece"}},
    {"byte fallback", E_UNSUPPORTED, "byte_fallback", {.model = "\"byte_fallback\":true,"}},
    {"dropout", E_UNSUPPORTED, "dropout", {.model = "\"dropout\":0.1,"}},
    {"suffix", E_UNSUPPORTED, "end_of_word_suffix", {.model = "\"end_of_word_suffix\":\"</w>\","}},
    {"unknown unknown", E_INPUT, "unk_token \"zz\"", {.model = "\"unk_token\":\"zz\","}},
    {"normalizer", E_UNSUPPORTED, "normalizer \"Lowercase\"", {.rest = "\"normalizer\":{\"type\":\"Lowercase\"},"}},
    {"inner normalizer",
     E_UNSUPPORTED,
     "normalizer \"StripAccents\"",
     {.rest = "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"StripAccents\"}]},"}},
    {"no pre-tokenizer", E_UNSUPPORTED, "with no ByteLevel", {.pre = "null"}},
    {"Metaspace", E_UNSUPPORTED, "\"Metaspace (this", {.pre = "{\"type\":\"Metaspace\"}"}},
    {"prefix space",
     E_UNSUPPORTED,
     "add_prefix_space",
     {.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":"
             "true}]}"}},
    {"pattern",
     E_UNSUPPORTED,
     "pattern \"a(?>b)\": this kind of group (at byte 2)",
     {.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a(?>b)\"},\"behavior\":"
             "\"Isolated\",\"invert\":false}," PRE "]}"}},
    {"behavior",
     E_UNSUPPORTED,
     "Split behavior \"Sideways\"",
     {.pre =
          "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{N}\"},\"behavior\":"
          "\"Sideways\",\"invert\":true}," PRE "]}"}},
    {"many stages",
     E_UNSUPPORTED,
     "more than 12 stages",
     {.pre = "{\"type\":\"Sequence\",\"pretokenizers\":[" DIGITS_4 DIGITS_4 DIGITS_4 DIGITS_4 PRE "]}"}},
    {"post-processor", E_UNSUPPORTED, "\"BertProcessing\"", {.rest = "\"post_processor\":{\"type\":\"BertProcessing\"},"}},
    {"BOS out of range",
     E_INPUT,
     "is 77, which is not a token",
     {.rest = "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],"
              "\"special_tokens\":{\"x\":{\"id\":\"x\",\"ids\":[77]}}},"}},
    {"BOS without id",
     E_INPUT,
     "does not have one id",
     {.rest = "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]},"}},
    {"decoder", E_UNSUPPORTED, "decoder \"Metaspace\"", {.rest = "\"decoder\":{\"type\":\"Metaspace\"},"}},
};

static void test_bad_json(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c->alloc_peak = 0;
        struct tokenizer *t = open_parts(c, &bad[i].parts);
        if (t) fail_msg("%s: was accepted", bad[i].label);
        test_expect(c, bad[i].status, bad[i].message, bad[i].label);
        assert_int_equal(c->alloc_bytes, 0);
        assert_true(c->alloc_peak < 8 << 20);
    }
    struct tokenizer *t = open_parts(c, &(struct parts){.vocab = NULL});
    assert_non_null(t);
    tokenizer_free(t);
    ctx_free(c);
}

static void test_long_added_token(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct buf added;
    buf_init(&added, c, 1 << 16);
    buf_append_str(&added, "{\"id\":3,\"special\":true,\"content\":\"");
    for (int i = 0; i < 1025; i++) buf_append_char(&added, 'a');
    buf_append_str(&added, "\"}");
    assert_null(open_parts(c, &(struct parts){.added = buf_str(&added)}));
    test_expect(c, E_INPUT, "the limit is 1024", "long");
    buf_release(&added);
    ctx_free(c);
}

/* Holes between ids are legal; nothing is there. */
static void test_holes(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = open_parts(c, &(struct parts){.vocab = "\"a\":0,\"b\":900,\"ab\":7"});
    int32_t hole = 5;
    struct ids ids = {0};
    struct buf out;
    assert_non_null(t);
    assert_int_equal(tokenizer_vocab_size(t), 901);
    assert_null(tokenizer_token(t, hole));
    buf_init(&out, c, 10);
    assert_int_equal(tokenizer_decode(c, t, &hole, 1, false, &out), E_INPUT);
    test_expect(c, E_INPUT, "token id 5", "hole");
    assert_int_equal(tokenizer_encode(c, t, "babab", 5, false, &ids), OK);
    assert_int_equal(ids.n, 3);
    assert_int_equal(ids.data[0], 900);
    assert_int_equal(ids.data[1], 7);
    ids_release(c, &ids);
    buf_release(&out);
    tokenizer_free(t);
    ctx_free(c);
}

static void test_bad_configs(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text, *message;
    } cases[] = {
        {"tokenizer_config.json", "{", "tokenizer_config.json"},
        {"tokenizer_config.json", "{\"bos_token\":\"<none>\"}", "\"<none>\", which is not a token"},
        {"tokenizer_config.json", "[]", "tokenizer_config.json: this is no JSON object"},
        {"tokenizer_config.json", "{\"eos_token\":3}", "eos_token of tokenizer_config.json is not a text"},
        {"tokenizer_config.json", "{\"eos_token\":{\"text\":\"a\"}}", "eos_token of tokenizer_config.json is not a text"},
        {"special_tokens_map.json", "{\"bos_token\":[\"a\"]}", "bos_token of special_tokens_map.json is not a text"},
        {"tokenizer_config.json", "{\"add_bos_token\":1}", "add_bos_token of tokenizer_config.json is not true or false"},
        {"tokenizer_config.json", "{\"chat_template\":{}}", "chat_template of tokenizer_config.json is not a text"},
        {"special_tokens_map.json", "{\"eos_token\":{\"content\":\"<none>\"}}", "special_tokens_map.json"},
        {"generation_config.json", "{\"eos_token_id\":99999}", "is 99999, which is not a token"},
        {"generation_config.json", "{\"eos_token_id\":[1,-1]}", "is -1, which is not a token"},
        {"generation_config.json", "{\"eos_token_id\":\"2\"}", "is not an integer"},
        {"generation_config.json", "{\"bos_token_id\":4294967296}", "is 4294967296"},
    };
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const files[][2] = {{cases[i].file, cases[i].text}, {NULL, NULL}};
        assert_null(tokenizer_open(c, test_tokenizer_folder("smollm", files)));
        test_expect(c, E_INPUT, cases[i].message, cases[i].text);
    }
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static char left_out_told[1000];

static void log_left_out(void *user, enum log_level level, const char *message)
{
    (void)user;
    size_t n = strlen(left_out_told);
    snprintf(left_out_told + n, sizeof left_out_told - n, "%d %s\n", level == LOG_WARN, message);
}

/* A byte without a token is left out, as in the reference, and that is said once. */
static void test_left_out(void **state)
{
    (void)state;
    struct ctx_hooks hooks = {.log = log_left_out};
    struct ctx *c = ctx_new(&hooks);
    struct tokenizer *t = open_parts(c, &(struct parts){0});
    assert_non_null(t);
    struct ids ids = {0};
    left_out_told[0] = 0;
    assert_int_equal(tokenizer_encode(c, t, "abba", 4, false, &ids), OK);
    assert_string_equal(left_out_told, "");
    ids.n = 0;
    for (int i = 0; i < 2; i++) assert_int_equal(tokenizer_encode(c, t, "axxb", 4, false, &ids), OK);
    assert_int_equal(ids.n, 2); /* "ab", twice: x is not there */
    assert_non_null(strstr(left_out_told, "begins with byte 0x78"));
    assert_int_equal(left_out_told[0], '1');
    assert_null(strchr(strchr(left_out_told, '\n') + 1, '\n'));
    ids_release(c, &ids);
    tokenizer_free(t);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* ---- GGUF ---- */

/* Little-endian pieces of a GGUF v3 file. */
static void put(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) buf_append_char(b, (char)(v >> (8 * i)));
}
static void put_string(struct buf *b, const char *s)
{
    put(b, strlen(s), 8);
    buf_append_str(b, s);
}
static void put_key(struct buf *b, const char *key, enum gguf_kind kind)
{
    put_string(b, key);
    put(b, kind, 4);
}
static void put_text(struct buf *b, const char *key, const char *value)
{
    put_key(b, key, GGUF_STRING);
    put_string(b, value);
}
/* Strings up to a NULL. */
static void put_list(struct buf *b, const char *key, const char *const *items)
{
    size_t n = 0;
    while (items[n]) n++;
    put_key(b, key, GGUF_ARRAY);
    put(b, GGUF_STRING, 4);
    put(b, n, 8);
    for (size_t i = 0; i < n; i++) put_string(b, items[i]);
}

/* A tokenizer of five tokens, and one defect. */
struct gguf_parts {
    const char *model, *pre;
    const char *tokens[6], *merges[4];
    int32_t types[6];
    size_t n_types;
    int64_t eos; /* -1: none */
};

static struct tokenizer *open_gguf(struct ctx *c, const struct gguf_parts *p)
{
    struct buf b;
    buf_init(&b, c, 1 << 16);
    buf_append_str(&b, "GGUF");
    put(&b, 3, 4);
    put(&b, 0, 8);
    put(&b, 3u + !!p->model + !!p->pre + (p->eos >= 0), 8);
    if (p->model) put_text(&b, "tokenizer.ggml.model", p->model);
    if (p->pre) put_text(&b, "tokenizer.ggml.pre", p->pre);
    put_list(&b, "tokenizer.ggml.tokens", p->tokens);
    put_list(&b, "tokenizer.ggml.merges", p->merges);
    put_key(&b, "tokenizer.ggml.token_type", GGUF_ARRAY);
    put(&b, GGUF_I32, 4);
    put(&b, p->n_types, 8);
    for (size_t i = 0; i < p->n_types; i++) put(&b, (uint32_t)p->types[i], 4);
    if (p->eos >= 0) {
        put_key(&b, "tokenizer.ggml.eos_token_id", GGUF_U32);
        put(&b, (uint64_t)p->eos, 4);
    }
    while (b.len % 32) buf_append_char(&b, 0);
    struct gguf *g = gguf_open(c, test_file(b.data, b.len));
    buf_release(&b);
    if (!g) fail_msg("%s", c->message);
    struct tokenizer *t = tokenizer_open_gguf(c, g);
    gguf_close(g);
    return t;
}

#define GOOD "gpt2", "gpt-2", {"a", "b", "ab", "<eos>", "<pad>"}, {"a b"}, {1, 1, 1, 3, 5}, 5

static void test_gguf(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct ids ids = {0};
    struct tokenizer *t = open_gguf(c, &(struct gguf_parts){GOOD, 3});
    if (!t) fail_msg("%s", c->message);
    assert_int_equal(tokenizer_eos(t), 3);
    assert_int_equal(tokenizer_bos(t), -1);
    assert_int_equal(tokenizer_encode(c, t, "ab<eos>b", 8, true, &ids), OK);
    assert_int_equal(ids.n, 3);
    assert_int_equal(ids.data[0], 2);
    assert_int_equal(ids.data[1], 3);
    assert_int_equal(tokenizer_find(t, "<pad>"), -1);
    ids_release(c, &ids);
    tokenizer_free(t);
    t = open_gguf(c, &(struct gguf_parts){GOOD, UINT32_MAX}); /* llama.cpp's "none" */
    assert_non_null(t);
    assert_int_equal(tokenizer_eos(t), -1);
    tokenizer_free(t);
    ctx_free(c);
}

static void test_bad_gguf(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        enum status status;
        const char *message;
        struct gguf_parts parts;
    } cases[] = {
        {"no model", E_INPUT, "no tokenizer.ggml.model", {NULL, "gpt-2", {"a"}, {NULL}, {1}, 1, -1}},
        {"other model", E_UNSUPPORTED, "\"bert\"", {"bert", "gpt-2", {"a"}, {NULL}, {1}, 1, -1}},
        {"no pre", E_UNSUPPORTED, "no tokenizer.ggml.pre", {"gpt2", NULL, {"a"}, {NULL}, {1}, 1, -1}},
        {"other pre", E_UNSUPPORTED, "\"kimi-k2\"", {"gpt2", "kimi-k2", {"a"}, {NULL}, {1}, 1, -1}},
        {"no tokens", E_INPUT, "the vocabulary is empty", {"gpt2", "gpt-2", {NULL}, {NULL}, {0}, 0, -1}},
        {"types too short", E_INPUT, "as long as", {"gpt2", "gpt-2", {"a", "b"}, {NULL}, {1}, 1, -1}},
        {"type 9", E_INPUT, "has type 9", {"gpt2", "gpt-2", {"a", "b"}, {NULL}, {1, 9}, 2, -1}},
        {"type -1", E_INPUT, "has type -1", {"gpt2", "gpt-2", {"a", "b"}, {NULL}, {1, -1}, 2, -1}},
        {"text twice", E_INPUT, "two tokens are spelled", {"gpt2", "gpt-2", {"a", "a"}, {NULL}, {1, 1}, 2, -1}},
        {"merge of a stranger", E_INPUT, "\"c\", which", {"gpt2", "gpt-2", {"a", "b"}, {"a c"}, {1, 1}, 2, -1}},
        {"merge line", E_INPUT, "is not two tokens", {"gpt2", "gpt-2", {"a", "b"}, {"ab"}, {1, 1}, 2, -1}},
        {"EOS out of range", E_INPUT, "eos_token_id is 2,", {"gpt2", "gpt-2", {"a", "b"}, {NULL}, {1, 1}, 2, 2}},
        {"EOS of 2^31", E_INPUT, "eos_token_id is 2147483648", {"gpt2", "gpt-2", {"a"}, {NULL}, {1}, 1, INT64_C(1) << 31}},
    };
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *t = open_gguf(c, &cases[i].parts);
        if (t) fail_msg("%s: was accepted", cases[i].label);
        test_expect(c, cases[i].status, cases[i].message, cases[i].label);
        assert_int_equal(c->alloc_bytes, 0);
    }
    ctx_free(c);
}

/* ---- damage at random ---- */

/* A right file with some bytes changed, cut out or doubled: refused, or a tokenizer that works. */
static void test_damaged_json(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[]\",:0123456789-e\\u ab\xC3\xFF";
    struct ctx *c = ctx_new(NULL);
    struct rng r;
    size_t n, accepted = 0;
    char *right = test_load(TEST_DATA "/io/tokenizer/added/tokenizer.json", &n), *bytes = malloc(2 * n);
    rng_init(&r, 4, RNG_TEST, 0);
    for (int round = 0; round < 400; round++) {
        size_t len = n, at = rng_below(&r, n), part = rng_below(&r, 40);
        memcpy(bytes, right, n);
        if (round % 3 == 0 && at + part < n) { /* cut out */
            memmove(bytes + at, bytes + at + part, n - at - part);
            len -= part;
        } else {
            for (uint64_t k = 1 + rng_below(&r, 3); k > 0; k--)
                bytes[rng_below(&r, n)] = alphabet[rng_below(&r, sizeof alphabet - 1)];
        }
        struct tokenizer *t = tokenizer_open_json(c, test_file(bytes, len));
        if (t) {
            struct ids ids = {0};
            assert_int_equal(tokenizer_encode(c, t, right, 2000, true, &ids), OK);
            ids_release(c, &ids);
            tokenizer_free(t);
            accepted++;
        } else {
            assert_true(c->status == E_INPUT || c->status == E_UNSUPPORTED);
        }
        ctx_clear(c);
        assert_int_equal(c->alloc_bytes, 0);
    }
    assert_in_range(accepted, 10, 390); /* both ways were taken */
    free(bytes);
    free(right);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_json),    cmocka_unit_test(test_long_added_token), cmocka_unit_test(test_holes),
        cmocka_unit_test(test_bad_configs), cmocka_unit_test(test_left_out),         cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_bad_gguf),    cmocka_unit_test(test_damaged_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
