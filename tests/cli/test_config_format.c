/* The format of a run's config.json: a run of the first format, which lacks the options that came later, is resumed to the
 * same adapter; any other member that is missing, and a format that is not known yet, are refused by name. */
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
#include "train/support_tiny.h"

static struct tiny_files tiny;
static char whole[160], run[160], config[192];

/* Trains into `output` as the program of the first format did. */
static void train(const char *output)
{
    struct capture r =
        capture_run(ARGV("train", "-m", tiny.model, "-d", tiny.rows, "-o", output, "--compute", "f32", "--engine", "native",
                         "--device", "cpu", "--max-steps", "4", "--rank", "2", "--raw", "--samples", "0", "-t", "1"));
    if (r.code != 0) fail_msg("%s", r.err);
    capture_release(&r);
}

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 30, 0);
    snprintf(whole, sizeof whole, "%s/whole", tiny.folder);
    snprintf(run, sizeof run, "%s/run", tiny.folder);
    snprintf(config, sizeof config, "%s/config.json", run);
    train(whole);
    train(run);
    return 0;
}

/* Writes config.json without some members, and with `format` for 0 or more. */
static void rewrite(struct ctx *c, const char *const *without, int format)
{
    struct buf text;
    json_t *o = json_parse_file(c, config, 1 << 20);
    assert_non_null(o);
    for (size_t i = 0; without[i]; i++) json_object_del(o, without[i]);
    if (format) json_object_set_new(o, "format", json_integer(format));
    buf_init(&text, c, 1 << 20);
    assert_int_equal(json_write(c, o, true, &text), OK);
    assert_int_equal(file_write_atomic(c, config, buf_str(&text), text.len), OK);
    buf_release(&text);
    json_decref(o);
}

#define WITHOUT(...) ((const char *const[]){__VA_ARGS__, NULL})

static void resumes_a_run_of_the_first_format(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    static const char *const left[] = {"checkpoints/*", "adapter", "best", "metrics.jsonl", "timing.jsonl"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        char command[256];
        snprintf(command, sizeof command, "rm -rf %s/%s", run, left[i]);
        assert_int_equal(system(command), 0);
    }
    rewrite(c,
            WITHOUT("format", "valid-share", "base-type", "compute", "force-adapter", "row-form", "raw", "date", "train-on",
                    "mask", "special", "patience", "recomputed-blocks", "max-memory", "plot", "samples", "engine", "device"),
            0);
    struct capture r = capture_run(ARGV("resume", run));
    if (r.code != 0) fail_msg("%s", r.err);
    capture_release(&r);
    tiny_assert_same_files(whole, run, WITHOUT("adapter/adapter_model.safetensors", "metrics.jsonl"));
    r = capture_run(ARGV("train", "--config", run, "--print-config"));
    assert_true(r.code == 0 && strstr(r.out, "rank: 2"));
    capture_release(&r);
    ctx_free(c);
}

static void refuses_others(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    rewrite(c, WITHOUT("nothing"), 3);
    capture_fails(2, "format", ARGV("inspect", run));
    rewrite(c, WITHOUT("nothing"), 2);
    capture_fails(2, "valid-share is missing", ARGV("inspect", run));
    rewrite(c, WITHOUT("format", "rank"), 0);
    capture_fails(2, "rank is missing", ARGV("inspect", run));
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resumes_a_run_of_the_first_format),
                                       cmocka_unit_test(refuses_others)};
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
