/* Ids against the reference (golden cases made by tools/gen_tokenizer_golden.py and llama.cpp's vocabulary tests), and the
 * way back to the same bytes. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/sha256.h"
#include "io/gguf.h"
#include "io/tokenizer/pretokenizer.h"
#include "io/tokenizer/unicode.h"
#include "support_file.h"
#include "support_tokenizer.h"

#define CORPORA SHARED_DIR "/corpora/"

/* ---- golden cases of the small tokenizers ---- */

static void golden_row(struct ctx *c, const json_t *row, void *user)
{
    const json_t *text = json_object_get(row, "text");
    bool special = json_is_true(json_object_get(row, "special"));
    struct ids ids = {0};
    enum status st = tokenizer_encode(c, user, json_string_value(text), json_string_length(text), special, &ids);
    if (st != OK) fail_msg("%s", c->message);
    char *label = json_dumps(row, 0);
    test_ids_equal(&ids, json_object_get(row, "ids"), label);
    free(label);
    ids_release(c, &ids);
}

static void golden(const char *name)
{
    char file[128];
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, name);
    snprintf(file, sizeof file, "tokenizer/%s/cases.jsonl", name);
    assert_true(test_each_line(c, file, golden_row, t) > 400);
    tokenizer_free(t);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void test_golden_gpt2(void **state)
{
    (void)state;
    golden("gpt2");
}
static void test_golden_llama3(void **state)
{
    (void)state;
    golden("llama3");
}
static void test_golden_qwen(void **state)
{
    (void)state;
    golden("qwen");
}
static void test_golden_smollm(void **state)
{
    (void)state;
    golden("smollm");
}
static void test_golden_default(void **state)
{
    (void)state;
    golden("default");
}
static void test_golden_added(void **state)
{
    (void)state;
    golden("added");
}

/* Borders of pieces show in ids only where a merge would cross them, so they are compared themselves. */
static void pieces_row(struct ctx *c, const json_t *row, void *user)
{
    (void)user;
    const char *name = json_string_value(json_object_get(row, "pre"));
    const json_t *text = json_object_get(row, "text"), *want = json_object_get(row, "bytes");
    const struct pretokenizer_rules *rules = pretokenizer_rules_find(name, strlen(name));
    char *label = json_dumps(row, 0);
    assert_non_null(rules);
    for (int plain = 0; plain < 2; plain++) { /* by the scanners written by hand, and by the general matcher */
        struct pretokenizer pre = {0};
        struct pretokenizer_walk w;
        assert_int_equal(pretokenizer_from_rules(c, &pre, name, rules, plain), OK);
        assert_int_equal(pretokenizer_walk_init(c, &w, &pre), OK);
        pretokenizer_start(&w, json_string_value(text), json_string_length(text));
        for (size_t i = 0; i <= json_array_size(want); i++) {
            const char *piece;
            size_t bytes;
            assert_int_equal(pretokenizer_next(c, &w, &piece, &bytes), OK);
            if ((json_int_t)bytes != json_integer_value(json_array_get(want, i)))
                fail_msg("piece %zu has %zu bytes: %s", i, bytes, label);
        }
        pretokenizer_walk_release(c, &w);
        pretokenizer_release(&pre);
    }
    free(label);
}

static void test_golden_pieces(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_true(test_each_line(c, "tokenizer/pieces.jsonl", pieces_row, NULL) > 2000);
    ctx_free(c);
}

/* Pieces of a normalised section are remembered by their place in a buffer that the next section writes over. */
static void test_sections(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, "qwen");
    struct ids whole = {0}, parts = {0};
    struct buf text;
    struct rng r;
    rng_init(&r, 5, RNG_TEST, 0);
    buf_init(&text, c, 1 << 20);
    for (int i = 0; i < 400; i++) {
        char section[] = "e\xCC\x81 aaaa aaaa aaaa<|im_end|>";
        for (size_t k = 0; section[k] != '<'; k++)
            if (section[k] == 'a') section[k] = "aeinst"[rng_below(&r, 6)];
        buf_append_str(&text, section);
        assert_int_equal(tokenizer_encode(c, t, section, strlen(section), true, &parts), OK);
    }
    assert_int_equal(tokenizer_encode(c, t, text.data, text.len, true, &whole), OK);
    assert_int_equal(whole.n, parts.n);
    assert_memory_equal(whole.data, parts.data, whole.n * sizeof *whole.data);
    buf_release(&text);
    ids_release(c, &whole);
    ids_release(c, &parts);
    tokenizer_free(t);
    ctx_free(c);
}

