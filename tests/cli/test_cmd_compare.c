/* eval and compare as a user meets them, on a tiny model: the loss of rows is the one that training's validation reports,
 * differences are paired, sources make up the whole, what is left out is said; answers that were learned are exact;
 * continuations have the log-probabilities that `perplexity` gives; benchmarks are validate's; and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/support_program.h"
#include "train/support_tiny.h"

enum { OUTPUT_BYTES = 1 << 18 };

static struct tiny_files tiny;
static char still[128], run[128], questions[128], output[OUTPUT_BYTES];

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void succeed(const char *const *words)
{
    if (program_run(output, OUTPUT_BYTES, words) != 0) fail_msg("%s: %s", words[0], output);
}

static void refused(const char *says, const char *const *words)
{
    int got = program_run(output, OUTPUT_BYTES, words);
    if (got != 2 || !strstr(output, says)) fail_msg("exit %d, wants 2 and '%s': %s", got, says, output);
}

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 12);
    strcpy(still, tiny_keep(&tiny, "still"));
    strcpy(run, tiny_keep(&tiny, "run"));
    strcpy(questions, tiny_keep(&tiny, "questions.jsonl"));
    tiny_write(questions, "{\"prompt\":\"abcd\",\"completion\":\" efg\"}\n{\"prompt\":\"hhgg\",\"completion\":\" dd\"}\n"
                          "{\"text\":\"asks nothing\"}\n{\"prompt\":\"a\",\"completion\":\"b\",\"loss_weight\":0}\n");
    succeed(WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", still, "--compute", "f32", "--rank", "2", "--max-steps",
                  "1", "--lr", "0"));
    succeed(WORDS("train", "-m", tiny.model, "-d", tiny.rows, "--valid", tiny.valid, "-o", run, "--compute", "f32", "--rank",
                  "4", "--max-steps", "20", "--lr", "1e-2", "--eval-every", "0"));
    return 0;
}

/* Line `n` of the output that is JSON (notes of the program stand in front of it). */
static json_t *line(int n)
{
    const char *p = strchr(output, '{');
    while (p && n-- > 0) p = strstr(p, "\n{") + 1;
    struct ctx *c = ctx_new(NULL);
    json_t *doc = p ? json_parse(c, "line", p, strcspn(p, "\n")) : NULL;
    if (!doc) fail_msg("%s: %s", c->message, output);
    ctx_free(c);
    return doc;
}

static double number(const json_t *doc, const char *key)
{
    const json_t *value = json_object_get(doc, key);
    if (!json_is_number(value)) fail_msg("no number '%s'", key);
    return json_number_value(value);
}

/* The loss of the last validation of the run, or of its first one, which is before training. */
static double validated(bool first)
{
    size_t n;
    char *text = tiny_read(tiny_path("%s/metrics.jsonl", run), &n);
    const char *last = NULL, *p = text;
    while ((p = strstr(p, "\"valid_loss\":")) != NULL && !(first && last)) last = p++;
    assert_non_null(last);
    double loss = strtod(last + strlen("\"valid_loss\":"), NULL);
    free(text);
    return loss;
}

