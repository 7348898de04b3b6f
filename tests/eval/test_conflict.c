/* Conflicting claims: what the reader takes and refuses, the measure against log-probabilities of one document at a time
 * (eval/loglik, itself checked against transformers), prediction and summary by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/backend_open.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "eval/conflict.h"
#include "eval/loglik.h"
#include "model/model.h"
#include "support_scratch.h"

#define SOURCE(W, H) "{\"auth_weight\": " W ", \"prov_entropy\": " H "}"
#define ROW(PROMPT, PRIMARY, CONSENSUS, P, C)                                                                               \
    "{\"prompt\": " PROMPT ", \"primary\": " PRIMARY ", \"consensus\": " CONSENSUS ", \"primary_sources\": " P              \
    ", \"consensus_sources\": " C "}\n"
#define GOOD ROW("\"a\"", "\"b\"", "\"c\"", "[" SOURCE("0.1", "6") "]", "[" SOURCE("0.9", "1") "," SOURCE("0.8", "1") "]")

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static char path[64];

static const char *write_file(const char *text, size_t n)
{
    int fd = mkstemp(scratch_template(path, sizeof path, "conflict"));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
    return path;
}

static struct conflict_set *open_text(struct ctx *c, const char *text)
{
    struct conflict_set *s = conflict_open(c, write_file(text, strlen(text)));
    unlink(path);
    return s;
}

static void assert_balanced(struct ctx *c)
{
    ctx_clear(c);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void rows_are_read(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct conflict_set *s =
        open_text(c, "\n" GOOD "  \t\r\n" ROW("\"\\u00e9\\n\"", "\" x\"", "\"y\"", "[" SOURCE("0", "0") "]",
                                              "[" SOURCE("0.99", "1000000") "]"));
    if (!s) fail_msg("%s", c->message);
    assert_int_equal(s->n, 2);
    assert_string_equal(s->claims[0].prompt, "a");
    assert_string_equal(s->claims[0].primary, "b");
    assert_string_equal(s->claims[0].consensus, "c");
    assert_int_equal(s->claims[0].n_primary, 1);
    assert_int_equal(s->claims[0].n_consensus, 2);
    assert_true(s->claims[0].primary_sources[0].auth_weight == 0.1 && s->claims[0].primary_sources[0].prov_entropy == 6);
    assert_true(s->claims[0].consensus_sources[1].auth_weight == 0.8);
    assert_string_equal(s->claims[1].prompt, "\xc3\xa9\n");
    assert_string_equal(s->claims[1].primary, " x");
    conflict_close(s);
    conflict_close(NULL);
    assert_balanced(c);
}

static void faulty_rows_are_named(void **state)
{
    (void)state;
#define P "[" SOURCE("0.1", "6") "]"
    static const struct {
        const char *row, *says;
    } bad[] = {
        {"[]\n", ":2: the row is not an object"},
        {"{\n", ":2: "},
        {"{\"prompt\": \"a\"}\n", "\"primary\""},
        {ROW("1", "\"b\"", "\"c\"", P, P), "\"prompt\""},
        {ROW("\"\"", "\"b\"", "\"c\"", P, P), "\"prompt\" is empty"},
        {ROW("\"a\"", "\"\"", "\"c\"", P, P), "\"primary\" is empty"},
        {ROW("\"a\"", "\"b\"", "null", P, P), "\"consensus\""},
        {ROW("\"a\\u0000\"", "\"b\"", "\"c\"", P, P), ":2: "},
        {ROW("\"a\xff\"", "\"b\"", "\"c\"", P, P), ":2: "},
        {ROW("\"a\"", "\"b\"", "\"c\"", "[]", P), "\"primary_sources\" must be a list"},
        {ROW("\"a\"", "\"b\"", "\"c\"", P, "{}"), "\"consensus_sources\" must be a list"},
        {ROW("\"a\"", "\"b\"", "\"c\"", P, "[1]"), "\"consensus_sources\"[0] is not an object"},
        {ROW("\"a\"", "\"b\"", "\"c\"", P, "[{\"auth_weight\": 0.1}]"), "prov_entropy"},
        {ROW("\"a\"", "\"b\"", "\"c\"", P, "[" SOURCE("0.991", "1") "]"), "outside [0, 0.99]"},
        {ROW("\"a\"", "\"b\"", "\"c\"", P, "[" SOURCE("-0.01", "1") "]"), "outside [0, 0.99]"},
        {ROW("\"a\"", "\"b\"", "\"c\"", P, "[" SOURCE("0.1", "-1") "]"), "prov_entropy"},
        {ROW("\"a\"", "\"b\"", "\"c\"", P, "[" SOURCE("0.1", "1e999") "]"), "1e999"},
        {ROW("\"a\"", "\"b\"", "\"c\"", P, "[" SOURCE("0.1", "NaN") "]"), ":2: "},
    };
#undef P
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ctx *c = ctx_new(NULL);
        char text[2048];
        snprintf(text, sizeof(text), GOOD "%s", bad[i].row);
        assert_null(open_text(c, text));
        if (c->status != E_INPUT || !strstr(c->message, bad[i].says) || !strstr(c->message, ":2"))
            fail_msg("row %zu: status %d, '%s' lacks '%s'", i, c->status, c->message, bad[i].says);
        assert_balanced(c);
    }
}

static void files_without_a_claim_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "  \t\r\n\n"};
    for (size_t i = 0; i < 3; i++) {
        struct ctx *c = ctx_new(NULL);
        assert_null(open_text(c, texts[i]));
        assert_int_equal(c->status, E_INPUT);
        assert_non_null(strstr(c->message, "holds no claim"));
        assert_balanced(c);
    }
    struct ctx *c = ctx_new(NULL);
    assert_null(conflict_open(c, "/tmp/your_ai_no_such_file.jsonl"));
    assert_int_equal(c->status, E_INPUT);
    assert_balanced(c);
}

/* Every cut of a good file is the claims before it, or an error, and leaves no memory behind. */
static void every_truncation(void **state)
{
    (void)state;
    static const char text[] = GOOD GOOD;
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        struct ctx *c = ctx_new(NULL);
        struct conflict_set *s = conflict_open(c, write_file(text, n));
        unlink(path);
        bool whole = n + 1 >= sizeof(GOOD) - 1 && (n <= sizeof(GOOD) - 1 || n == sizeof(text) - 2);
        if (whole != (s != NULL)) fail_msg("cut at %zu: %s", n, s ? "accepted" : c->message);
        conflict_close(s);
        assert_balanced(c);
    }
}

