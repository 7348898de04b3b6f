/* Exports as a whole: every format on tiny models, the check that catches a wrong one, and what is left after a refusal, a
 * full disk and a kill. */
#include "model/support_model.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/export.h"
#include "export/formats.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "support_host.h"

/* DIR/hf or DIR/m.gguf, and DIR/adapter, a PEFT folder with values that matter. */
static void make_source(struct fixture *f, const struct tiny *t)
{
    tiny_write_hf(f, t, "hf", NULL);
    tiny_write_gguf(f, t, "m.gguf", NULL);
    struct model *m = model_open(f->c, fixture_path(f, "hf"));
    assert_ok(f->c);
    struct lora *l =
        lora_new(f->c, &m->config, &(struct lora_config){.rank = 3, .alpha = 5, .targets = LORA_ALL, .seed = 9});
    for (size_t i = 0; i < l->n_modules; i++) {
        float *b = host_f32(l->modules[i].slot.b);
        for (int64_t k = 0; k < array_size(l->modules[i].slot.b); k++) b[k] = 0.1f * (float)((k * 7 + (int64_t)i) % 11 - 5);
        host_store(l->modules[i].slot.b, b);
    }
    assert_int_equal(dir_make(f->c, fixture_path(f, "adapter")), OK);
    assert_int_equal(lora_save_peft(f->c, l, fixture_path(f, "adapter"), m->name), OK);
    lora_free(l);
    model_free(m);
}

static void open_source(struct fixture *f, struct export_source *s, const char *model)
{
    assert_int_equal(export_open(s, f->c, fixture_path(f, "adapter"), fixture_path(f, model)), OK);
}

/* Exports one format of the list to DIR/out. */
static enum status export_to(struct fixture *f, struct export_source *s, const char *format, const char *out,
                             struct export_result *result)
{
    struct export_job job;
    struct export_logits *wanted = NULL;
    enum status status = export_plan(s, format, fixture_path(f, out), &job);
    *result = (struct export_result){.verified = false};
    if (status == OK) status = export_write(s, &job.targets[0], true, &wanted, result);
    mem_free(f->c, result->opens);
    result->opens = NULL;
    export_logits_free(wanted);
    export_job_release(f->c, &job);
    return status;
}

static const char *stage(struct fixture *f, const char *out)
{
    char name[128];
    snprintf(name, sizeof name, "%s.your_ai-export", out);
    return fixture_path(f, name);
}

/* ---- every format ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *format;
    double limit;
} all_formats[] = {{"peft", 0}, {"safetensors:f32", 1e-5}, {"safetensors:f16", 1e-2}, {"safetensors:bf16", 5e-2}};
enum { N_FORMATS = sizeof all_formats / sizeof *all_formats };

static void each_format_of(struct fixture *f, const char *model)
{
    struct export_source s;
    struct export_result r;
    open_source(f, &s, model);
    for (int i = 0; i < N_FORMATS; i++) {
        char out[64];
        snprintf(out, sizeof out, "%s-%d", model, i);
        if (export_to(f, &s, all_formats[i].format, out, &r) != OK) fail_msg("%s: %s", all_formats[i].format, f->c->message);
        assert_true(r.verified && r.difference.tokens > 10);
        if (!(r.difference.relative <= all_formats[i].limit))
            fail_msg("%s of %s: relative difference %g", all_formats[i].format, model, r.difference.relative);
        assert_true(r.difference.same_top >= r.difference.tokens - 1);
        assert_false(dir_exists(stage(f, out)));
    }
    export_close(&s);
}

static void every_format(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    t.qkv_bias = t.o_bias = t.mlp_bias = true;
    make_source(f, &t);
    each_format_of(f, "hf");
    t.tied = true;
    tiny_write_gguf(f, &t, "m.gguf", NULL);
    each_format_of(f, "m.gguf");
}

static void the_record_says_what_was_found(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    s.base_name = "owner/base";
    assert_int_equal(export_to(f, &s, "peft", "out", &r), OK);
    json_t *doc = json_parse_file(f->c, fixture_path(f, "out/export.json"), 1 << 20);
    const json_t *check = json_object_get(doc, "check");
    assert_string_equal(json_string_value(json_object_get(doc, "base_model")), "owner/base");
    assert_int_equal(json_integer_value(json_object_get(check, "tokens")), r.difference.tokens);
    assert_true(json_is_number(json_object_get(check, "largest_logit_difference")));
    json_decref(doc);
    doc = json_parse_file(f->c, fixture_path(f, "out/adapter_config.json"), 1 << 20);
    assert_string_equal(json_string_value(json_object_get(doc, "base_model_name_or_path")), "owner/base");
    json_decref(doc);
    size_t n;
    char *card = file_read(f->c, fixture_path(f, "out/README.md"), 1 << 20, &n);
    assert_non_null(strstr(card, "base_model: \"owner/base\""));
    assert_non_null(strstr(card, "model.safetensors"));
    mem_free(f->c, card);
    export_close(&s);
}

/* A model without an adapter goes to the formats of models. */
static void a_model_alone(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "hf")), OK);
    assert_int_equal(export_to(f, &s, "safetensors:f32", "out", &r), OK);
    assert_true(r.difference.largest < 1e-6);
    export_close(&s);
}

