/* machine_profile: what is written reads back; what a file may hold instead is refused by name. step_cost: against a count
 * by hand. */
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

static const struct machine_profile sound = {.program = "0.1.0",
                                             .device = "cpu-avx2",
                                             .cpu = "A \"processor\"",
                                             .date = "2026-11-28",
                                             .threads = 3,
                                             .fma_one = 1e11,
                                             .fma = 2.5e11,
                                             .read = 3e10,
                                             .step = {9e10, 0, 0, 1.25e11}};

static void reads_back(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct machine_profile p;
    char folder[] = "/tmp/ya-profile-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/new/machine.json", folder);
    assert_int_equal(machine_profile_write(c, &sound, path), OK);
    assert_int_equal(machine_profile_read(c, path, &p), OK);
    assert_string_equal(p.cpu, sound.cpu);
    assert_string_equal(p.device, sound.device);
    assert_true(p.threads == 3 && p.fma == sound.fma && p.read == sound.read);
    assert_memory_equal(p.step, sound.step, sizeof p.step);
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
    char text[4096], changed[4096];
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
    refused(c, "\"version\": 1", "\"version\": 2", "version");
    refused(c, "\"threads\": 3", "\"threads\": 0", "threads");
    refused(c, "\"threads\": 3", "\"threads\": \"3\"", "threads");
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_back), cmocka_unit_test(hostile),
                                       cmocka_unit_test(operations)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
