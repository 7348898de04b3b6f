/* Tokenizers in SentencePiece's form, the normalizers and pre-tokenizers that the others do not have, expressions, places of
 * tokens, and how a sequence begins and ends; against golden cases made by tools/gen_tokenizer_forms.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/sha256.h"
#include "io/tokenizer/pretokenizer.h"
#include "support_file.h"
#include "support_tokenizer.h"

#define FORMS TEST_DATA "/io/forms/"

/* ---- ids, places, text ---- */

static void check_spans(const struct token_spans *spans, const json_t *want, const char *label)
{
    for (size_t i = 0; i < json_array_size(want); i++) {
        const json_t *pair = json_array_get(want, i);
        json_int_t start = json_integer_value(json_array_get(pair, 0)), end = json_integer_value(json_array_get(pair, 1));
        if ((json_int_t)spans->data[i].start != start || (json_int_t)spans->data[i].end != end)
            fail_msg("token %zu is at %zu to %zu: %s", i, spans->data[i].start, spans->data[i].end, label);
    }
}

struct forms {
    struct tokenizer *t;
    bool places; /* whether the reference's places are the same thing as ours */
};

static void golden_row(struct ctx *c, const json_t *row, void *user)
{
    const struct forms *f = user;
    const json_t *text = json_object_get(row, "text"), *decoded = json_object_get(row, "decoded");
    bool special = json_is_true(json_object_get(row, "special"));
    size_t n = json_string_length(text);
    struct ids ids = {0}, again = {0};
    struct token_spans spans = {0};
    char *label = json_dumps(row, 0);
    assert_int_equal(tokenizer_encode(c, f->t, json_string_value(text), n, special, &again), OK);
    if (tokenizer_encode_spans(c, f->t, json_string_value(text), n, special, &ids, &spans) != OK) fail_msg("%s", c->message);
    test_ids_equal(&again, json_object_get(row, "ids"), label);
    test_ids_equal(&ids, json_object_get(row, "ids"), label);
    assert_int_equal(spans.n, ids.n);
    for (size_t i = 0; i < spans.n; i++) /* in order, and inside the text */
        if (spans.data[i].end < spans.data[i].start || spans.data[i].end > n ||
            (i > 0 && spans.data[i].start < spans.data[i - 1].end))
            fail_msg("token %zu is at %zu to %zu: %s", i, spans.data[i].start, spans.data[i].end, label);
    if (f->places) check_spans(&spans, json_object_get(row, "spans"), label);
    if (json_is_string(decoded)) {
        struct buf out;
        buf_init(&out, c, 1 << 20);
        assert_int_equal(tokenizer_decode_text(c, f->t, ids.data, ids.n, false, &out), OK);
        if (!strstr(json_string_value(decoded), "\xEF\xBF\xBD") && strcmp(buf_str(&out), json_string_value(decoded)) != 0)
            fail_msg("decoded \"%s\": %s", buf_str(&out), label);
        buf_release(&out);
    }
    free(label);
    ids_release(c, &ids);
    ids_release(c, &again);
    token_spans_release(c, &spans);
}

