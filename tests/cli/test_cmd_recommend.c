/* recommend, benchmark, optimize and --preset: what they print, what they keep, and that a second call measures nothing
 * again. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/support_capture.h"
#include "measure/machine_profile.h"
#include "measure/step_cost.h"
#include "measure/trial_log.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;
static char results[160], best[160], log_path[192];

static int recommend_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 0);
    snprintf(results, sizeof results, "%s/results.jsonl", tiny.folder);
    snprintf(best, sizeof best, "%s/best.yaml", tiny.folder);
    snprintf(log_path, sizeof log_path, "%s.trials.jsonl", best);
    return setenv("XDG_CONFIG_HOME", tiny.folder, 1);
}

#define RECOMMEND                                                                                                           \
    "recommend", "-t", "1", "--device", "cpu-portable", "--max-length", "64", "--batch", "1", "--largest", "0.2", "--json"

static json_t *recommend_json(struct ctx *c, const char *const *argv)
{
    struct capture r = capture_run(argv);
    if (r.code != 0) fail_msg("exit %d: %s", r.code, r.err);
    json_t *o = json_parse(c, "recommend", r.out, strlen(r.out));
    assert_non_null(o);
    capture_release(&r);
    return o;
}

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(json_array_get(json_object_get(o, "models"), 0), key));
}

/* Speeds are absent, predicted from the profile, or measured. */
static void speeds(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p = {.device = "cpu-portable", .threads = 1, .step = {1e10}};
    struct trial_result t = {.outcome = TRIAL_OK, .tokens_per_s = 321};
    json_t *o = recommend_json(c, ARGV(RECOMMEND, "--tokens", "1000"));
    assert_int_equal(json_array_size(json_object_get(o, "models")), 1);
    assert_string_equal(json_string_value(json_object_get(o, "recommended")), "smollm2-135m");
    assert_true(number(o, "planned_bytes") > 3e8 && number(o, "tokens_per_s") == 0);
    json_decref(o);
    char *path = machine_profile_path(c);
    host_cpu_name(p.cpu);
    assert_int_equal(machine_profile_write(c, &p, path), OK);
    o = recommend_json(c, ARGV(RECOMMEND, "--tokens", "1000"));
    const struct known_model *m = &known_models[known_model_find("smollm2-135m")];
    double rate = 1e10 / step_cost_flops(m, 16, m->layers, 64, 0);
    assert_true(fabs(number(o, "tokens_per_s") - rate) < 1e-6 * rate);
    assert_true(fabs(number(o, "hours") - 3000 / rate / 3600) < 1e-9); /* three epochs */
    json_decref(o);
    snprintf(t.key, sizeof t.key, "smollm2-135m cpu-portable t1 as-is f32 1x64 r16");
    assert_int_equal(trial_log_append(c, results, &t), OK);
    o = recommend_json(c, ARGV(RECOMMEND, "--results", results));
    assert_true(number(o, "tokens_per_s") == 321);
    assert_true(json_is_true(json_object_get(json_array_get(json_object_get(o, "models"), 0), "measured")));
    json_decref(o);
    o = recommend_json(c, ARGV(RECOMMEND, "--max-memory", "0.1"));
    assert_true(json_is_null(json_object_get(o, "recommended")));
    json_decref(o);
    p.threads = 5; /* of another number of threads: not used, and said to be so */
    assert_int_equal(machine_profile_write(c, &p, path), OK);
    struct capture r =
        capture_run(ARGV("recommend", "-t", "1", "--device", "cpu-portable", "--largest", "0.2", "-d", tiny.rows));
    if (r.code != 0) fail_msg("%s", r.err);
    assert_non_null(strstr(r.err, "run setup again"));
    static const char *const parts[] = {"(estimated)", "HuggingFaceTB/SmolLM2-135M-Instruct (Apache-2.0)", "--preset ",
                                        "largest that fits and is done in time: smollm2-135m"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(r.out, parts[i])) fail_msg("'%s' is not in\n%s", parts[i], r.out);
    capture_release(&r);
    mem_free(c, path);
    ctx_free(c);
    /* without a tokenizer every four bytes of a row's texts are a token, in whatever form they are: 120 + 40 + 40 here */
    const char *forms = tiny_keep(&tiny, "forms.jsonl");
    char rows[1024];
    snprintf(rows, sizeof rows,
             "{\"text\": \"%0120d\"}\n{\"prompt\": \"%020d\", \"completion\": \"%020d\"}\n"
             "{\"messages\": [{\"role\": \"user\", \"content\": \"%020d\"}, {\"role\": \"assistant\", \"content\": "
             "[{\"type\": \"text\", \"text\": \"%020d\"}]}]}\n",
             0, 0, 0, 0, 0);
    tiny_write(forms, rows);
    c = ctx_new(NULL);
    o = recommend_json(c, ARGV(RECOMMEND, "--epochs", "1", "-d", forms));
    assert_int_equal(json_integer_value(json_object_get(o, "tokens")), 50);
    json_decref(o);
    ctx_free(c);
    capture_fails(2, "give one of them", ARGV("recommend", "-d", tiny.rows, "--tokens", "5"));
    capture_fails(2, "there is no device 'nosuch'", ARGV("recommend", "--device", "nosuch"));
}