/* ---- llama.cpp's cases ---- */

/* Both files are cut in place; a case is the text before a line of its own that says __ggml_vocab_test__. */
static void vocab_cases(const char *name, const char *model)
{
    static const char border[] = "\n__ggml_vocab_test__\n";
    char path[512];
    size_t n, n_out, cases = 0;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer(c, model);
    snprintf(path, sizeof path, CORPORA "vocab/ggml-vocab-%s.gguf.inp", name);
    char *in = test_load(path, &n), *text = in;
    snprintf(path, sizeof path, CORPORA "vocab/ggml-vocab-%s.gguf.out", name);
    char *out = test_load(path, &n_out), *want = out;
    for (char *end; (end = memmem(text, n - (size_t)(text - in), border, strlen(border))) != NULL; cases++) {
        struct ids ids = {0};
        assert_int_equal(tokenizer_encode(c, t, text, (size_t)(end - text), false, &ids), OK);
        for (size_t i = 0; i < ids.n; i++) {
            char *next;
            long id = strtol(want, &next, 10);
            if (next == want || id != ids.data[i])
                fail_msg("%s case %zu: id %zu is %d, not %ld", name, cases, i, ids.data[i], id);
            want = next;
        }
        while (*want == ' ') want++;
        if (*want++ != '\n') fail_msg("%s case %zu: ids are missing after %zu", name, cases, ids.n);
        ids_release(c, &ids);
        text = end + strlen(border);
    }
    assert_int_equal(cases, 46);
    free(in);
    free(out);
    tokenizer_free(t);
    ctx_free(c);
}

static void test_vocab_cases(void **state)
{
    (void)state;
    vocab_cases("llama-spm", CORPORA "vocab/ggml-vocab-llama-spm.gguf");
    vocab_cases("deepseek-llm", CORPORA "vocab/ggml-vocab-deepseek-llm.gguf");
    vocab_cases("gpt-2", CORPORA "vocab/ggml-vocab-gpt-2.gguf");
    vocab_cases("starcoder", CORPORA "vocab/ggml-vocab-starcoder.gguf");
    vocab_cases("llama-bpe", CORPORA "tokenizers/llama3");
    vocab_cases("qwen2", CORPORA "tokenizers/qwen3");
}

/* ---- there and back ---- */

/* decode(encode(text)); with an NFC tokenizer the text must be in NFC. */
static void round_trip(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special)
{
    struct ids ids = {0};
    struct buf back;
    buf_init(&back, c, 4 * n + 64);
    assert_int_equal(tokenizer_encode(c, t, text, n, special, &ids), OK);
    assert_int_equal(tokenizer_decode(c, t, ids.data, ids.n, false, &back), OK);
    if (back.len != n || (n > 0 && memcmp(back.data, text, n) != 0))
        fail_msg("%zu bytes came back as %zu others", n, back.len);
    buf_release(&back);
    ids_release(c, &ids);
}

/* Bytes from all values, or mostly from a few that make long pieces and broken characters. */
static void random_bytes(struct rng *r, char *bytes, size_t n)
{
    static const char few[] = " \n'sa0\xCC\x81\xE2\x80\xA8\xF0\xFF<|";
    bool all = rng_below(r, 2);
    for (size_t i = 0; i < n; i++) bytes[i] = all ? (char)rng_below(r, 256) : few[rng_below(r, sizeof few - 1)];
}

