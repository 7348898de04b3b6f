/* machine_profile: what is written reads back; what a file may hold instead is refused by name. step_cost: against a count
 * by hand. step_model: it finds the speeds that times were made with. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "measure/machine_profile.h"
#include "measure/step_cost.h"
#include "support_scratch.h"

static const struct machine_profile sound = {.program = "0.1.0",
                                             .device = "cpu-avx2",
                                             .cpu = "A \"processor\"",
                                             .date = "2026-11-28",
                                             .threads = 3,
                                             .fma_one = 1e11,
                                             .fma = 2.5e11,
                                             .read = 3e10,
                                             .step = {9e10, 0, 0, 1.25e11},
                                             .parts = {[COMPUTE_BF16] = {{{0.25, 0.5}, {0.75}}, {{1}, {1.5}}}}};

static void reads_back(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p;
    char folder[48], path[80];
    assert_non_null(mkdtemp(scratch_template(folder, sizeof folder, "profile")));
    snprintf(path, sizeof path, "%s/new/machine.json", folder);
    assert_int_equal(machine_profile_write(c, &sound, path), OK);
    assert_int_equal(machine_profile_read(c, path, &p), OK);
    assert_string_equal(p.cpu, sound.cpu);
    assert_string_equal(p.device, sound.device);
    assert_string_equal(p.program, sound.program);
    assert_string_equal(p.date, sound.date);
    assert_true(p.threads == 3 && p.fma == sound.fma && p.fma_one == sound.fma_one && p.read == sound.read);
    assert_memory_equal(p.step, sound.step, sizeof p.step);
    assert_memory_equal(p.parts, sound.parts, sizeof p.parts);
    assert_false(machine_profile_is_of(&p, "cpu-avx2", 3)); /* another processor */
    host_cpu_name(p.cpu);
    assert_true(machine_profile_is_of(&p, "cpu-avx2", 3));
    assert_false(machine_profile_is_of(&p, "cpu-avx2", 2));
    assert_false(machine_profile_is_of(&p, "cpu-avx512", 3));
    dir_remove(c, folder);
    ctx_free(c);
}

/* The sound file with one part replaced. */
static void refused(struct ctx *c, const char *from, const char *to, const char *names)
{
    struct machine_profile p;
    char text[1 << 14], changed[1 << 14];
    json_t *o = machine_profile_json(c, &sound);
    size_t n = json_dumpb(o, text, sizeof text - 1, 0);
    text[n] = '\0';
    json_decref(o);
    const char *at = strstr(text, from);
    assert_non_null(at);
    snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_int_equal(machine_profile_parse(c, "machine.json", changed, strlen(changed), &p), E_INPUT);
    if (!strstr(c->message, names)) fail_msg("'%s' is not in: %s", names, c->message);
    ctx_clear(c);
}

static void hostile(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p;
    refused(c, "\"version\": 2", "\"version\": 1", "version");
    refused(c, "\"version\": 2", "\"version\": 3", "version");
    refused(c, "\"parts_bf16\"", "\"parts_bf17\"", "parts_bf16");
    refused(c, "[0.25, 0.5, ", "[0.25, ", "parts_bf16 is not 4 arrays of 2 arrays of 7 numbers");
    refused(c, "[0.25, 0.5, ", "[0.25, [0.5], ", "parts_bf16 has something other than seconds");
    refused(c, "[0.25, 0.5, ", "[0.25, -1, ", "parts_bf16 has something other than seconds");
    refused(c, "[0.25, 0.5, ", "[0.25, 1e300, ", "parts_bf16 has something other than seconds");
    refused(c, "\"threads\": 3", "\"threads\": 0", "threads");
    refused(c, "\"threads\": 3", "\"threads\": \"3\"", "threads");
    refused(c, "\"threads\": 3", "\"threads\": 1025", "threads");
    refused(c, "\"fma_one\": 100000000000.0", "\"fma_one\": -1", "fma_one");
    refused(c, "\"read\": 30000000000.0", "\"read\": -1", "read");
    refused(c, "\"fma\": 250000000000.0", "\"fma\": -1", "fma");
    refused(c, "\"fma\": 250000000000.0", "\"fma\": 1e300", "fma");
    refused(c, "\"step_f32\"", "\"step_f33\"", "step_f32");
    refused(c, "\"device\": \"cpu-avx2\"", "\"device\": 5", "device");
    refused(c, "cpu-avx2", "cpu-avx2-cpu-avx2-cpu-avx2-cpu-avx2-cpu-avx2-cpu-avx2-cpu-avx2-cpu-avx2", "device is longer");
    assert_int_equal(machine_profile_parse(c, "machine.json", "[]", 2, &p), E_INPUT);
    ctx_clear(c);
    assert_int_equal(machine_profile_parse(c, "machine.json", "", 0, &p), E_INPUT);
    ctx_clear(c);
    ctx_free(c);
}

