/* machine_profile: see machine_profile.h. */
#include "measure/machine_profile.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/user_folder.h"

enum { PROFILE_VERSION = 2, PROFILE_CAP_BYTES = 1 << 16 };
/* More operations or bytes a second than any machine has. */
static const double RATE_MAX = 1e18;
static const double SECONDS_MAX = 1e6; /* of a step of a small model */

char *machine_profile_path(struct ctx *c)
{
    char *folder = user_folder(c, "XDG_CONFIG_HOME", ".config"),
         *path = folder ? path_join(c, folder, "machine.json") : NULL;
    if (!folder) ctx_fail(c, E_INPUT, "there is no folder for the machine's profile: set HOME or XDG_CONFIG_HOME");
    mem_free(c, folder);
    return path;
}

/* The member that holds the rate of an arithmetic. */
static const char *step_key(int compute, char out[32])
{
    snprintf(out, 32, "step_%s", compute_name[compute]);
    return out;
}

static const char *parts_key(int compute, char out[32])
{
    snprintf(out, 32, "parts_%s", compute_name[compute]);
    return out;
}

/* An array of sizes of arrays of lengths of arrays of parts. */
static json_t *parts_json(const step_times times)
{
    json_t *sizes = json_array();
    for (int i = 0; i < STEP_SIZES; i++) {
        json_t *lengths = json_array();
        for (int j = 0; j < STEP_LENGTHS; j++) {
            json_t *parts = json_array();
            for (int k = 0; k < STEP_PARTS; k++) json_array_append_new(parts, json_real(times[i][j][k]));
            json_array_append_new(lengths, parts);
        }
        json_array_append_new(sizes, lengths);
    }
    return sizes;
}

json_t *machine_profile_json(struct ctx *c, const struct machine_profile *p)
{
    char key[32];
    json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:f, s:f, s:f}", "version", PROFILE_VERSION, "program", p->program,
                          "date", p->date, "device", p->device, "cpu", p->cpu, "threads", (json_int_t)p->threads, "fma_one",
                          p->fma_one, "fma", p->fma, "read", p->read);
    for (int k = 0; o && k < COMPUTES; k++) {
        json_object_set_new(o, step_key(k, key), json_real(p->step[k]));
        json_object_set_new(o, parts_key(k, key), parts_json(p->parts[k]));
    }
    if (!o) ctx_fail(c, E_MEMORY, "no memory for the machine's profile");
    return o;
}

/* The folder that the file is to lie in, made where it is missing. */
static enum status make_folder_of(struct ctx *c, const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? mem_strndup(c, path, (size_t)(slash - path)) : NULL;
    if (folder && *folder) dir_make(c, folder);
    mem_free(c, folder);
    return c->status;
}

enum status machine_profile_try(struct ctx *c, const char *path)
{
    TRY(make_folder_of(c, path));
    if (dir_exists(path)) return ctx_fail(c, E_INPUT, "%s: cannot be written, as a folder has this name", path);
    file_writer_abort(file_writer_open(c, path));
    return c->status;
}

enum status machine_profile_write(struct ctx *c, const struct machine_profile *p, const char *path)
{
    struct buf text;
    TRY(make_folder_of(c, path));
    json_t *o = machine_profile_json(c, p);
    buf_init(&text, c, PROFILE_CAP_BYTES);
    if (o && json_write(c, o, true, &text) == OK) file_write_atomic(c, path, buf_str(&text), text.len);
    buf_release(&text);
    json_decref(o);
    return c->status;
}