static void test_round_trip_bytes(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "llama3", "default"};
    struct ctx *c = ctx_new(NULL);
    struct rng r;
    char bytes[700];
    rng_init(&r, 1, RNG_TEST, 0);
    for (int k = 0; k < 3; k++) {
        struct tokenizer *t = test_tokenizer_named(c, names[k]);
        for (int i = 0; i < 3000; i++) {
            size_t n = rng_below(&r, i % 10 ? 60 : sizeof bytes);
            random_bytes(&r, bytes, n);
            round_trip(c, t, bytes, n, i % 2);
        }
        tokenizer_free(t);
    }
    ctx_free(c);
}

/* With NFC the promise is decode(encode(x)) == NFC(x), and NFC(NFC(x)) == NFC(x); bytes that are no UTF-8 stay. */
static void test_round_trip_nfc(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, "qwen");
    struct rng r;
    char bytes[200];
    rng_init(&r, 2, RNG_TEST, 0);
    for (int i = 0; i < 5000; i++) {
        size_t n = rng_below(&r, sizeof bytes);
        struct buf normal;
        random_bytes(&r, bytes, n);
        buf_init(&normal, c, 4096);
        assert_int_equal(unicode_normalize(c, UNICODE_NFC, bytes, n, &normal, NULL), OK);
        round_trip(c, t, buf_str(&normal), normal.len, false);
        buf_release(&normal);
    }
    tokenizer_free(t);
    ctx_free(c);
}

static void test_round_trip_texts(void **state)
{
    (void)state;
    static const char *const models[] = {CORPORA "vocab/ggml-vocab-gpt-2.gguf", CORPORA "tokenizers/llama3",
                                         CORPORA "tokenizers/qwen3"};
    struct ctx *c = ctx_new(NULL);
    size_t n;
    char *novel = test_load(CORPORA "text/botchan.txt", &n);
    json_t *naughty = json_parse_file(c, CORPORA "text/blns.json", 1 << 20);
    if (!naughty) fail_msg("missing test data: %s", c->message);
    assert_true(json_array_size(naughty) > 500);
    for (int k = 0; k < 3; k++) {
        struct tokenizer *t = test_tokenizer(c, models[k]);
        round_trip(c, t, novel, n, true);
        for (size_t i = 0; i < json_array_size(naughty); i++) {
            const json_t *s = json_array_get(naughty, i);
            struct buf normal; /* a few of the strings are not in NFC */
            buf_init(&normal, c, 1 << 20);
            assert_int_equal(unicode_normalize(c, UNICODE_NFC, json_string_value(s), json_string_length(s), &normal, NULL),
                             OK);
            round_trip(c, t, buf_str(&normal), normal.len, true);
            if (k < 2) round_trip(c, t, json_string_value(s), json_string_length(s), true);
            buf_release(&normal);
        }
        tokenizer_free(t);
    }
    json_decref(naughty);
    free(novel);
    ctx_free(c);
}

/* Ten megabytes that a quadratic step would take hours for. Times are shown, not judged. */
static void long_text(struct ctx *c, const struct tokenizer *t, const char *what, const char *unit)
{
    size_t n = 10000000, u = strlen(unit);
    struct buf text, normal;
    buf_init(&text, c, n);
    buf_init(&normal, c, 3 * n);
    while (text.len + u <= n) buf_append(&text, unit, u);
    clock_t start = clock();
    assert_int_equal(unicode_normalize(c, UNICODE_NFC, text.data, text.len, &normal, NULL), OK);
    round_trip(c, t, normal.data, normal.len, true);
    print_message("%s: %.0f ns a byte, there and back\n", what,
                  1e9 * (double)(clock() - start) / CLOCKS_PER_SEC / (double)text.len);
    buf_release(&text);
    buf_release(&normal);
}

