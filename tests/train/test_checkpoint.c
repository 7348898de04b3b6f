/* checkpoint: every damage is refused with a reason, and what is found, kept and deleted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "train/checkpoint.h"
#include "train/run.h"
#include "train/support_tiny.h"

/* A model with a very small adapter, an engine on it and a run folder. */
struct fixture {
    struct ctx *c;
    const char *run;
    struct model *model;
    struct lora *lora;
    struct engine *engine;
    struct train_state state;
};

static char warnings[4096];
static void keep_warning(void *user, enum log_level level, const char *message)
{
    (void)user;
    if (level == LOG_WARN) snprintf(warnings, sizeof(warnings), "%s", message);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->c = tiny_ctx(1);
    f->c->hooks.log = keep_warning;
    char *model_dir = strdup(tiny_path("%s/model", tiny_folder()));
    tiny_model(f->c, model_dir, false);
    f->run = tiny_folder();
    assert_int_equal(run_create(f->c, f->run), OK);
    f->model = model_open(f->c, model_dir);
    assert_non_null(f->model);
    free(model_dir);
    struct lora_config config = {.rank = 1, .alpha = 2, .targets = 1u << LORA_K, .last_layers = 1, .seed = 3};
    f->lora = lora_new(f->c, &f->model->config, &config);
    f->engine = engine_native_new(f->c, f->model, f->lora);
    assert_non_null(f->engine);
    for (size_t i = 0; i < f->engine->parameters->n; i++) {
        float m[64], v[64];
        assert_true(tiny_size(f->engine, i) <= 64);
        for (int64_t k = 0; k < tiny_size(f->engine, i); k++) {
            m[k] = 0.25f * (float)k - (float)i;
            v[k] = (float)k * 1e-3f;
        }
        assert_int_equal(f->engine->ops->write(f->engine, ENGINE_FIRST_MOMENTS, i, m), OK);
        assert_int_equal(f->engine->ops->write(f->engine, ENGINE_SECOND_MOMENTS, i, v), OK);
    }
    f->state = (struct train_state){.step = 7, .seed = 5, .q = 1.0 / 3.0, .mean_g = 0.1, .metrics_bytes = 99};
    f->state.compute = COMPUTE_INT8X2;
    memset(f->state.config_sha256, 'a', 64);
    memset(f->state.data_sha256, 'b', 64);
    clip_init(&f->state.clip, CLIP_RELATIVE, 1.0);
    for (int i = 0; i < 130; i++) clip_add(&f->state.clip, 1.0 / (i + 3.0), 0.7, i % 3 == 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->engine->ops->free(f->engine);
    lora_free(f->lora);
    model_free(f->model);
    tiny_ctx_free(f->c);
    tiny_cleanup();
    free(f);
    return 0;
}

static char *save(struct fixture *f, int64_t step, int64_t best)
{
    f->state.step = step;
    f->state.best_step = best;
    if (checkpoint_save(f->c, f->run, &f->state, f->engine) != OK) fail_msg("%s", f->c->message);
    return checkpoint_path(f->c, f->run, step);
}

static void assert_refused(struct fixture *f, const char *dir, const char *why)
{
    if (checkpoint_verify(f->c, dir) == OK) fail_msg("accepted: %s", why);
    assert_int_equal(f->c->status, E_INPUT);
    assert_non_null(strstr(f->c->message, dir));
    ctx_clear(f->c);
}

static void write_bytes(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors", "adapter_optimizer.safetensors",
                                    "state.json", "manifest.json"};
enum { N_FILES = sizeof(files) / sizeof(files[0]) };

/* Every byte of every file, in four ways, and every truncation. */
static void every_mutation_is_refused(void **state)
{
    struct fixture *f = *state;
    char *dir = save(f, 7, 0);
    size_t tried = 0;
    assert_int_equal(checkpoint_verify(f->c, dir), OK);
    for (int i = 0; i < N_FILES; i++) {
        const char *path = tiny_path("%s/%s", dir, files[i]);
        size_t n;
        char *bytes = tiny_read(path, &n);
        for (size_t at = 0; at < n; at++) {
            char was = bytes[at], change[4] = {(char)(was ^ 1), (char)(was ^ 0x80), 0, (char)0xff};
            for (int k = 0; k < 4; k++) {
                if (change[k] == was) continue;
                bytes[at] = change[k];
                write_bytes(path, bytes, n);
                assert_refused(f, dir, path);
                tried++;
            }
            bytes[at] = was;
            write_bytes(path, bytes, at);
            assert_refused(f, dir, path);
        }
        write_bytes(path, bytes, n);
        free(bytes);
        assert_int_equal(checkpoint_verify(f->c, dir), OK);
    }
    assert_true(tried > 5000);
    mem_free(f->c, dir);
}

/* Files of another step, missing files, additional ones and symbolic links. */
static void wrong_sets_are_refused(void **state)
{
    struct fixture *f = *state;
    char *dir = save(f, 7, 0), *other = save(f, 8, 0);
    for (int i = 0; i < N_FILES; i++) {
        const char *path = tiny_path("%s/%s", dir, files[i]), *aside = tiny_path("%s/aside", f->run);
        assert_int_equal(rename(path, aside), 0);
        assert_refused(f, dir, "a file is missing");
        assert_int_equal(symlink(aside, path), 0);
        if (i < 4) assert_refused(f, dir, "a symbolic link");
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rename(aside, path), 0);
    }
    const char *extra = tiny_path("%s/extra.bin", dir);
    tiny_write(extra, "x");
    assert_refused(f, dir, "an additional file");
    assert_int_equal(unlink(extra), 0);
    assert_int_equal(checkpoint_verify(f->c, dir), OK);
    assert_int_equal(rename(tiny_path("%s/state.json", other), tiny_path("%s/state.json", dir)), 0);
    assert_refused(f, dir, "the state of another step");
    mem_free(f->c, dir);
    mem_free(f->c, other);
}