/* ---- what goes wrong -------------------------------------------------------------------------------------------------- */

/* The writer, and then one weight of what it wrote is another. */
static enum status write_wrongly(const struct export_source *s, const char *dir, const char *type)
{
    TRY(format_safetensors.write(s, dir, type));
    char *path = path_join(s->c, dir, "model.safetensors");
    struct safetensors *file = safetensors_open(s->c, path);
    const struct tensor_view *t = safetensors_find(file, "model.layers.1.mlp.down_proj.weight");
    int fd = open(path, O_RDWR);
    long at = (long)((const char *)t->data - (const char *)safetensors_tensor(file, 0)->data);
    for (size_t i = 1; i < safetensors_count(file); i++) { /* the first tensor of the file */
        long other = (long)((const char *)t->data - (const char *)safetensors_tensor(file, i)->data);
        if (other > at) at = other;
    }
    off_t end = lseek(fd, 0, SEEK_END);
    size_t all = 0;
    for (size_t i = 0; i < safetensors_count(file); i++) all += safetensors_tensor(file, i)->bytes;
    float wrong = 30;
    assert_int_equal(pwrite(fd, &wrong, sizeof wrong, end - (off_t)all + at), sizeof wrong);
    close(fd);
    safetensors_close(file);
    mem_free(s->c, path);
    return s->c->status;
}

static void a_wrong_export_is_not_published(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    struct export_job job;
    struct export_logits *wanted = NULL;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    struct export_format wrong = format_safetensors;
    wrong.write = write_wrongly;
    assert_int_equal(export_plan(&s, "safetensors:f32", fixture_path(f, "out"), &job), OK);
    job.targets[0].format = &wrong;
    assert_int_equal(export_write(&s, &job.targets[0], true, &wanted, &r), E_NUMERIC);
    assert_failed(f->c, E_NUMERIC, "computes something else than what was trained");
    assert_false(dir_exists(fixture_path(f, "out")) || dir_exists(stage(f, "out")));
    assert_int_equal(export_write(&s, &job.targets[0], false, &wanted, &r), OK); /* as asked */
    assert_false(r.verified);
    mem_free(f->c, r.opens);
    export_logits_free(wanted);
    export_job_release(f->c, &job);
    export_close(&s);
}