static void test_linear_time(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, "qwen");
    long_text(c, t, "prose", "It was the best of times, it was the worst of times; we had 12 things. ");
    long_text(c, t, "one letter", "a");
    long_text(c, t, "spaces", " ");
    long_text(c, t, "combining marks", "\xCC\x81");
    long_text(c, t, "marks in two classes", "\xCC\xA3\xCC\x81\xCC\x81");
    long_text(c, t, "open control tokens", "<|im_star");
    assert_true(c->alloc_peak < (size_t)40 * 10000000);
    tokenizer_free(t);
    ctx_free(c);
}

/* ---- classes ---- */

/* The whole table against a digest that the generator took from the reference, code point by code point. */
static void test_classes(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *want = json_parse_file(c, TEST_DATA "/io/tokenizer/classes.json", 4096);
    assert_non_null(want);
    uint8_t *table = malloc(0x110000);
    struct sha256 sha;
    uint8_t digest[32];
    char hex[65];
    for (uint32_t cp = 0; cp < 0x110000; cp++) table[cp] = (uint8_t)(unicode_class(cp) & (UNICODE_INERT - 1));
    sha256_init(&sha);
    sha256_update(&sha, table, 0x110000);
    sha256_final(&sha, digest);
    sha256_hex(digest, hex);
    assert_string_equal(hex, json_string_value(json_object_get(want, "sha256")));
    assert_int_equal(unicode_class('a'), UNICODE_LETTER | UNICODE_WORD);
    assert_int_equal(unicode_class(0x3000), UNICODE_SPACE);
    assert_int_equal(unicode_class(UNICODE_INVALID), 0);
    assert_int_equal(unicode_class(UINT32_MAX), 0);
    free(table);
    json_decref(want);
    ctx_free(c);
}

/* ---- NFC ---- */

static void nfc(struct ctx *c, const char *in, size_t n, const char *want, size_t n_want)
{
    struct buf out;
    buf_init(&out, c, 1 << 20);
    assert_int_equal(unicode_normalize(c, UNICODE_NFC, in, n, &out, NULL), OK);
    assert_int_equal(out.len, n_want);
    assert_memory_equal(buf_str(&out), want, n_want);
    buf_release(&out);
}
#define NFC(in, want) nfc(c, in, sizeof in - 1, want, sizeof want - 1)

static void test_nfc(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    NFC("", "");
    NFC("plain", "plain");
    NFC("e\xCC\x81", "\xC3\xA9"); /* e + acute */
    NFC("xe\xCC\x81y", "x\xC3\xA9y");
    NFC("\xC3\xA9\xCC\xA3", "\xE1\xBA\xB9\xCC\x81");             /* e-acute + dot below: reordered, then composed */
    NFC("\xE2\x84\xAB", "\xC3\x85");                             /* the Angstrom sign is A with ring */
    NFC("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"); /* Hangul letters make a syllable */
    NFC("\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC");             /* excluded from composition */
    NFC("\xFF\xCC\x81", "\xFF\xCC\x81");                         /* a broken byte is no base */
    NFC("e\xFF\xCC\x81", "e\xFF\xCC\x81");
    NFC("e\xCC", "e\xCC"); /* cut off */
    NFC("\xE4\xB8\xAD\xCC\x81", "\xE4\xB8\xAD\xCC\x81");
    NFC("x\xE0\xA7\xBE\xCC\xA3", "x\xE0\xA7\xBE\xCC\xA3"); /* too new for the reference: does not move */
    ctx_free(c);
}

/* A run of marks longer than insertion sort takes comes out ordered by class, equal classes in their order. */
static void test_nfc_long_run(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    char in[1 + 4 * 100], want[1 + 4 * 100];
    in[0] = want[0] = 'x';
    for (int i = 0; i < 100; i++) {
        memcpy(in + 1 + 4 * i, i % 2 ? "\xCC\x81\xCC\xA3" : "\xCC\x80\xCC\xA4", 4);
        memcpy(want + 1 + 2 * i, i % 2 ? "\xCC\xA3" : "\xCC\xA4", 2);
        memcpy(want + 201 + 2 * i, i % 2 ? "\xCC\x81" : "\xCC\x80", 2);
    }
    nfc(c, in, sizeof in, want, sizeof want);
    ctx_free(c);
}