static void state_comes_back_exactly(void **state)
{
    struct fixture *f = *state;
    struct train_state back;
    char *dir = save(f, 7, 3);
    assert_int_equal(state_load(f->c, dir, &back), OK);
    assert_int_equal(back.clip.n, CLIP_WINDOW);
    assert_memory_equal(back.clip.window, f->state.clip.window, sizeof(back.clip.window));
    assert_true(back.clip.next == 30 && back.clip.steps == 130 && back.clip.clipped == f->state.clip.clipped);
    assert_true(back.q == 1.0 / 3.0 && back.mean_g == 0.1 && back.metrics_bytes == 99 && back.best_step == 3);
    assert_int_equal(back.compute, COMPUTE_INT8X2);
    assert_string_equal(back.config_sha256, f->state.config_sha256);
    assert_string_equal(back.data_sha256, f->state.data_sha256);
    mem_free(f->c, dir);
}

static void adapter_and_moments_come_back_exactly(void **state)
{
    struct fixture *f = *state;
    char *dir = save(f, 7, 0);
    enum { SETS = 3 };
    static const int sets[SETS] = {ENGINE_PARAMETERS, ENGINE_FIRST_MOMENTS, ENGINE_SECOND_MOMENTS};
    static const float other[64] = {77.0f};
    float *before[2][SETS];
    for (size_t i = 0; i < 2; i++)
        for (int k = 0; k < SETS; k++) {
            before[i][k] = tiny_values(f->engine, sets[k], i);
            assert_int_equal(f->engine->ops->write(f->engine, (enum engine_values)sets[k], i, other), OK);
        }
    if (checkpoint_restore(f->c, dir, f->engine) != OK) fail_msg("%s", f->c->message);
    for (size_t i = 0; i < 2; i++)
        for (int k = 0; k < SETS; k++) {
            float *after = tiny_values(f->engine, sets[k], i);
            assert_memory_equal(before[i][k], after, (size_t)tiny_size(f->engine, i) * sizeof *after);
            free(before[i][k]);
            free(after);
        }
    mem_free(f->c, dir);
}

/* A colleague's file may carry right checksums over wrong content: reading it must fail or succeed, and nothing else. */
static void hostile_content_with_right_checksums(void **state)
{
    struct fixture *f = *state;
    static const char *const states[] = {"", "[]", "{}", "null", "{\"version\":2}", "{\"version\":1,\"step\":-1}"};
    char *dir = save(f, 7, 0);
    struct train_state back;
    const char *path = tiny_path("%s/state.json", dir);
    size_t n;
    char *text = tiny_read(path, &n);
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        tiny_write(path, states[i]);
        assert_int_equal(state_load(f->c, dir, &back), E_INPUT);
        assert_non_null(strstr(f->c->message, "state.json"));
        ctx_clear(f->c);
    }
    for (size_t at = 0; at < n; at++) {
        char was = text[at];
        text[at] = (char)(was ^ 1);
        write_bytes(path, text, n);
        if (state_load(f->c, dir, &back) == OK)
            assert_true(back.clip.n <= CLIP_WINDOW && back.clip.next < CLIP_WINDOW && back.step >= 0);
        ctx_clear(f->c);
        text[at] = was;
    }
    write_bytes(path, text, n);
    free(text);
    path = tiny_path("%s/adapter_optimizer.safetensors", dir);
    text = tiny_read(path, &n);
    for (size_t at = 0; at < n && at < 1200; at++) {
        char was = text[at];
        text[at] = (char)(was ^ 1);
        write_bytes(path, text, n);
        checkpoint_restore(f->c, dir, f->engine);
        ctx_clear(f->c);
        text[at] = was;
    }
    free(text);
    mem_free(f->c, dir);
}

