/* adapter info, scale and merge as a user meets them: what they write computes what they say, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_program.h"
#include "train/support_tiny.h"

enum { OUTPUT_BYTES = 1 << 18 };

static struct tiny_files tiny;
static char one[128], two[128], output[OUTPUT_BYTES];

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void succeed(const char *const *words)
{
    if (program_run(output, OUTPUT_BYTES, words) != 0) fail_msg("%s: %s", words[0], output);
}

static void refused(const char *says, const char *const *words)
{
    int got = program_run(output, OUTPUT_BYTES, words);
    if (got != 2 || !strstr(output, says)) fail_msg("exit %d, '%s' lacks '%s'", got, output, says);
}

static void says(const char *text)
{
    if (!strstr(output, text)) fail_msg("'%s' is not in: %s", text, output);
}

/* Two runs that learn different things, on a model that has a fingerprint. */
static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 0);
    tiny_set_gain(tiny.model, 1.5f);
    strcpy(one, tiny_keep(&tiny, "one"));
    strcpy(two, tiny_keep(&tiny, "two"));
    succeed(WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", one, "--compute", "f32", "--rank", "4", "--max-steps",
                  "20", "--lr", "1e-2"));
    succeed(WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", two, "--compute", "f32", "--rank", "2", "--max-steps",
                  "20", "--lr", "1e-2", "--seed", "9", "--rslora", "--last-layers", "1"));
    return 0;
}

/* Perplexity of the rows under an adapter; NULL: of the model alone. */
static double perplexity(const char *adapter)
{
    const char *at;
    succeed(adapter ? WORDS("perplexity", "-m", tiny.model, "-f", tiny.rows, "--adapter", adapter)
                    : WORDS("perplexity", "-m", tiny.model, "-f", tiny.rows));
    at = strstr(output, "perplexity");
    if (!at) fail_msg("%s", output);
    return strtod(at + strcspn(at, "0123456789"), NULL);
}

static json_t *info(const char *adapter)
{
    succeed(WORDS("adapter", "info", adapter, "--json"));
    struct ctx *c = ctx_new(NULL);
    const char *at = strchr(output, '{');
    json_t *doc = json_parse(c, "info", at, strcspn(at, "\n"));
    if (!doc) fail_msg("%s: %s", c->message, output);
    ctx_free(c);
    return doc;
}

static double module_number(const json_t *doc, size_t i, const char *key)
{
    const json_t *value = json_object_get(json_array_get(json_object_get(doc, "modules"), i), key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static void info_says_what_there_is(void **state)
{
    (void)state;
    succeed(WORDS("adapter", "info", one));
    says("rank 4, alpha ");
    says("layers.1.mlp.down_proj");
    says("of every module");
    json_t *doc = info(one), *modules = json_object_get(doc, "modules");
    assert_int_equal(json_array_size(modules), 14);
    double effective = module_number(doc, 0, "effective_rank"), squares = 0;
    assert_true(effective > 1 && effective <= 4);
    const json_t *sigma = json_object_get(json_array_get(modules, 0), "singular_values"), *value;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)sigma, i, value) squares += pow(json_number_value(value), 2);
    assert_int_equal(json_array_size(sigma), 4);
    assert_true(fabs(sqrt(squares) - module_number(doc, 0, "norm")) < 1e-12 * sqrt(squares));
    json_decref(doc);
}

/* A factor of 1e-6 is the model alone, -1 after 1 cancels, and the matrices of a positive factor are the same bytes. */
static void scale_does_more_or_less(void **state)
{
    (void)state;
    const char *half = tiny_keep(&tiny, "half"), *little = tiny_keep(&tiny, "little"), *minus = tiny_keep(&tiny, "minus"),
               *nothing = tiny_keep(&tiny, "nothing");
    succeed(WORDS("adapter", "scale", one, "--factor", "0.5", "-o", half));
    says("check: of ");
    tiny_assert_same_file(tiny_path("%s/adapter_model.safetensors", half),
                          tiny_path("%s/adapter/adapter_model.safetensors", one));
    json_t *whole = info(one), *halved = info(half);
    assert_true(fabs(module_number(whole, 3, "norm") - 2 * module_number(halved, 3, "norm")) < 1e-9);
    json_decref(whole);
    json_decref(halved);
    succeed(WORDS("adapter", "scale", one, "--factor", "1e-6", "-o", little));
    succeed(WORDS("adapter", "scale", one, "--factor", "-1", "-o", minus));
    succeed(WORDS("adapter", "merge", one, minus, "--weights", "1,1", "-o", nothing));
    double alone = perplexity(NULL), trained = perplexity(tiny_path("%s/adapter", one));
    assert_true(fabs(perplexity(little) - alone) < 1e-3 * alone);
    assert_true(fabs(perplexity(nothing) - alone) < 1e-3 * alone);
    assert_true(fabs(trained - alone) > 0.05 * alone);
    size_t n;
    char *card = tiny_read(tiny_path("%s/README.md", half), &n);
    assert_non_null(strstr(card, "This adapter times a factor"));
    assert_non_null(strstr(card, "| adapter `adapter` | 0.5 | 4 | `"));
    assert_non_null(strstr(card, "## Training"));
    free(card);
}