/* ---- the rest of the interface ---- */

static void test_special_tokens(void **state)
{
    (void)state;
    static const char text[] = "<|im_start|>system<think>";
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, "qwen");
    int32_t start = tokenizer_find(t, "<|im_start|>"), think = tokenizer_find(t, "<think>");
    assert_true(start >= 0 && think >= 0);
    assert_true(tokenizer_is_special(t, start) && !tokenizer_is_special(t, think));
    assert_int_equal(tokenizer_find(t, "a"), -1); /* a token, but not an added one */
    for (int special = 0; special < 2; special++) {
        struct ids ids = {0};
        assert_int_equal(tokenizer_encode(c, t, text, strlen(text), special, &ids), OK);
        assert_int_equal(ids.data[0] == start, special);
        for (size_t i = 1; i < ids.n; i++) assert_int_not_equal(ids.data[i], start);
        assert_int_equal(ids.data[ids.n - 1], think); /* plain added tokens are always found */
        struct buf out;
        buf_init(&out, c, 1000);
        assert_int_equal(tokenizer_decode(c, t, ids.data, ids.n, true, &out), OK);
        assert_string_equal(buf_str(&out), special ? text + strlen("<|im_start|>") : text);
        buf_release(&out);
        ids_release(c, &ids);
    }
    tokenizer_free(t);
    ctx_free(c);
}

static void test_decode_refuses(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, "gpt2");
    const int32_t bad[] = {-1, INT32_MIN, INT32_MAX, (int32_t)tokenizer_vocab_size(t)};
    for (int i = 0; i < 4; i++) {
        struct buf out;
        buf_init(&out, c, 100);
        assert_null(tokenizer_token(t, bad[i]));
        assert_int_equal(tokenizer_decode(c, t, &bad[i], 1, false, &out), E_INPUT);
        test_expect(c, E_INPUT, "is not in the vocabulary", "decode");
        assert_false(tokenizer_is_special(t, bad[i]) || tokenizer_is_stop(t, bad[i]));
        buf_release(&out);
    }
    assert_non_null(tokenizer_token(t, (int32_t)tokenizer_vocab_size(t) - 1));
    tokenizer_free(t);
    ctx_free(c);
}

static void test_bos_eos(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, "llama3"); /* BOS from the post-processor */
    assert_true(tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_bos(t), tokenizer_find(t, "<|begin_of_text|>"));
    assert_int_equal(tokenizer_eos(t), tokenizer_find(t, "<|end_of_text|>"));
    assert_true(tokenizer_is_stop(t, tokenizer_eos(t)));
    assert_true(tokenizer_is_stop(t, tokenizer_find(t, "<|eot_id|>")));
    assert_false(tokenizer_is_stop(t, tokenizer_bos(t)));
    assert_null(tokenizer_chat_template(t));
    tokenizer_free(t);

    const char *const files[][2] = {
        {"tokenizer_config.json",
         "{\"bos_token\":{\"content\":\"<|im_start|>\"},\"add_bos_token\":true,\"eos_token\":null,"
         "\"chat_template\":[{\"name\":\"x\",\"template\":\"X\"},{\"name\":\"default\",\"template\":\"D\"}]}"},
        {"special_tokens_map.json", "{\"bos_token\":\"<|endoftext|>\",\"eos_token\":\"<|im_end|>\"}"},
        {"generation_config.json", "{\"eos_token_id\":[2,7],\"bos_token_id\":5}"},
        {NULL, NULL}};
    t = test_tokenizer(c, test_tokenizer_folder("smollm", files));
    assert_int_equal(tokenizer_bos(t), tokenizer_find(t, "<|im_start|>")); /* the first file that says so */
    assert_int_equal(tokenizer_eos(t), tokenizer_find(t, "<|im_end|>"));
    assert_true(tokenizer_adds_bos(t));
    assert_true(tokenizer_is_stop(t, 2) && tokenizer_is_stop(t, 7) && !tokenizer_is_stop(t, 5));
    assert_string_equal(tokenizer_chat_template(t), "D");
    tokenizer_free(t);

    const char *const jinja[][2] = {{"tokenizer_config.json", "{\"add_bos_token\":true,\"chat_template\":\"A\"}"},
                                    {"chat_template.jinja", "B"},
                                    {NULL, NULL}};
    t = test_tokenizer(c, test_tokenizer_folder("smollm", jinja));
    assert_string_equal(tokenizer_chat_template(t), "B");
    assert_int_equal(tokenizer_bos(t), -1);
    assert_false(tokenizer_adds_bos(t)); /* there is none to add */
    tokenizer_free(t);
    ctx_free(c);
}