static void last_falls_back_and_says_so(void **state)
{
    struct fixture *f = *state;
    assert_null(checkpoint_last(f->c, f->run));
    assert_int_equal(f->c->status, OK);
    char *old = save(f, 7, 0), *new = save(f, 20, 0), *found = checkpoint_last(f->c, f->run);
    assert_string_equal(found, new);
    mem_free(f->c, found);
    tiny_write(tiny_path("%s/state.json", new), "{}");
    warnings[0] = '\0';
    found = checkpoint_last(f->c, f->run);
    assert_string_equal(found, old);
    mem_free(f->c, found);
    assert_non_null(strstr(warnings, "step-000020 is skipped"));
    assert_non_null(strstr(warnings, "state.json"));
    assert_int_equal(unlink(tiny_path("%s/manifest.json", old)), 0);
    assert_null(checkpoint_last(f->c, f->run));
    assert_int_equal(f->c->status, E_INPUT);
    ctx_clear(f->c);
    /* saving the damaged step again replaces it */
    mem_free(f->c, new);
    new = save(f, 20, 0);
    found = checkpoint_last(f->c, f->run);
    assert_string_equal(found, new);
    mem_free(f->c, found);
    mem_free(f->c, old);
    mem_free(f->c, new);
}

static bool has_step(struct fixture *f, int64_t step)
{
    char *path = checkpoint_path(f->c, f->run, step);
    bool has = dir_exists(path);
    mem_free(f->c, path);
    return has;
}

static void prune_keeps_newest_and_best(void **state)
{
    struct fixture *f = *state;
    for (int64_t step = 1; step <= 9; step++) mem_free(f->c, save(f, step, step < 3 ? step : 3));
    tiny_write(tiny_path("%s/checkpoints/notes.txt", f->run), "mine");
    assert_int_equal(checkpoint_prune(f->c, f->run, 2), OK);
    for (int64_t step = 1; step <= 9; step++) assert_true(has_step(f, step) == (step == 3 || step >= 8));
    assert_true(file_exists(tiny_path("%s/checkpoints/notes.txt", f->run)));
}

static void sweep_removes_what_a_kill_left(void **state)
{
    struct fixture *f = *state;
    mem_free(f->c, save(f, 4, 0));
    assert_int_equal(dir_make(f->c, tiny_path("%s/checkpoints/.tmp-step-000005", f->run)), OK);
    tiny_write(tiny_path("%s/checkpoints/.tmp-step-000005/state.json", f->run), "half");
    assert_int_equal(checkpoint_sweep(f->c, f->run), OK);
    assert_false(dir_exists(tiny_path("%s/checkpoints/.tmp-step-000005", f->run)));
    assert_true(has_step(f, 4));
}

static void publish_replaces_the_adapter(void **state)
{
    struct fixture *f = *state;
    char *a = save(f, 1, 0);
    assert_int_equal(checkpoint_publish(f->c, a, f->run), OK);
    static const float other[64] = {3.5f};
    assert_int_equal(f->engine->ops->write(f->engine, ENGINE_PARAMETERS, 1, other), OK);
    char *b = save(f, 2, 0);
    assert_int_equal(checkpoint_publish(f->c, b, f->run), OK);
    tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", f->run),
                          tiny_path("%s/adapter_model.safetensors", b));
    assert_false(dir_exists(tiny_path("%s/.tmp-adapter-old", f->run)));
    assert_false(dir_exists(tiny_path("%s/.tmp-adapter", f->run)));
    mem_free(f->c, a);
    mem_free(f->c, b);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(every_mutation_is_refused),
        WITH_FIXTURE(wrong_sets_are_refused),
        WITH_FIXTURE(state_comes_back_exactly),
        WITH_FIXTURE(adapter_and_moments_come_back_exactly),
        WITH_FIXTURE(hostile_content_with_right_checksums),
        WITH_FIXTURE(last_falls_back_and_says_so),
        WITH_FIXTURE(prune_keeps_newest_and_best),
        WITH_FIXTURE(sweep_removes_what_a_kill_left),
        WITH_FIXTURE(publish_replaces_the_adapter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