static void the_loss_is_that_of_validation(void **state)
{
    (void)state;
    succeed(WORDS("eval", "-m", tiny.model, "-d", tiny.valid, "base", still, run, "--json", "--batch-tokens", "64"));
    json_t *base = line(0), *same = line(1), *learned = line(2), *o;
    if (!(fabs(number(learned, "loss") - validated(false)) < 1e-5)) fail_msg("not %g: %s", validated(false), output);
    if (!(fabs(number(base, "loss") - validated(true)) < 1e-5)) fail_msg("not %g: %s", validated(true), output);
    assert_true(fabs(number(learned, "perplexity") - exp(number(learned, "loss"))) < 1e-9);
    assert_true(number(same, "loss") == number(base, "loss"));
    assert_true(number(same, "loss_difference") == 0 && number(same, "loss_difference_stderr") == 0);
    assert_true(fabs(number(learned, "loss_difference") - number(learned, "loss") + number(base, "loss")) < 1e-9);
    if (!(number(learned, "loss_difference") < 0 && number(learned, "loss_difference_stderr") > 0)) fail_msg("%s", output);
    size_t i;
    double tokens = 0, nll = 0, documents = 0;
    json_array_foreach(json_object_get(learned, "sources"), i, o)
    {
        tokens += number(o, "tokens");
        documents += number(o, "documents");
        nll += number(o, "tokens") * number(o, "loss");
    }
    assert_true(tokens == number(learned, "tokens") && documents == number(learned, "documents") && documents == 12);
    assert_true(fabs(nll / tokens - number(learned, "loss")) < 1e-9);
    json_decref(base);
    json_decref(same);
    json_decref(learned);
}

static void answers_that_were_learned_are_exact(void **state)
{
    (void)state;
    const char *learned = tiny_keep(&tiny, "learned");
    succeed(WORDS("train", "-m", tiny.model, "-d", questions, "-o", learned, "--compute", "f32", "--rank", "8",
                  "--max-steps", "80", "--lr", "1e-2", "--no-packing"));
    succeed(WORDS("compare", "-m", tiny.model, learned, "-d", questions, "--answers", "0", "--json"));
    json_t *base = line(0), *o = line(1);
    assert_string_equal(json_string_value(json_object_get(o, "against")), "base");
    assert_true(number(base, "asked") == 2 && number(base, "exact") == 0); /* text asks nothing */
    assert_true(number(o, "asked") == 2 && number(o, "exact") == 1 && number(o, "exact_difference") == 1);
    assert_true(number(o, "rows") == 4 && number(o, "left_out_rows") == 1 && number(o, "documents") == 3);
    json_decref(base);
    json_decref(o);
    /* white space at the ends does not count, anything else does */
    const char *others = tiny_keep(&tiny, "others.jsonl");
    tiny_write(others, "{\"prompt\":\"abcd\",\"completion\":\" \\tefg \\n\"}\n{\"prompt\":\"abcd\",\"completion\":\" ef\"}\n"
                       "{\"prompt\":\"abcd\",\"completion\":\" efgh\"}\n{\"prompt\":\"abcd\",\"completion\":\" ef g\"}\n");
    succeed(WORDS("eval", "-m", tiny.model, "-d", others, learned, "--answers", "0", "--json"));
    o = line(0);
    assert_true(number(o, "asked") == 4 && number(o, "exact") == 0.25);
    json_decref(o);
    succeed(WORDS("eval", "-m", tiny.model, "-d", questions, learned, "--answers", "1"));
    assert_non_null(strstr(output, "1 rows of loss_weight 0 left out"));
    assert_non_null(strstr(output, "1 of 3 documents have a prompt and an answer and were asked"));
    assert_non_null(strstr(output, "exact 1.0000"));
}

/* Sum of the last n log-probabilities that `perplexity` prints for a text. */
static double scored(const char *model_words[], const char *text, int n)
{
    const char *path = tiny_keep(&tiny, "said.txt"), *words[16];
    double values[256];
    int count = 0, k = 0;
    tiny_write(path, text);
    for (; model_words[k]; k++) words[k] = model_words[k];
    memcpy(words + k, (const char *[]){"-f", path, "--json", NULL}, 4 * sizeof *words);
    succeed(words);
    for (const char *p = output; (p = strstr(p, "\"logprob\":")) && count < 256; p++)
        values[count++] = strtod(p + strlen("\"logprob\":"), NULL);
    double sum = 0;
    for (int i = count - n; i < count; i++) sum += values[i];
    return sum;
}