/* What GGUF metadata says, on a file of llama.cpp. */
static void test_gguf(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer(c, CORPORA "vocab/ggml-vocab-starcoder.gguf");
    assert_int_equal(tokenizer_vocab_size(t), 49152);
    assert_int_equal(tokenizer_bos(t), 0);
    assert_int_equal(tokenizer_find(t, "<fim_middle>"), 2);
    assert_true(tokenizer_is_special(t, 2) && tokenizer_is_stop(t, 0));
    assert_false(tokenizer_adds_bos(t));
    tokenizer_free(t);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* Readers in several threads, each with its own ctx (run under TSan too). */
struct reader {
    const struct tokenizer *t;
    const char *text;
    size_t n, n_ids;
};

static void *read_in_thread(void *arg)
{
    struct reader *r = arg;
    struct ctx *c = ctx_new(NULL);
    struct ids ids = {0};
    for (int i = 0; i < 20; i++) {
        ids.n = 0;
        if (tokenizer_encode(c, r->t, r->text, r->n, true, &ids) != OK) break;
        r->n_ids = ids.n;
    }
    ids_release(c, &ids);
    ctx_free(c);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer_named(c, "qwen");
    size_t n;
    char *text = test_load(TEST_DATA "/io/tokenizer/qwen/cases.jsonl", &n);
    struct reader readers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        readers[i] = (struct reader){t, text, n, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, read_in_thread, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 4; i++) assert_int_equal(readers[i].n_ids, readers[0].n_ids);
    assert_true(readers[0].n_ids > 1000);
    free(text);
    tokenizer_free(t);
    ctx_free(c);
}

static void use_all(struct ctx *c)
{
    struct ids ids = {0};
    struct buf out;
    char text[300];
    memset(text, 'e', sizeof text);
    memcpy(text + 100, "<think>e\xCC\x81 it's", 16);
    struct tokenizer *t = tokenizer_open(c, TEST_DATA "/io/tokenizer/qwen");
    if (!t) return;
    buf_init(&out, c, 4096);
    if (tokenizer_encode(c, t, text, sizeof text, true, &ids) == OK) tokenizer_decode(c, t, ids.data, ids.n, false, &out);
    buf_release(&out);
    ids_release(c, &ids);
    tokenizer_free(t);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    assert_true(test_every_allocation(use_all) > 20);
}

/* With the word "corpora": the tests that need ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_gpt2),
        cmocka_unit_test(test_golden_llama3),
        cmocka_unit_test(test_golden_qwen),
        cmocka_unit_test(test_golden_smollm),
        cmocka_unit_test(test_golden_default),
        cmocka_unit_test(test_golden_added),
        cmocka_unit_test(test_golden_pieces),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_round_trip_bytes),
        cmocka_unit_test(test_round_trip_nfc),
        cmocka_unit_test(test_linear_time),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_nfc),
        cmocka_unit_test(test_nfc_long_run),
        cmocka_unit_test(test_special_tokens),
        cmocka_unit_test(test_decode_refuses),
        cmocka_unit_test(test_bos_eos),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_out_of_memory),
    };
    const struct CMUnitTest corpora[] = {
        cmocka_unit_test(test_vocab_cases),
        cmocka_unit_test(test_round_trip_texts),
        cmocka_unit_test(test_gguf),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