static void golden(const char *name, bool places)
{
    char path[512];
    struct ctx *c = ctx_new(NULL);
    snprintf(path, sizeof path, FORMS "%s", name);
    struct forms f = {test_tokenizer(c, path), places};
    snprintf(path, sizeof path, "forms/%s/cases.jsonl", name);
    assert_int_equal(test_each_line(c, path, golden_row, &f), 250);
    tokenizer_free(f.t);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void golden_proto(void **state)
{
    (void)state;
    golden("proto", false);
}
static void golden_prepend(void **state)
{
    (void)state;
    golden("prepend", false);
}
static void golden_metaspace(void **state)
{
    (void)state;
    golden("metaspace", false);
}
static void golden_words(void **state)
{
    (void)state;
    golden("words", false);
}
static void golden_other(void **state)
{
    (void)state;
    golden("other", false);
}
static void golden_prefix(void **state)
{
    (void)state;
    golden("prefix", false);
}

static void unigram_is_refused(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_null(tokenizer_open(c, FORMS "unigram"));
    test_expect(c, E_UNSUPPORTED, "SentencePiece model type \"unigram\"", "unigram");
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* ---- expressions ---- */

static void expression_row(struct ctx *c, const json_t *row, void *user)
{
    static const char *const behaviors[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const json_t *pattern = json_object_get(row, "pattern"), *text = json_object_get(row, "text");
    const json_t *want = json_object_get(row, "pieces");
    const char *name = json_string_value(json_object_get(row, "behavior")), *piece;
    int behavior = 0;
    (void)user;
    while (strcmp(behaviors[behavior], name) != 0) behavior++;
    char *label = json_dumps(row, 0);
    for (int plain = 0; plain < 2; plain++) { /* the scanners written by hand, where there is one, and the general matcher */
        struct pretokenizer pre = {0};
        struct pretokenizer_walk w;
        size_t bytes;
        if (pretokenizer_add_pattern(c, &pre, "test", json_string_value(pattern), json_string_length(pattern),
                                     (enum pretokenizer_behavior)behavior, json_is_true(json_object_get(row, "invert")),
                                     plain) != OK)
            fail_msg("%s", c->message);
        assert_int_equal(pretokenizer_walk_init(c, &w, &pre), OK);
        pretokenizer_start(&w, json_string_value(text), json_string_length(text));
        for (size_t i = 0; i < json_array_size(want); i++) {
            const json_t *pair = json_array_get(want, i);
            size_t start = (size_t)json_integer_value(json_array_get(pair, 0));
            assert_int_equal(pretokenizer_next(c, &w, &piece, &bytes), OK);
            if (piece != json_string_value(text) + start ||
                start + bytes != (size_t)json_integer_value(json_array_get(pair, 1)))
                fail_msg("piece %zu is at %td, %zu bytes: %s", i, piece - json_string_value(text), bytes, label);
        }
        assert_int_equal(pretokenizer_next(c, &w, &piece, &bytes), OK);
        if (bytes != 0) fail_msg("a piece too many: %s", label);
        pretokenizer_walk_release(c, &w);
        pretokenizer_release(&pre);
    }
    free(label);
}

static void golden_expressions(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_true(test_each_line(c, "forms/expressions.jsonl", expression_row, NULL) > 1500);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void expressions_are_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "an empty pattern"},
        {"(a", "without its closing parenthesis"},
        {"a)", "without its opening one"},
        {"[a", "without its closing bracket"},
        {"[]a]", "begins with ]"},
        {"[[:alpha:]]", "a POSIX bracket"},
        {"(a)\\1", "this escape"},
        {"(?<name>a)", "this kind of group"},
        {"(?<=ab)c", "a look-behind of more than one character"},
        {"(?>a)", "this kind of group"},
        {"(?:ab)++", "a possessive quantifier behind a group"},
        {"(a*)*", "something that may be empty"},
        {"(?:(?=a))+", "something that may be empty"},
        {"a**", "two quantifiers in a row"},
        {"*a", "nothing before it"},
        {"a{3,2}", "this interval"},
        {"a{2}?", "{n}?"},
        {"\\p{Klingon}", "this property"},
        {"\\pL", "without a name in braces"},
        {"(?i:\\p{Lu})", "a cased category"},
        {"(?i:stop)", "ss, st, ff, fi or fl"},
        {"(?i:\xC3\xA9)", "outside ASCII"},
        {"[z-a]", "this range"},
        {"a\\", "a backslash at the end"},
        {"\xFF", "not UTF-8"},
        {"(?:a{1000}b{1000}){1000}", "too complex"},
        {"(?:a|b){14}a", "too complex"},
    };
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c->alloc_peak = 0;
        if (expression_new(c, "test", bad[i][0], strlen(bad[i][0]))) fail_msg("%s was accepted", bad[i][0]);
        test_expect(c, E_UNSUPPORTED, bad[i][1], bad[i][0]);
        assert_int_equal(c->alloc_bytes, 0);
        assert_true(c->alloc_peak < (size_t)16 << 20);
    }
    char deep[400];
    memset(deep, '(', 200);
    memset(deep + 200, ')', 200);
    assert_null(expression_new(c, "test", deep, sizeof deep));
    test_expect(c, E_UNSUPPORTED, "so deep a nesting", "deep");
    /* Each \W is a union with more than a thousand ranges: a class of a megabyte took nine seconds. */
    static char wide[1 << 20];
    memset(wide, '\\', sizeof wide);
    for (size_t i = 2; i < sizeof wide; i += 2) wide[i] = i % 4 ? 'W' : 'w';
    wide[0] = '[';
    wide[sizeof wide - 1] = ']';
    assert_null(expression_new(c, "test", wide, sizeof wide));
    test_expect(c, E_UNSUPPORTED, "a pattern of more than 16 KiB", "wide");
    assert_true(c->alloc_peak < (size_t)16 << 20);
    ctx_free(c);
}