/* w x + (1 - w) x is x, also cut back to its rank; two that differ in rank, scale and layers add up in both orders. */
static void merge_adds(void **state)
{
    (void)state;
    const char *same = tiny_keep(&tiny, "same"), *cut = tiny_keep(&tiny, "cut"), *sum = tiny_keep(&tiny, "sum"),
               *again = tiny_keep(&tiny, "again"), *small = tiny_keep(&tiny, "small");
    succeed(WORDS("adapter", "merge", one, one, "--weights", "0.75,0.25", "-o", same));
    says("rank 8, 14 modules");
    succeed(WORDS("adapter", "merge", same, "--weights", "1", "--rank", "4", "-o", cut));
    says("rank 4, 14 modules");
    double trained = perplexity(tiny_path("%s/adapter", one));
    assert_true(fabs(perplexity(same) - trained) < 1e-4 * trained);
    assert_true(fabs(perplexity(cut) - trained) < 1e-4 * trained);
    succeed(WORDS("adapter", "merge", one, two, "--weights", "0.5,2", "-o", sum));
    says("rank 4 to 6, 14 modules");
    succeed(WORDS("adapter", "merge", two, one, "-w", "2,0.5", "-o", again));
    double there = perplexity(sum);
    assert_true(fabs(there - perplexity(again)) < 1e-4 * there && fabs(there - trained) > 1e-3 * trained);
    succeed(WORDS("adapter", "merge", sum, "--weights", "1", "--rank", "1", "-o", small));
    says("rank 1 keeps at least ");
    size_t n;
    char *card = tiny_read(tiny_path("%s/README.md", sum), &n);
    assert_non_null(strstr(card, "The exact sum of these adapters"));
    assert_non_null(strstr(card, "| adapter `adapter` | 2 | 2 | `"));
    assert_null(strstr(card, "## Training"));
    free(card);
}

static void refusals(void **state)
{
    (void)state;
    const char *out = tiny_keep(&tiny, "out"), *other = tiny_keep(&tiny, "other"), *of_other = tiny_keep(&tiny, "of-other");
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, other, false);
    tiny_ctx_free(c);
    tiny_set_gain(other, 0.5f);
    succeed(WORDS("train", "-m", other, "-d", tiny.rows, "-o", of_other, "--max-steps", "1"));
    refused("was made for another model than", WORDS("adapter", "merge", one, of_other, "--weights", "1,1", "-o", out));
    refused("was made for another model than", WORDS("adapter", "info", one, "-m", other));
    refused("the seven in 2 layers",
            WORDS("adapter", "merge", one, TEST_DATA "/families/smollm3/adapter", "--weights", "1,1", "-o", out));
    refused("model and config want",
            WORDS("adapter", "merge", one, TEST_DATA "/golden/llama2/adapter", "--weights", "1,1", "-o", out));
    refused("2 numbers for 1 adapter; each needs one", WORDS("adapter", "merge", one, "--weights", "1,1", "-o", out));
    refused("'x' is no number", WORDS("adapter", "merge", one, two, "--weights", "1,x", "-o", out));
    refused("'' is no number", WORDS("adapter", "merge", one, "--weights", "1,", "-o", out));
    refused("'nan' is no number", WORDS("adapter", "merge", one, "--weights", "nan", "-o", out));
    refused("0 is no factor of an adapter", WORDS("adapter", "merge", one, two, "--weights", "1,0", "-o", out));
    refused("--factor X is needed", WORDS("adapter", "scale", one, "-o", out));
    refused("is there and not empty", WORDS("adapter", "scale", one, "--factor", "2", "-o", tiny.model));
    refused("is neither a run nor an adapter", WORDS("adapter", "info", tiny.model));
    assert_false(dir_exists(out));
    succeed(WORDS("adapter", "merge", one, of_other, "--weights", "1,1", "-o", out, "--force-adapter"));
    says("is used because of --force-adapter");
}

/* The command that is printed can be copied, whatever the folder is called. */
static void the_printed_command_is_quoted(void **state)
{
    char wanted[1024];
    (void)state;
    succeed(WORDS("adapter", "scale", one, "-m", tiny.model, "--factor", "0.5", "-o", tiny_keep(&tiny, "it's here")));
    snprintf(wanted, sizeof wanted, " --adapter '%s/it'\\''s here' -p Hello", tiny.folder);
    says(wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(info_says_what_there_is),
        cmocka_unit_test(scale_does_more_or_less),
        cmocka_unit_test(merge_adds),
        cmocka_unit_test(refusals),
        cmocka_unit_test(the_printed_command_is_quoted),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
