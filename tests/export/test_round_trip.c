/* Round trips of formats: a Hugging Face folder to GGUF and back to a folder computes the same logits, for every family that
 * GGUF has. What a GGUF base keeps: test_gguf_vocab.c. */
#include "model/support_model.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "export/export.h"

enum { TOKENS = 24 };

/* Exports `model` without an adapter; what opens it, owned. */
static char *convert(struct fixture *f, const char *model, const char *format, const char *out)
{
    struct export_source s;
    struct export_job job;
    struct export_result r;
    assert_int_equal(export_open(&s, f->c, NULL, model), OK);
    assert_int_equal(export_plan(&s, format, fixture_path(f, out), &job), OK);
    if (export_write(&s, &job.targets[0], false, NULL, &r) != OK) fail_msg("%s to %s: %s", model, format, f->c->message);
    export_job_release(f->c, &job);
    export_close(&s);
    return r.opens;
}

/* Logits of a fixed batch, owned by the caller (free). */
static float *logits_of(struct fixture *f, const char *path, const struct batch_data *b, int64_t *vocab)
{
    struct model *m = model_open(f->c, path);
    assert_ok(f->c);
    *vocab = m->config.vocab;
    float *out = malloc((size_t)(TOKENS * m->config.vocab) * sizeof *out);
    assert_non_null(out);
    forward_logits(m, &b->batch, &(struct forward_options){0}, out);
    assert_ok(f->c);
    model_free(m);
    return out;
}

static void folder_to_gguf_to_folder(void **state)
{
    static const char *const folders[] = {"golden/llama2", "golden/llama32",   "golden/mistral", "golden/qwen2",
                                          "golden/qwen3",  "families/granite", "families/olmo2", "families/phi3_short"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        char path[512], out[2][16];
        struct batch_data b;
        int64_t vocab, same;
        snprintf(path, sizeof path, TEST_DATA "/%s", folders[i]);
        for (int k = 0; k < 2; k++) snprintf(out[k], sizeof out[k], "%s-%zu", k ? "hf" : "gguf", i);
        batch_make(&b, 40, 2, (int[]){15, 9}, 3);
        char *gguf = convert(f, path, "gguf:f32", out[0]), *back = convert(f, gguf, "safetensors:f32", out[1]);
        float *want = logits_of(f, path, &b, &vocab), *got = logits_of(f, back, &b, &same);
        assert_int_equal(vocab, same);
        double error = relative_error_f32(got, want, (size_t)(TOKENS * vocab));
        if (!(error <= 1e-6)) fail_msg("%s: logits are off by %g", folders[i], error);
        free(want);
        free(got);
        mem_free(f->c, gguf);
        mem_free(f->c, back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folder_to_gguf_to_folder, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