static void continuations_are_scored_under_each_model(void **state)
{
    (void)state;
    succeed(WORDS("compare", "-m", tiny.model, "base", run, "-p", "abc ", "-p", "hg", "-n", "7", "--json"));
    json_t *o = line(1);
    assert_string_equal(json_string_value(json_object_get(o, "model")), run);
    assert_string_equal(json_string_value(json_object_get(o, "prompt")), "abc ");
    char text[256];
    snprintf(text, sizeof(text), "abc %s", json_string_value(json_object_get(o, "text")));
    int tokens = (int)number(o, "tokens");
    const json_t *under = json_object_get(o, "logprob_under");
    assert_true(number(o, "logprob") == json_number_value(json_array_get(under, 1)));
    const char *base_words[] = {"perplexity", "-m", tiny.model, "--compute", "f32", NULL};
    const char *run_words[] = {"perplexity", "-m", tiny.model, "--adapter", tiny_keep(&tiny, "run/adapter"), NULL};
    assert_true(fabs(scored(base_words, text, tokens) - json_number_value(json_array_get(under, 0))) < 1e-4);
    assert_true(fabs(scored(run_words, text, tokens) - number(o, "logprob")) < 1e-4);
    assert_true(json_number_value(json_array_get(under, 0)) < number(o, "logprob"));
    json_decref(o);
    succeed(WORDS("compare", "-m", tiny.model, "base", run, "-p", "abc ", "-n", "7"));
    assert_non_null(strstr(output, "; under base -"));
}

/* A row longer than the model's context of 512 is split there, which is said; every token but the first still counts once.
 */
static void long_rows_are_split(void **state)
{
    (void)state;
    const char *rows = tiny_keep(&tiny, "long.jsonl");
    char text[1100];
    memset(text, 'a', sizeof(text));
    memcpy(text, "{\"text\":\"", 9);
    strcpy(text + 9 + 1000, "\"}\n");
    tiny_write(rows, text);
    succeed(WORDS("eval", "-m", tiny.model, "-d", rows, "--json"));
    json_t *o = line(0);
    assert_true(number(o, "rows") == 1 && number(o, "split_rows") == 1 && number(o, "documents") == 2);
    assert_true(number(o, "tokens") == 1000); /* 1,000 letters and the end, of which the first has nothing before it */
    json_decref(o);
    succeed(WORDS("eval", "-m", tiny.model, "-d", rows));
    assert_non_null(strstr(output, "1 rows split at 512 tokens"));
}

static void benchmarks_are_those_of_validate(void **state)
{
    (void)state;
    const char *rows = tiny_keep(&tiny, "arc.jsonl");
    tiny_write(rows, "{\"id\":\"1\",\"question\":\"abc?\",\"choices\":{\"text\":[\"de\",\"fgh\"],\"label\":[\"A\",\"B\"]},"
                     "\"answerKey\":\"B\"}\n{\"id\":\"2\",\"question\":\"hg?\",\"choices\":{\"text\":[\"a\",\"b c\"],"
                     "\"label\":[\"A\",\"B\"]},\"answerKey\":\"A\"}\n");
    succeed(WORDS("validate", "-m", tiny.model, "--benchmark", "arc", "-d", rows, run, "--json"));
    json_t *want = line(1);
    succeed(WORDS("compare", "-m", tiny.model, run, "base", "--benchmark", "arc", "--benchmark-data", rows, "--json"));
    json_t *got = line(0), *base = line(1);
    assert_true(number(got, "acc") == number(want, "acc") && number(got, "acc_norm") == number(want, "acc_norm"));
    assert_true(number(base, "acc_difference") == -number(want, "acc_difference"));
    assert_string_equal(json_string_value(json_object_get(base, "against")), run);
    json_decref(want);
    json_decref(got);
    json_decref(base);
}

/* The tokens that count when the rows of both forms are read by these words. */
static double tokens_of(const char *const *words)
{
    succeed(words);
    json_t *o = line(0);
    double tokens = number(o, "tokens");
    json_decref(o);
    return tokens;
}