/* ---- the table, and which model it names --------------------------------------------------------------------------- */

/* Two models, of 135 and 360 million parameters. */
#define RECOMMEND_TWO                                                                                                       \
    "recommend", "-t", "1", "--device", "cpu-portable", "--max-length", "64", "--batch", "1", "--largest", "0.4"

/* A line of the table. */
struct table_line {
    char base[16], fits[16], rate[32], hours[32], hub[96];
    double billions, files, memory;
};

static struct table_line line_of(const char *page, const char *model)
{
    struct table_line l = {.billions = 0};
    char format[160], start[64];
    snprintf(start, sizeof start, "\n%s ", model);
    snprintf(format, sizeof format, "\n%s %%lf B %%lf GB %%15s %%lf GiB %%15s %%31s %%31s %%95s", model);
    const char *at = strstr(page, start);
    if (!at || sscanf(at, format, &l.billions, &l.files, l.base, &l.memory, l.fits, l.rate, l.hours, l.hub) != 8)
        fail_msg("no such line of %s in\n%s", model, page);
    return l;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("'%s' is not in\n%s", part, text);
}

static void page_has(const char *const *argv, const char *part, const char *not_part)
{
    struct capture r = capture_run(argv);
    if (r.code != 0) fail_msg("exit %d: %s", r.code, r.err);
    has(r.out, part);
    if (not_part && strstr(r.out, not_part)) fail_msg("'%s' is in\n%s", not_part, r.out);
    capture_release(&r);
}

/* What the program held itself when it planned, in GiB, as the page says. */
static double own_of(const char *page)
{
    double mib = -1;
    const char *at = strstr(page, "\nmemory is what the planner counts, with ");
    if (!at || sscanf(at, "\nmemory is what the planner counts, with %lf MiB of this program", &mib) != 1)
        fail_msg("no share of the program in\n%s", page);
    return mib / 1024;
}

/* A line of the page against the object of the JSON. They are of two runs, and each counts what its own process held, which
 * is not the same and much more under a sanitizer; each says how much that was (`own` of the JSON), and all else is the same
 * to the rounding of the page: 0.005 GiB, and 0.05 MiB. A plan holds the weights once and, for so few tokens, less than that
 * again. */
static void check_line(const char *page, const json_t *model, double own)
{
    const char *name = json_string_value(json_object_get(model, "model"));
    struct table_line l = line_of(page, name);
    double planned = json_number_value(json_object_get(model, "planned_bytes")) - own,
           files = json_number_value(json_object_get(model, "file_bytes")),
           parameters = json_number_value(json_object_get(model, "parameters"));
    char rate[32], hours[32];
    assert_true(planned > files && planned < 2 * files && files == 2 * parameters);
    assert_true(fabs(l.billions - parameters / 1e9) < 0.0051 && fabs(l.files - files / 1e9) < 0.051);
    assert_true(fabs(l.memory - own_of(page) - planned / 0x1p30) < 0.0051);
    snprintf(rate, sizeof rate, "~%.1f", json_number_value(json_object_get(model, "tokens_per_s")));
    snprintf(hours, sizeof hours, "~%.1f", json_number_value(json_object_get(model, "hours")));
    assert_string_equal(l.rate, rate);
    assert_string_equal(l.hours, hours);
    assert_string_equal(l.base, "as-is");
    assert_string_equal(l.fits, "yes");
    assert_string_equal(l.hub, json_string_value(json_object_get(model, "hub")));
}