/* Ten megabytes in which a backtracking search, or one that looks for its match's end again and again, takes hours. */
static void linear_time(struct ctx *c, const char *pattern, const char *unit)
{
    size_t n = 10000000, u = strlen(unit), bytes, total = 0;
    char *text = malloc(n);
    const char *piece;
    struct pretokenizer pre = {0};
    struct pretokenizer_walk w;
    n -= n % u;
    for (size_t i = 0; i < n; i += u) memcpy(text + i, unit, u);
    text[n - 1] = 'x';
    assert_int_equal(pretokenizer_add_pattern(c, &pre, "test", pattern, strlen(pattern), SPLIT_ISOLATED, false, true), OK);
    assert_int_equal(pretokenizer_walk_init(c, &w, &pre), OK);
    pretokenizer_start(&w, text, n);
    do {
        assert_int_equal(pretokenizer_next(c, &w, &piece, &bytes), OK);
        total += bytes;
    } while (bytes > 0);
    assert_int_equal(total, n);
    pretokenizer_walk_release(c, &w);
    pretokenizer_release(&pre);
    free(text);
}

static void expressions_take_linear_time(void **state)
{
    (void)state;
    static const char *const patterns[] = {"a*b|a", "\\s+$|\\s", "(?:\\s\\s)+y|\\s", "(?=(?:a{3})+(?!a))",
                                           "\\p{M}+(?=x\\z)|\\p{M}(?!\\p{M}+b)"};
    static const char *const units[] = {"a", " ", "\xCC\x81"};
    struct ctx *c = ctx_new(NULL);
    for (size_t p = 0; p < sizeof patterns / sizeof patterns[0]; p++)
        for (size_t u = 0; u < 3; u++) linear_time(c, patterns[p], units[u]);
    ctx_free(c);
}

/* ---- sequences ---- */

static void sequences_begin_and_end_once(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct tokenizer *t = test_tokenizer(c, FORMS "prepend");
    static const char *const texts[] = {"Hello", "<s>Hello", "", "<s><s>x"};
    assert_true(tokenizer_adds_bos(t) && tokenizer_adds_eos(t));
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    for (int i = 0; i < 4; i++) {
        struct ids ids = {0};
        assert_int_equal(tokenizer_encode_text(c, t, texts[i], strlen(texts[i]), true, &ids), OK);
        assert_int_equal(ids.data[0], 1);
        if (i < 2) assert_int_not_equal(ids.data[1], 1);
        assert_int_equal(tokenizer_close(c, t, &ids), OK);
        size_t n = ids.n;
        assert_int_equal(tokenizer_close(c, t, &ids), OK);
        assert_int_equal(ids.n, n);
        assert_int_equal(ids.data[n - 1], 2);
        ids_release(c, &ids);
    }
    const int32_t used[] = {4, 5};
    assert_int_equal(tokenizer_check_ids(c, t, used, 2, 6), OK);
    assert_int_equal(tokenizer_check_ids(c, t, used, 2, 5), E_INPUT);
    test_expect(c, E_INPUT, "token 5 (\"<0x01>\") is used, but the model has rows for 5", "more tokens than rows");
    size_t count;
    assert_int_equal(tokenizer_find_spelled(t, "a</s>b<s>", 9, &count), 2);
    assert_int_equal(count, 2);
    assert_int_equal(tokenizer_find_spelled(t, "a<tool>", 7, &count), -1); /* not special: it is always found */
    assert_int_equal(count, 0);
    tokenizer_free(t);
    ctx_free(c);
}

/* Without generation_config.json the ids of config.json end a generation; with it they do not count. */
static void stops_of_config_json(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    const char *const files[][2] = {{"config.json", "{\"eos_token_id\":[5,7],\"bos_token_id\":3}"}, {NULL, NULL}};
    struct tokenizer *t = test_tokenizer(c, test_tokenizer_folder("gpt2", files));
    assert_true(tokenizer_is_stop(t, 5) && tokenizer_is_stop(t, 7));
    assert_int_equal(tokenizer_bos(t), 3);
    assert_int_equal(tokenizer_eos(t), 5);
    tokenizer_free(t);
    const char *const one[][2] = {{"config.json", "{\"eos_token_id\":9}"}, {NULL, NULL}};
    t = test_tokenizer(c, test_tokenizer_folder("gpt2", one));
    assert_true(tokenizer_is_stop(t, 9));
    tokenizer_free(t);
    const char *const both[][2] = {
        {"config.json", "{\"eos_token_id\":9}"}, {"generation_config.json", "{\"eos_token_id\":6}"}, {NULL, NULL}};
    t = test_tokenizer(c, test_tokenizer_folder("gpt2", both));
    assert_true(tokenizer_is_stop(t, 6) && !tokenizer_is_stop(t, 9));
    tokenizer_free(t);
    ctx_free(c);
}

/* ---- damage ---- */