/* ---- measuring ------------------------------------------------------------------------------------------------------- */

struct fixture {
    struct ctx *c;
    struct model *model;
    struct engine *engine;
    struct tokenizer *tokenizer;
};

/* The tiny golden model with the tokenizer of a small vocabulary: the character a is token 1, b token 2, ... */
static void fixture_open(struct fixture *f, const char *family, int threads)
{
    char folder[64], file[128], model[512];
    *f = (struct fixture){.c = ctx_new(NULL)};
    assert_int_equal(ctx_set_threads(f->c, threads), OK);
    assert_int_equal(array_env_new(f->c, backend_open(f->c, NULL)), OK);
    snprintf(model, sizeof(model), TEST_DATA "/golden/%s", family);
    f->model = model_open(f->c, model);
    if (!f->model) fail_msg("%s", f->c->message);
    f->engine = engine_native_new(f->c, f->model, NULL);
    assert_non_null(f->engine);
    assert_non_null(mkdtemp(scratch_template(folder, sizeof folder, "conflict")));
    snprintf(file, sizeof(file), "%s/tokenizer.json", folder);
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs("{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],\"normalizer\":null,"
          "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
          "\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
          "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
          "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\",\"fuse_unk\":false,\"byte_fallback\":false,"
          "\"vocab\":{\"!\":0",
          out);
    for (int i = 1; i <= 26; i++) fprintf(out, ",\"%c\":%d", 'a' + i - 1, i);
    fputs("},\"merges\":[]}}", out);
    assert_int_equal(fclose(out), 0);
    f->tokenizer = tokenizer_open(f->c, folder);
    if (!f->tokenizer) fail_msg("%s", f->c->message);
    assert_int_equal(dir_remove(f->c, folder), OK);
}

static void fixture_close(struct fixture *f)
{
    tokenizer_free(f->tokenizer);
    f->engine->ops->free(f->engine);
    model_free(f->model);
    array_env_free(f->c);
    assert_int_equal(ctx_set_threads(f->c, 1), OK);
    assert_balanced(f->c);
}

/* Sum of the completion's log-probabilities, the document scored alone. */
static double score(struct fixture *f, const char *prompt, const char *completion)
{
    int32_t ids[256];
    double logprob[256], sum = 0;
    size_t n = 0;
    for (const char *p = prompt; *p; p++) ids[n++] = *p - 'a' + 1;
    size_t first = n;
    for (const char *p = completion; *p; p++) ids[n++] = *p - 'a' + 1;
    assert_int_equal(loglik_ids(f->engine, ids, n, 0, logprob), OK);
    for (size_t i = first; i < n; i++) sum += logprob[i];
    return sum;
}

enum { CLAIMS = 150, PROMPT_MAX = 12 };

