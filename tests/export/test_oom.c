/* Memory that runs out at any allocation of a whole journey (open, load an adapter, forward, merge) is one E_MEMORY, frees
 * everything and crashes nothing. */
#include "model/support_model.h"
#include "support_oom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend_open.h"
#include "base/file.h"
#include "base/mem.h"
#include "export/export.h"
#include "export/merge.h"

static enum status forward(struct model *m)
{
    struct batch_data b;
    batch_make(&b, m->config.vocab, 1, (int[]){6}, 3);
    struct kv_cache *cache = kv_cache_new(m->c, &m->config, 8);
    int mark = scope_open(m->c);
    if (cache) llama_logits(m, llama_hidden(m, &b.batch, &(struct forward_options){.cache = cache}), 5);
    scope_close(m->c, mark);
    kv_cache_free(cache);
    return m->c->status;
}

static void journey(struct ctx *c, struct fixture *f, const char *model, enum base_type base)
{
    if (array_env_new(c, backend_open(c, "cpu-reference")) != OK) return;
    struct model *m = model_open_with(c, fixture_path(f, model), &(struct model_options){.base = base});
    struct lora *l = m ? lora_load_peft(c, &m->config, fixture_path(f, "adapter")) : NULL;
    if (l) {
        model_attach_lora(m, l);
        if (forward(m) == OK)
            merge_write(m, fixture_path(f, "out"), &(struct merge_options){.type = TENSOR_BF16, .shard_bytes = 20000});
    }
    model_free(m);
    lora_free(l);
    array_env_free(c);
}

/* Everything that the command does: source, plan, every format written and checked. */
static void export_journey(struct ctx *c, struct fixture *f, const char *model, enum base_type formats)
{
    static const char *const lists[] = {"peft,safetensors:f16", "gguf-lora,gguf:q8_0", "coreml:lut4"};
    struct export_source s;
    struct export_job job = {.n = 0};
    struct export_logits *wanted = NULL;
    if (array_env_new(c, backend_open(c, "cpu-reference")) != OK) return;
    if (export_open(&s, c, fixture_path(f, "adapter"), fixture_path(f, model)) == OK &&
        export_plan(&s, lists[formats], fixture_path(f, "out"), &job) == OK) {
        for (size_t i = 0; i < job.n && ctx_ok(c); i++) {
            struct export_result r;
            export_write(&s, &job.targets[i], true, &wanted, &r);
            mem_free(c, r.opens);
        }
    }
    export_logits_free(wanted);
    export_job_release(c, &job);
    export_close(&s);
    array_env_free(c);
}

typedef void journey_fn(struct ctx *c, struct fixture *f, const char *model, enum base_type base);
static journey_fn *journey_now = journey;
static long stride = 1; /* of the allocations that fail: more than 1 where there are thousands of one kind */

static void fail_everywhere(struct fixture *f, const char *model, enum base_type base, bool once)
{
    long fail_at = 0;
    for (bool failed = true; failed; fail_at += stride) {
        struct oom oom = {.fail_at = fail_at, .once = once};
        struct ctx *c = oom_ctx(&oom);
        failed = oom.calls > fail_at; /* of ctx_new itself */
        if (c) {
            journey_now(c, f, model, base);
            failed = oom.calls > fail_at;
            if (!once && failed && c->status != E_MEMORY)
                fail_msg("allocation %ld: %s: %s", fail_at, status_name(c->status), c->message);
            if (!failed) assert_ok(c);
            if (!ctx_ok(c)) ctx_clear(c);
            ctx_free(c);
        }
        if (oom.live != 0) fail_msg("allocation %ld: %ld blocks were not freed", fail_at, oom.live);
        if (dir_exists(fixture_path(f, "out"))) assert_int_equal(dir_remove(f->c, fixture_path(f, "out")), OK);
    }
    assert_true(fail_at > 300); /* the journey is as long as it should be */
}

static void make_files(struct fixture *f)
{
    struct tiny t = tiny_llama;
    t.layers = 1;
    t.qkv_bias = t.o_bias = t.mlp_bias = true;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    tiny_write_hf(f, &t, "hf", NULL);
    struct model *m = model_open(f->c, fixture_path(f, "hf"));
    struct lora_config config = {.rank = 2, .alpha = 4, .targets = 1u << LORA_Q | 1u << LORA_DOWN};
    struct lora *l = lora_new(f->c, &m->config, &config);
    assert_int_equal(dir_make(f->c, fixture_path(f, "adapter")), OK);
    assert_int_equal(lora_save_peft(f->c, l, fixture_path(f, "adapter"), m->name), OK);
    lora_free(l);
    model_free(m);
}

static void folder(void **state)
{
    make_files(*state);
    fail_everywhere(*state, "hf", BASE_AS_IS, false);
}

static void gguf(void **state)
{
    make_files(*state);
    fail_everywhere(*state, "m.gguf", BASE_AS_IS, false);
}

static void made_forms(void **state)
{
    make_files(*state);
    fail_everywhere(*state, "m.gguf", BASE_NF4, false);
    fail_everywhere(*state, "hf", BASE_NF4, true);
    fail_everywhere(*state, "m.gguf", BASE_INT8, false);
}

static void exports(void **state)
{
    make_files(*state);
    journey_now = export_journey;
    for (int list = 0; list < 3; list++) {
        stride = list == 2 ? 13 : 1;
        fail_everywhere(*state, "hf", (enum base_type)list, false);
    }
    stride = 1;
    journey_now = journey;
}

/* One refusal and memory again: whatever was recovered from, nothing is lost or freed twice. */
static void transient(void **state)
{
    make_files(*state);
    fail_everywhere(*state, "hf", BASE_AS_IS, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folder, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(gguf, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(exports, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(made_forms, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(transient, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