static void damaged_protos(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct rng r;
    size_t n;
    char *bytes = test_load(FORMS "proto/tokenizer.model", &n), path[512];
    snprintf(path, sizeof path, "%s/damaged.model", BUILD_DIR);
    rng_init(&r, 7, RNG_TEST, 0);
    for (int i = 0; i < 300; i++) {
        char *copy = malloc(n);
        memcpy(copy, bytes, n);
        size_t kept = i % 3 == 0 ? rng_below(&r, (uint32_t)n) : n;
        for (int k = 0; k < i % 5; k++) copy[rng_below(&r, (uint32_t)n)] = (char)rng_below(&r, 256);
        FILE *f = fopen(path, "wb");
        assert_int_equal(fwrite(copy, 1, kept, f), kept);
        fclose(f);
        tokenizer_free(tokenizer_open(c, path));
        if (!ctx_ok(c)) assert_true(c->status == E_INPUT || c->status == E_UNSUPPORTED);
        ctx_clear(c);
        assert_int_equal(c->alloc_bytes, 0);
        free(copy);
    }
    remove(path);
    free(bytes);
    ctx_free(c);
}

static void use_proto(struct ctx *c)
{
    struct ids ids = {0};
    struct token_spans spans = {0};
    struct tokenizer *t = tokenizer_open(c, FORMS "proto");
    if (!t) return;
    tokenizer_encode_spans(c, t, "Hello \xE4\xB8\xAD world", 15, true, &ids, &spans);
    ids_release(c, &ids);
    token_spans_release(c, &spans);
    tokenizer_free(t);
}

static void use_other(struct ctx *c)
{
    struct ids ids = {0};
    struct tokenizer *t = tokenizer_open(c, FORMS "other");
    if (!t) return;
    tokenizer_encode(c, t, "Hello \xE2\x91\xA0 12345 World!", 20, true, &ids);
    ids_release(c, &ids);
    tokenizer_free(t);
}

static void out_of_memory(void **state)
{
    (void)state;
    assert_true(test_every_allocation(use_proto) > 20);
    assert_true(test_every_allocation(use_other) > 20);
}

/* ---- whole texts with the tokenizers of the corpora, by digest ---- */

static void add_ids(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special, struct sha256 *sha,
                    json_int_t *count)
{
    struct ids ids = {0};
    assert_int_equal(tokenizer_encode(c, t, text, n, special, &ids), OK);
    if (ids.n) sha256_update(sha, ids.data, ids.n * sizeof *ids.data);
    *count += (json_int_t)ids.n;
    ids_release(c, &ids);
}

static void whole_texts(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    size_t n;
    const char *name;
    char *novel = test_load(SHARED_DIR "/corpora/text/botchan.txt", &n), path[512], hex[65];
    json_t *naughty = json_parse_file(c, SHARED_DIR "/corpora/text/blns.json", 1 << 20), *want;
    json_t *all = json_parse_file(c, FORMS "corpora.json", 1 << 16);
    if (!naughty || !all) fail_msg("missing test data: %s", c->message);
    assert_int_equal(json_object_size(all), 3);
    json_object_foreach(all, name, want)
    {
        struct sha256 sha;
        uint8_t digest[32];
        json_int_t count = 0;
        snprintf(path, sizeof path, SHARED_DIR "/corpora/tokenizers/%s/tokenizer.json", name);
        struct tokenizer *t = test_tokenizer(c, path);
        sha256_init(&sha);
        for (int special = 0; special < 2; special++) {
            add_ids(c, t, novel, n, special, &sha, &count);
            for (size_t i = 0; i < json_array_size(naughty); i++) {
                const json_t *s = json_array_get(naughty, i);
                add_ids(c, t, json_string_value(s), json_string_length(s), special, &sha, &count);
            }
        }
        sha256_final(&sha, digest);
        sha256_hex(digest, hex);
        assert_int_equal(count, json_integer_value(json_object_get(want, "ids")));
        assert_string_equal(hex, json_string_value(json_object_get(want, "sha256")));
        tokenizer_free(t);
    }
    json_decref(all);
    json_decref(naughty);
    free(novel);
    ctx_free(c);
}

/* With the word "corpora": the test that needs ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest corpora[] = {cmocka_unit_test(whole_texts)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_proto),
        cmocka_unit_test(golden_prepend),
        cmocka_unit_test(golden_metaspace),
        cmocka_unit_test(golden_words),
        cmocka_unit_test(golden_other),
        cmocka_unit_test(golden_prefix),
        cmocka_unit_test(unigram_is_refused),
        cmocka_unit_test(golden_expressions),
        cmocka_unit_test(expressions_are_refused),
        cmocka_unit_test(expressions_take_linear_time),
        cmocka_unit_test(sequences_begin_and_end_once),
        cmocka_unit_test(stops_of_config_json),
        cmocka_unit_test(damaged_protos),
        cmocka_unit_test(out_of_memory),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