/* The tiny shapes: 2 layers, hidden 64, ffn 176, 4 heads and 2 of keys of 16, 264 tokens. */
static void operations(void **state)
{
    (void)state;
    const struct known_model *m = &known_models[known_model_find("tiny")];
    double weights = 64 * 64 * 2 + 64 * 32 * 2 + 3 * 64 * 176, head = 264 * 64;
    double adapter = 8 * ((64 + 64) * 2 + (64 + 32) * 2 + 3 * (64 + 176));
    double attention = 2 * 64 * (100 + 1) / 2.0; /* one product over the 50.5 tokens before, on average */
    double step = 2 * (4 * weights + 6 * adapter + 7 * attention) + 4 * head;
    assert_true(fabs(step_cost_flops(m, 8, 2, 100, 0) - step) < 1e-6 * step);
    double again = 2 * weights + 2 * attention;
    assert_true(fabs(step_cost_flops(m, 8, 2, 100, 2) - step - 2 * again) < 1e-6 * step);
    assert_true(fabs(step_cost_flops(m, 8, 0, 100, 0) - step + 2 * 6 * adapter) < 1e-6 * step);
}

/* Times of the sizes that are timed, with a speed of each amount for each part. */
static void make_times(step_times times, double each, double fixed)
{
    for (int i = 0; i < STEP_SIZES; i++)
        for (int j = 0; j < STEP_LENGTHS; j++) {
            double n = (double)step_model_tokens[j];
            const struct known_model *m = &step_model_sizes[i];
            const struct step_shape s = {
                .model = m, .rank = STEP_RANK, .adapted = m->layers, .tokens = n, .length = n, .trained = n};
            struct step_work w;
            step_cost_work(&s, &w);
            for (int k = 0; k < STEP_PARTS; k++) times[i][j][k] = (k + 1) * (each * w.each[k] + fixed * w.fixed[k]);
        }
}

static double seconds_by(const struct step_shape *s, double each, double fixed)
{
    struct step_work w;
    double sum = 0;
    step_cost_work(s, &w);
    for (int k = 0; k < STEP_PARTS; k++) sum += (k + 1) * (each * w.each[k] + fixed * w.fixed[k]);
    return sum;
}

/* Models narrower than, between and wider than those that are timed, and every member of a shape, are predicted by the
 * speeds that the times were made with; noise that no such speeds explain gives no negative ones. */
static void model_of_times(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny", "smollm2-360m", "llama-3.1-8b"};
    const step_times nothing = {{{0}}};
    step_times times;
    struct machine_profile p = {.step = {1e10}};
    make_times(times, 1e-11, 1e-9);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct known_model *m = &known_models[known_model_find(names[i])];
        struct step_shape s = {.model = m,
                               .rank = 8,
                               .adapted = m->layers / 2,
                               .recomputed = m->layers - 1,
                               .tokens = 2048,
                               .length = 512,
                               .trained = 700};
        double is = step_model_seconds(times, &s), should = seconds_by(&s, 1e-11, 1e-9);
        if (fabs(is - should) > 1e-6 * should) fail_msg("%s: %g s, not %g", names[i], is, should);
        assert_true(step_model_seconds(nothing, &s) == 0);
        /* without times of parts the operations alone count */
        should = 2048 * step_cost_flops(m, 8, m->layers / 2, 512, m->layers - 1) / 1e10;
        assert_true(fabs(machine_profile_predict(&p, COMPUTE_F32, &s) - should) < 1e-9 * should);
        s.forward = true;
        assert_true(step_model_seconds(times, &s) < is / 2);
    }
    for (int i = 0; i < STEP_SIZES; i++) times[i][0][STEP_LINEAR] = 1e3; /* few tokens slower than many */
    const struct known_model *m = &known_models[known_model_find("smollm2-135m")];
    const struct step_shape s = {.model = m, .rank = 8, .adapted = 30, .tokens = 4096, .length = 512, .trained = 4096};
    assert_true(step_model_seconds(times, &s) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_back), cmocka_unit_test(hostile), cmocka_unit_test(operations),
                                       cmocka_unit_test(model_of_times)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