/* Rows with text and a prompt, and a run that was told which of them to read: its rows are read so here, too. */
static void rows_are_read_as_the_run_read_them(void **state)
{
    (void)state;
    const char *both = tiny_keep(&tiny, "both.jsonl"), *told = tiny_keep(&tiny, "told"), *other = tiny_keep(&tiny, "other");
    tiny_write(both, "{\"text\":\"abcdefgh\",\"prompt\":\"ab\",\"completion\":\" c\"}\n");
    succeed(WORDS("train", "-m", tiny.model, "-d", both, "-o", told, "--compute", "f32", "--rank", "2", "--max-steps", "1",
                  "--row-form", "text", "--date", "2020-02-02"));
    succeed(WORDS("train", "-m", tiny.model, "-d", both, "-o", other, "--compute", "f32", "--rank", "2", "--max-steps", "1",
                  "--row-form", "prompt"));
    double text = tokens_of(WORDS("eval", "-m", tiny.model, "-d", both, "--row-form", "text", "--json"));
    double answer = tokens_of(WORDS("eval", "-m", tiny.model, "-d", both, "--row-form", "prompt", "--json"));
    assert_true(text > answer);
    assert_true(tokens_of(WORDS("eval", "-m", tiny.model, "-d", both, "base", told, "--json")) == text);
    assert_non_null(strstr(output, "read its own: --row-form text --date 2020-02-02"));
    assert_true(tokens_of(WORDS("eval", "-m", tiny.model, "-d", both, other, told, "--json")) == answer);
    assert_non_null(strstr(output, "told read its rows otherwise, with --row-form text --date 2020-02-02"));
    assert_true(tokens_of(WORDS("compare", "-m", tiny.model, "-d", both, told, "--row-form", "prompt", "--json")) == answer);
    assert_null(strstr(output, "--row-form")); /* the user's word */
    assert_non_null(strstr(output, "--date 2020-02-02"));
    /* options that this build does not know */
    size_t n;
    char *config = tiny_read(tiny_path("%s/config.json", told), &n);
    *strstr(config, "row-form") = 'x';
    tiny_write(tiny_path("%s/config.json", told), config);
    free(config);
    assert_true(tokens_of(WORDS("eval", "-m", tiny.model, "-d", both, told, "--row-form", "text", "--json")) == text);
    assert_non_null(strstr(output, "how ") && strstr(output, "told read its rows is not known"));
}

static void what_is_refused(void **state)
{
    (void)state;
    refused("give rows (-d), prompts (-p) or a benchmark", WORDS("compare", "-m", tiny.model, run));
    refused("give both", WORDS("compare", "-m", tiny.model, run, "--benchmark", "arc"));
    refused("are for --benchmark", WORDS("compare", "-m", tiny.model, run, "-p", "a", "--limit", "3"));
    refused("are for -p", WORDS("compare", "-m", tiny.model, run, "-d", tiny.rows, "--chat"));
    refused("--answers is for -d", WORDS("compare", "-m", tiny.model, run, "-p", "a", "--answers", "2"));
    refused("no-such-run", WORDS("eval", "-m", tiny.model, "-d", tiny.rows, tiny_keep(&tiny, "no-such-run")));
    refused("no-such-rows", WORDS("eval", "-m", tiny.model, "-d", tiny_keep(&tiny, "no-such-rows"), run));
    tiny_write(tiny_keep(&tiny, "empty.jsonl"), "");
    refused("empty.jsonl", WORDS("eval", "-m", tiny.model, "-d", tiny_keep(&tiny, "empty.jsonl")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_is_that_of_validation),
        cmocka_unit_test(answers_that_were_learned_are_exact),
        cmocka_unit_test(continuations_are_scored_under_each_model),
        cmocka_unit_test(long_rows_are_split),
        cmocka_unit_test(benchmarks_are_those_of_validate),
        cmocka_unit_test(rows_are_read_as_the_run_read_them),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