/* A member that is text, which must fit. */
static bool take_text(struct ctx *c, const char *what, const json_t *o, const char *key, char *out, size_t bytes)
{
    const char *text = NULL;
    if (!json_member_string(c, what, o, key, true, &text)) return false;
    if (strlen(text) >= bytes) {
        ctx_fail(c, E_INPUT, "%s: %s is longer than %zu bytes", what, key, bytes - 1);
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* An array of n elements, or NULL with E_INPUT. */
static const json_t *take_array(struct ctx *c, const char *what, const char *key, const json_t *o, size_t n)
{
    if (json_is_array(o) && json_array_size(o) == n) return o;
    ctx_fail(c, E_INPUT, "%s: %s is not %d arrays of %d arrays of %d numbers", what, key, STEP_SIZES, STEP_LENGTHS,
             STEP_PARTS);
    return NULL;
}

static enum status take_parts(struct ctx *c, const char *what, const json_t *o, const char *key, step_times out)
{
    const json_t *sizes = take_array(c, what, key, json_object_get(o, key), STEP_SIZES);
    for (size_t i = 0; sizes && i < STEP_SIZES; i++) {
        const json_t *lengths = take_array(c, what, key, json_array_get(sizes, i), STEP_LENGTHS);
        for (size_t j = 0; lengths && j < STEP_LENGTHS; j++) {
            const json_t *parts = take_array(c, what, key, json_array_get(lengths, j), STEP_PARTS);
            for (size_t k = 0; parts && k < STEP_PARTS; k++) {
                const json_t *v = json_array_get(parts, k);
                out[i][j][k] = json_number_value(v);
                if (!json_is_number(v) || !(out[i][j][k] >= 0 && out[i][j][k] <= SECONDS_MAX))
                    return ctx_fail(c, E_INPUT, "%s: %s has something other than seconds from 0 to %g", what, key,
                                    SECONDS_MAX);
            }
        }
        if (!ctx_ok(c)) break;
    }
    return c->status;
}

static enum status take_members(struct ctx *c, const char *what, const json_t *o, struct machine_profile *p)
{
    char key[32];
    int64_t version = 0;
    json_member_i64(c, what, o, "version", true, PROFILE_VERSION, PROFILE_VERSION, &version);
    take_text(c, what, o, "program", p->program, sizeof p->program);
    take_text(c, what, o, "date", p->date, sizeof p->date);
    take_text(c, what, o, "device", p->device, sizeof p->device);
    take_text(c, what, o, "cpu", p->cpu, sizeof p->cpu);
    json_member_i64(c, what, o, "threads", true, 1, 1024, &p->threads);
    json_member_f64(c, what, o, "fma_one", true, 0, RATE_MAX, &p->fma_one);
    json_member_f64(c, what, o, "fma", true, 0, RATE_MAX, &p->fma);
    json_member_f64(c, what, o, "read", true, 0, RATE_MAX, &p->read);
    for (int k = 0; k < COMPUTES && ctx_ok(c); k++) {
        json_member_f64(c, what, o, step_key(k, key), true, 0, RATE_MAX, &p->step[k]);
        if (ctx_ok(c)) take_parts(c, what, o, parts_key(k, key), p->parts[k]);
    }
    return c->status;
}

enum status machine_profile_parse(struct ctx *c, const char *what, const char *text, size_t n, struct machine_profile *out)
{
    *out = (struct machine_profile){0};
    json_t *o = json_parse(c, what, text, n);
    if (o && !json_is_object(o)) ctx_fail(c, E_INPUT, "%s: is not a JSON object", what);
    if (o && ctx_ok(c)) take_members(c, what, o, out);
    json_decref(o);
    return c->status;
}

enum status machine_profile_read(struct ctx *c, const char *path, struct machine_profile *out)
{
    size_t n;
    char *text = file_read(c, path, PROFILE_CAP_BYTES, &n);
    if (text) machine_profile_parse(c, path, text, n, out);
    mem_free(c, text);
    return c->status;
}

bool machine_profile_is_of(const struct machine_profile *p, const char *device, int64_t threads)
{
    char cpu[HOST_NAME_BYTES];
    return strcmp(p->device, device) == 0 && p->threads == threads && strcmp(p->cpu, host_cpu_name(cpu)) == 0;
}

bool machine_profile_find(struct ctx *c, const char *device, int64_t threads, struct machine_profile *out)
{
    char *path = machine_profile_path(c);
    bool found = path && file_exists(path) && machine_profile_read(c, path, out) == OK;
    bool ours = found && machine_profile_is_of(out, device, threads);
    if (found && !ours) ctx_log(c, LOG_WARN, "%s is of another machine, device or number of threads: run setup again", path);
    if (path && !ctx_ok(c)) ctx_log(c, LOG_WARN, "%s. It is not used: run setup again", c->message);
    ctx_clear(c); /* without a folder for it there is none */
    mem_free(c, path);
    return ours;
}

double machine_profile_predict(const struct machine_profile *p, enum compute compute, const struct step_shape *s)
{
    double seconds = step_model_seconds(p->parts[compute], s);
    if (seconds > 0 || !(p->step[compute] > 0)) return seconds;
    int64_t recomputed = s->recomputed > 0 ? s->recomputed : 0;
    return s->tokens * step_cost_flops(s->model, s->rank, s->adapted, (int64_t)s->length, recomputed) / p->step[compute];
}