/* The profile predicts some tokens a second, so that a million of them take days. */
static void table_and_choice(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p = {.device = "cpu-portable", .threads = 1, .step = {1e9}, .date = "2026-01-02"};
    char *path = machine_profile_path(c), limit[32];
    host_cpu_name(p.cpu);
    assert_int_equal(machine_profile_write(c, &p, path), OK);
    json_t *o = recommend_json(c, ARGV(RECOMMEND_TWO, "--json", "--tokens", "1000000", "--hours", "1e6"));
    const json_t *models = json_object_get(o, "models"), *small = json_array_get(models, 0),
                 *large = json_array_get(models, 1);
    assert_int_equal(json_array_size(models), 2);
    assert_int_equal(json_integer_value(json_object_get(o, "tokens")), 3000000); /* three epochs */
    assert_string_equal(json_string_value(json_object_get(o, "recommended")), "smollm2-360m");
    double quick = json_number_value(json_object_get(small, "hours")),
           slow = json_number_value(json_object_get(large, "hours")),
           own = json_number_value(json_object_get(o, "program_bytes"));
    assert_true(own > 0);
    assert_true(quick > 24 && slow > 2 * quick);
    struct capture r = capture_run(ARGV(RECOMMEND_TWO, "--tokens", "1000000", "--hours", "1e6"));
    if (r.code != 0) fail_msg("exit %d: %s", r.code, r.err);
    check_line(r.out, small, own);
    check_line(r.out, large, own);
    has(r.out, "on cpu-portable with 1 threads and ");
    has(r.out, ", 3 M tokens to train\n");
    has(r.out, "~ predicted from what setup measured on 2026-01-02; ");
    has(r.out, "largest that fits and is done in time: smollm2-360m\n"
               "  huggingface-cli download HuggingFaceTB/SmolLM2-360M-Instruct\n"
               "  your_ai plan -m HuggingFaceTB/SmolLM2-360M-Instruct ");
    capture_release(&r);
    /* the larger one is late, or both are */
    snprintf(limit, sizeof limit, "%.1f", (quick + slow) / 2);
    page_has(ARGV(RECOMMEND_TWO, "--tokens", "1000000", "--hours", limit), "done in time: smollm2-135m\n", NULL);
    page_has(ARGV(RECOMMEND_TWO, "--tokens", "1000000"), "none fits in that time: try --rank 8", "huggingface-cli");
    json_decref(o);
    mem_free(c, path);
    ctx_free(c);
}

/* What does not fit is left out, or said not to with --all; a profile of the original that is larger than the model's own
 * plan may not fit either. Without a profile of this machine there are no speeds. */
static void memory_that_does_not_do(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p = {.device = "cpu-portable", .threads = 5, .step = {1e9}};
    char *path = machine_profile_path(c), limit[32], both[64];
    host_cpu_name(p.cpu);
    assert_int_equal(machine_profile_write(c, &p, path), OK);
    page_has(ARGV(RECOMMEND_TWO, "--max-memory", "0.01"), "none fits in that time", "\nsmollm2-135m ");
    struct capture r = capture_run(ARGV(RECOMMEND_TWO, "--max-memory", "0.01", "--all", "--tokens", "1000"));
    assert_int_equal(r.code, 0);
    struct table_line l = line_of(r.out, "smollm2-135m");
    assert_string_equal(l.fits, "no");
    assert_string_equal(l.base, "nf4");
    assert_string_equal(l.rate, "-");
    assert_string_equal(l.hours, "-");
    has(r.out, "no speeds: run `your_ai setup` first");
    capture_release(&r);
    /* As much as an adapter of rank 1 takes with short rows: each profile of the original has a larger one, by some 10 MiB
     * here. What the program holds, which the plan counts, is another number in each run: 4 MiB are left for that. */
#define RECOMMEND_LITTLE                                                                                                    \
    "recommend", "-t", "1", "--device", "cpu-portable", "--max-length", "16", "--batch", "1", "--rank", "1", "--largest",   \
        "0.4"
    json_t *o = recommend_json(c, ARGV(RECOMMEND_LITTLE, "--json"));
    const json_t *larger = json_array_get(json_object_get(o, "models"), 1);
    assert_string_equal(json_string_value(json_object_get(larger, "model")), "smollm2-360m");
    snprintf(limit, sizeof limit, "%.5f", json_number_value(json_object_get(larger, "planned_bytes")) / 0x1p30 + 0.004);
    json_decref(o);
    r = capture_run(ARGV(RECOMMEND_LITTLE, "--max-memory", limit));
    assert_int_equal(r.code, 0);
    has(r.out, "largest that fits: smollm2-360m\n");
    double gib = -1;
    const char *preset = strstr(r.out, "nearest hardware profile of the original: --preset ");
    if (!preset || sscanf(strstr(preset, "): "), "): %lf GiB, %63[^\n]", &gib, both) != 2) fail_msg("%s", r.out);
    assert_string_equal(both, "does not fit");
    assert_true(gib > strtod(limit, NULL));
    capture_release(&r);
    mem_free(c, path);
    ctx_free(c);
}