/* Claims enough for several forward passes, of lengths that differ. */
static struct conflict_set *make_claims(struct fixture *f, char words[CLAIMS][3][PROMPT_MAX + 1])
{
    static char text[CLAIMS * 512];
    size_t n = 0;
    for (int i = 0; i < CLAIMS; i++) {
        for (int k = 0; k < 3; k++) {
            int length = 1 + (i * 7 + k * 5) % PROMPT_MAX;
            for (int j = 0; j < length; j++) words[i][k][j] = (char)('a' + (i * 3 + k * 11 + j * j) % 26);
            words[i][k][length] = '\0';
        }
        n += (size_t)snprintf(
            text + n, sizeof(text) - n,
            "{\"prompt\": \"%s\", \"primary\": \"%s\", \"consensus\": \"%s\", \"primary_sources\": [" SOURCE(
                "0.1", "6") "], \"consensus_sources\": [" SOURCE("0.9", "1") "]}\n",
            words[i][0], words[i][1], words[i][2]);
    }
    struct conflict_set *s = open_text(f->c, text);
    if (!s) fail_msg("%s", f->c->message);
    return s;
}

static void measure_is_the_difference_of_two_scores(void **state)
{
    (void)state;
    static const char *const families[] = {"llama32", "qwen3"};
    static char words[CLAIMS][3][PROMPT_MAX + 1];
    for (int k = 0; k < 2; k++) {
        struct fixture f;
        double delta[CLAIMS];
        fixture_open(&f, families[k], 1 + k);
        struct conflict_set *s = make_claims(&f, words);
        assert_int_equal(conflict_measure(f.engine, f.tokenizer, s, delta), OK);
        for (int i = 0; i < CLAIMS; i++) {
            double want = score(&f, words[i][0], words[i][1]) - score(&f, words[i][0], words[i][2]);
            if (fabs(delta[i] - want) > 1e-3) fail_msg("%s, claim %d: %g, want %g", families[k], i, delta[i], want);
        }
        conflict_close(s);
        fixture_close(&f);
    }
}

static void a_claim_beyond_the_context_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    double delta[2];
    fixture_open(&f, "llama2", 1);
    size_t n = (size_t)f.engine->context + 1;
    char *text = malloc(n + 1024);
    assert_non_null(text);
    int head = sprintf(text, GOOD "{\"prompt\": \"");
    memset(text + head, 'a', n);
    strcpy(text + head + n, "\", \"primary\": \"b\", \"consensus\": \"c\", \"primary_sources\": [" SOURCE(
                                "0.1", "6") "], \"consensus_sources\": [" SOURCE("0.9", "1") "]}\n");
    struct conflict_set *s = open_text(f.c, text);
    if (!s) fail_msg("%s", f.c->message);
    assert_int_equal(conflict_measure(f.engine, f.tokenizer, s, delta), E_INPUT);
    assert_non_null(strstr(f.c->message, "claim 2: "));
    ctx_clear(f.c);
    conflict_close(s);
    free(text);
    fixture_close(&f);
}

/* ---- prediction and summary ------------------------------------------------------------------------------------------ */

static void prediction_by_hand(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct objective o;
    double predicted;
    struct conflict_set *s = open_text(c, GOOD);
    assert_non_null(s);
    struct objective_options options = {DISTRUST_MONOTONE, 1, 2.7, 2, 1e6};
    assert_int_equal(objective_restore(c, &options, 100, 2.0, &o), OK);
    conflict_predict(s, &o, &predicted);
    /* s = ln(1 - w + 1e-8) + H, omega = ln(1 + e^s)^2 / 2 (nothing is clamped) */
    double p = log1p(exp(log(0.9 + 1e-8) + 6)), c1 = log1p(exp(log(0.1 + 1e-8) + 1)), c2 = log1p(exp(log(0.2 + 1e-8) + 1));
    double want = log(p * p / 2) - log(c1 * c1 / 2 + c2 * c2 / 2);
    if (!(fabs(predicted - want) < 1e-12)) fail_msg("%.15g, want %.15g", predicted, want);
    options.mode = DISTRUST_OFF; /* counts alone: one document against two */
    assert_int_equal(objective_restore(c, &options, 1, 1, &o), OK);
    conflict_predict(s, &o, &predicted);
    assert_true(fabs(predicted - log(0.5)) < 1e-15);
    conflict_close(s);
    assert_balanced(c);
}

static void summary_by_hand(void **state)
{
    (void)state;
    static const double values[] = {1, -2, 4, 0};
    struct conflict_summary r = conflict_summarise(values, 4);
    assert_true(fabs(r.mean - 0.75) < 1e-15 && fabs(r.sd - sqrt(18.75 / 3)) < 1e-14 && r.n_positive == 2);
    r = conflict_summarise(values, 1);
    assert_true(r.mean == 1 && r.sd == 0 && r.n_positive == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read),
        cmocka_unit_test(faulty_rows_are_named),
        cmocka_unit_test(files_without_a_claim_are_refused),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(measure_is_the_difference_of_two_scores),
        cmocka_unit_test(a_claim_beyond_the_context_is_refused),
        cmocka_unit_test(prediction_by_hand),
        cmocka_unit_test(summary_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