static void nothing_is_overwritten(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    assert_int_equal(dir_make(f->c, fixture_path(f, "mine")), OK);
    assert_int_equal(export_to(f, &s, "peft", "mine", &r), OK); /* empty: taken */
    assert_int_equal(export_to(f, &s, "peft", "mine", &r), E_INPUT);
    assert_failed(f->c, E_INPUT, "overwrite nothing");
    fixture_write(f, "file", "x");
    assert_int_equal(export_to(f, &s, "peft", "file", &r), E_INPUT);
    assert_failed(f->c, E_INPUT, "is a file");
    int lock = -1;
    assert_int_equal(dir_make(f->c, stage(f, "busy")), OK);
    lock = dir_lock(f->c, stage(f, "busy"));
    assert_int_equal(export_to(f, &s, "peft", "busy", &r), E_INPUT);
    assert_failed(f->c, E_INPUT, "another process is at work");
    assert_true(dir_exists(stage(f, "busy")));
    dir_unlock(lock);
    assert_int_equal(export_to(f, &s, "peft", "busy", &r), OK);
    export_close(&s);
}

/* A value that f16 cannot hold is refused by the tensor's name. */
static void values_beyond_f16(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    open_source(f, &s, "hf");
    float *b = host_f32(s.lora->modules[0].slot.b);
    b[0] = 1e7f;
    host_store(s.lora->modules[0].slot.b, b);
    assert_int_equal(export_to(f, &s, "safetensors:f16", "out", &r), E_NUMERIC);
    assert_failed(f->c, E_NUMERIC, "model.layers.0.self_attn.q_proj.weight: a merged value is not finite or above 65504");
    assert_false(dir_exists(fixture_path(f, "out")));
    export_close(&s);
}

/* ---- a full disk and a kill ------------------------------------------------------------------------------------------- */

static void kill_halfway(void *user, int64_t done, int64_t total)
{
    (void)user;
    if (2 * done > total) raise(SIGKILL);
}

/* Runs the export in a child that is killed in the middle (limit 0) or may write files of `limit` bytes only; returns how it
 * ended. */
static int in_child(struct fixture *f, const char *format, rlim_t limit)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct export_source s;
        struct export_result r;
        signal(SIGXFSZ, SIG_IGN);
        if (limit) setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, limit});
        if (export_open(&s, f->c, fixture_path(f, "adapter"), fixture_path(f, "hf")) != OK) _exit(99);
        if (!limit) s.report = kill_halfway;
        _exit((int)export_to(f, &s, format, "out", &r));
    }
    int ended;
    assert_int_equal(waitpid(pid, &ended, 0), pid);
    return WIFSIGNALED(ended) ? -WTERMSIG(ended) : WEXITSTATUS(ended);
}

static void a_killed_export(void **state)
{
    static const char *const formats[] = {"safetensors:f32"};
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f, &tiny_llama);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        assert_int_equal(in_child(f, formats[i], 0), -SIGKILL);
        assert_false(dir_exists(fixture_path(f, "out")));
        assert_true(dir_exists(stage(f, "out")));
        open_source(f, &s, "hf");
        assert_int_equal(export_to(f, &s, formats[i], "out", &r), OK); /* clears what was left */
        export_close(&s);
        assert_false(dir_exists(stage(f, "out")));
        assert_int_equal(dir_remove(f->c, fixture_path(f, "out")), OK);
    }
}

static void a_full_disk(void **state)
{
    struct fixture *f = *state;
    make_source(f, &tiny_llama);
    for (int i = 0; i < N_FORMATS; i++) {
        for (rlim_t limit = 64; limit <= 4096; limit *= 8) { /* the first file, or a later one, does not fit */
            int ended = in_child(f, all_formats[i].format, limit);
            if (ended != E_IO) fail_msg("%s with %d bytes: %d", all_formats[i].format, (int)limit, ended);
            assert_false(dir_exists(fixture_path(f, "out")));
            assert_false(dir_exists(stage(f, "out")));
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_format),           TEST(the_record_says_what_was_found),
        TEST(a_model_alone),          TEST(a_wrong_export_is_not_published),
        TEST(nothing_is_overwritten), TEST(values_beyond_f16),
        TEST(a_killed_export),        TEST(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