static void benchmark_keeps_what_it_measured(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct trial_log log;
    const char *file = tiny_keep(&tiny, "bench.jsonl");
#define BENCHMARK "benchmark", "-t", "1", "--device", "cpu", "--max-length", "32", "-b", "1", "--results", file
    struct capture r = capture_run(ARGV(BENCHMARK, "tiny", tiny.model, "no/such"));
    assert_int_equal(r.code, 2); /* a model that is nowhere; what came before it is kept */
    capture_release(&r);
    assert_int_equal(trial_log_read(c, file, &log), OK);
    assert_int_equal(log.n, 2);
    for (size_t i = 0; i < log.n; i++)
        if (log.list[i].outcome != TRIAL_OK || !(log.list[i].tokens_per_s > 0)) fail_msg("%s", log.list[i].message);
    for (size_t i = 0; i < log.n; i++) assert_true(log.list[i].peak_bytes > 1 << 20 && log.list[i].peak_bytes < 1 << 30);
    trial_log_release(&log);
    r = capture_run(ARGV(BENCHMARK, "tiny"));
    assert_int_equal(r.code, 0);
    assert_non_null(strstr(r.out, "(was there)"));
    capture_release(&r);
    r = capture_run(ARGV(BENCHMARK, "tiny", "--timeout", "1", "--again", "--rank", "3"));
    assert_int_equal(r.code, 0);
    assert_null(strstr(r.out, "(was there)"));
    capture_release(&r);
    ctx_free(c);
}

static void optimize_writes_a_configuration(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct trial_log log;
#define OPTIMIZE                                                                                                            \
    "optimize", best, "-m", tiny.model, "-d", tiny.rows, "-t", "1", "--device", "cpu", "--compute", "f32", "--base-type",   \
        "as-is"
    struct capture r = capture_run(ARGV(OPTIMIZE, "--batch", "2"));
    if (r.code != 0) fail_msg("exit %d: %s%s", r.code, r.out, r.err);
    assert_true(strstr(r.out, "as given") && strstr(r.out, "--grad-checkpoint on") && strstr(r.out, "not taken"));
    assert_null(strstr(r.out, "--batch 1")); /* given, so it stays */
    assert_null(strstr(r.out, "--base-type"));
    capture_release(&r);
    assert_int_equal(trial_log_read(c, log_path, &log), OK);
    assert_int_equal(log.n, 4);
    trial_log_release(&log);
    /* a second call measures nothing */
    r = capture_run(ARGV(OPTIMIZE, "--batch", "2"));
    assert_int_equal(r.code, 0);
    assert_int_equal(trial_log_read(c, log_path, &log), OK);
    assert_int_equal(log.n, 4);
    trial_log_release(&log);
    capture_release(&r);
    r = capture_run(ARGV("train", "--config", best, "--print-config"));
    assert_int_equal(r.code, 0);
    assert_true(strstr(r.out, "batch: 2\n") && strstr(r.out, tiny.model));
    capture_release(&r);
    /* memory that does not suffice is a result of each choice, and no configuration comes of it */
    r = capture_run(ARGV(OPTIMIZE, "--max-memory", "1e-4", "--grad-checkpoint", "on"));
    assert_int_equal(r.code, 1);
    assert_non_null(strstr(r.out, "does not fit"));
    capture_release(&r);
    ctx_free(c);
}

static void presets(void **state)
{
    (void)state;
    struct capture r = capture_run(ARGV("train", "-m", "x", "--preset", "max-64-large", "--rank", "7", "--print-config"));
    if (r.code != 0) fail_msg("%s", r.err);
    static const char *const parts[] = {"batch: 2\n", "alpha: 192\n", "last-layers: 20\n", "grad-checkpoint: off\n",
                                        "rank: 7\n"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (!strstr(r.out, parts[i])) fail_msg("'%s' is not in\n%s", parts[i], r.out);
    capture_release(&r);
    capture_fails(2, "did you mean original?", ARGV("train", "-m", "x", "--preset", "orginal", "--print-config"));
    r = capture_run(ARGV("help", "presets"));
    assert_true(r.code == 0 && strstr(r.out, "original") && strstr(r.out, "ultra-192-xlarge"));
    /* each of them is one that train reads */
    for (const char *line = r.out; (line = strstr(line, "\n  ")); line++) {
        char name[32] = "";
        if (sscanf(line + 3, "%31s", name) != 1 || strcmp(name, "profile") == 0) continue;
        struct capture t = capture_run(ARGV("train", "-m", "x", "--preset", name, "--print-config"));
        if (t.code != 0) fail_msg("%s: %s", name, t.err);
        capture_release(&t);
    }
    capture_release(&r);
    capture_fails(2, "--preset", ARGV("setup", "--preset", "original"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(speeds),
                                       cmocka_unit_test(table_and_choice),
                                       cmocka_unit_test(memory_that_does_not_do),
                                       cmocka_unit_test(benchmark_keeps_what_it_measured),
                                       cmocka_unit_test(optimize_writes_a_configuration),
                                       cmocka_unit_test(presets)};
    return cmocka_run_group_tests(tests, recommend_setup, tiny_files_remove);
}
