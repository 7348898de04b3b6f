/* state: state.json of a checkpoint, everything that the next step depends on beside the parameters and moments: counters,
 * the clip window, what was best so far, and how products were computed. Doubles are written with 17 digits, so they read
 * back to the same bits: a resumed run computes the same thresholds. */
#include "train/state.h"

#include <float.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"

enum { STATE_VERSION = 1 };
/* Integers up to 2^53 are the same in every JSON reader. */
#define BIGGEST ((int64_t)1 << 53)

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* The window in the order in which it lies, with the place of the next value: so it is read back bit for bit. */
static json_t *clip_to_json(const struct clip *k)
{
    json_t *window = json_array();
    for (int i = 0; i < k->n; i++) json_array_append_new(window, json_real(k->window[i]));
    return json_pack("{s:i, s:f, s:i, s:I, s:I, s:o}", "mode", (int)k->mode, "limit", k->limit, "next", k->next, "steps",
                     (json_int_t)k->steps, "clipped", (json_int_t)k->clipped, "window", window);
}

/* NULL when there is no memory. */
static json_t *state_to_json(const struct train_state *s)
{
    return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:f, s:f, s:I, s:s, s:s, s:s, s:o}", "version",
                     STATE_VERSION, "step", (json_int_t)s->step, "epoch", (json_int_t)s->epoch, "epoch_step",
                     (json_int_t)s->epoch_step, "trained_tokens", (json_int_t)s->trained_tokens, "metrics_bytes",
                     (json_int_t)s->metrics_bytes, "best_step", (json_int_t)s->best_step, "best_loss", s->best_loss, "seed",
                     (json_int_t)s->seed, "q", s->q, "mean_g", s->mean_g, "recomputed_blocks",
                     (json_int_t)s->recomputed_blocks, "compute", compute_name[s->compute], "config_sha256",
                     s->config_sha256, "data_sha256", s->data_sha256, "clip", clip_to_json(&s->clip));
}

enum status state_save(struct ctx *c, const struct train_state *s, const char *dir)
{
    struct buf text;
    json_t *doc = state_to_json(s);
    char *path = path_join(c, dir, "state.json");
    enum status status = E_MEMORY;
    buf_init(&text, c, STATE_CAP_BYTES);
    if (!doc || !path) {
        status = ctx_fail(c, E_MEMORY, "no memory for state.json");
        goto out;
    }
    status = json_write(c, doc, true, &text);
    if (status == OK) status = file_write_atomic(c, path, buf_str(&text), text.len);
out:
    buf_release(&text);
    mem_free(c, path);
    json_decref(doc);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* A required integer, from 0 up. */
static bool get_i64(struct ctx *c, const char *what, const json_t *o, const char *key, int64_t *out)
{
    return json_member_i64(c, what, o, key, true, 0, BIGGEST, out);
}

static bool get_f64(struct ctx *c, const char *what, const json_t *o, const char *key, double *out)
{
    return json_member_f64(c, what, o, key, true, 0, DBL_MAX, out);
}

/* SHA-256 as 64 hexadecimal digits. */
static bool get_hash(struct ctx *c, const char *what, const json_t *o, const char *key, char out[65])
{
    const char *text = NULL;
    if (!json_member_string(c, what, o, key, true, &text)) return false;
    if (strlen(text) != 64) {
        ctx_fail(c, E_INPUT, "%s: %s: expected 64 hexadecimal digits", what, key);
        return false;
    }
    memcpy(out, text, 65);
    return true;
}

/* How products with the base were computed, by name. */
static bool get_compute(struct ctx *c, const char *what, const json_t *o, enum compute *out)
{
    const char *text = NULL;
    if (!json_member_string(c, what, o, "compute", true, &text)) return false;
    for (int i = 0; i < COMPUTES; i++) {
        *out = (enum compute)i;
        if (strcmp(text, compute_name[i]) == 0) return true;
    }
    ctx_fail(c, E_INPUT, "%s: compute: '%.32s' is none of f32, int8x2, int8 and bf16", what, text);
    return false;
}

/* At most CLIP_WINDOW norms, none negative. */
static bool state_read_window(struct ctx *c, const char *what, const json_t *o, struct clip *k)
{
    const json_t *window = json_object_get(o, "window");
    size_t n = json_array_size(window);
    bool good = json_is_array(window) && n <= CLIP_WINDOW;
    for (size_t i = 0; good && i < n; i++) {
        const json_t *v = json_array_get(window, i);
        k->window[i] = json_number_value(v);
        good = json_is_number(v) && k->window[i] >= 0.0;
    }
    if (!good) ctx_fail(c, E_INPUT, "%s: clip.window: expected at most %d numbers from 0", what, CLIP_WINDOW);
    k->n = (int)n;
    return good;
}

/* The window of relative clipping. */
static bool read_clip(struct ctx *c, const char *what, const json_t *o, struct clip *k)
{
    int64_t mode = 0, next = 0;
    if (!json_is_object(o)) {
        ctx_fail(c, E_INPUT, "%s: clip: expected an object", what);
        return false;
    }
    bool good = json_member_i64(c, what, o, "mode", true, CLIP_RELATIVE, CLIP_OFF, &mode) &&
                json_member_i64(c, what, o, "next", true, 0, CLIP_WINDOW - 1, &next) &&
                get_f64(c, what, o, "limit", &k->limit) && get_i64(c, what, o, "steps", &k->steps) &&
                get_i64(c, what, o, "clipped", &k->clipped) && state_read_window(c, what, o, k);
    k->mode = (enum clip_mode)mode;
    k->next = (int)next;
    return good;
}

/* Every member is required, with its type and range: a state that was edited by hand fails here. */
static bool read_state(struct ctx *c, const char *what, const json_t *o, struct train_state *s)
{
    int64_t version = 0, metrics_bytes = 0;
    if (!json_member_i64(c, what, o, "version", true, STATE_VERSION, STATE_VERSION, &version)) return false;
    bool good =
        get_i64(c, what, o, "step", &s->step) && get_i64(c, what, o, "epoch", &s->epoch) &&
        get_i64(c, what, o, "epoch_step", &s->epoch_step) && get_i64(c, what, o, "trained_tokens", &s->trained_tokens) &&
        get_i64(c, what, o, "metrics_bytes", &metrics_bytes) && get_i64(c, what, o, "best_step", &s->best_step) &&
        get_f64(c, what, o, "best_loss", &s->best_loss) && get_i64(c, what, o, "seed", &s->seed) &&
        get_f64(c, what, o, "q", &s->q) && get_f64(c, what, o, "mean_g", &s->mean_g) &&
        json_member_i64(c, what, o, "recomputed_blocks", true, -1, BIGGEST, &s->recomputed_blocks) &&
        get_compute(c, what, o, &s->compute) && get_hash(c, what, o, "config_sha256", s->config_sha256) &&
        get_hash(c, what, o, "data_sha256", s->data_sha256) && read_clip(c, what, json_object_get(o, "clip"), &s->clip);
    s->metrics_bytes = (uint64_t)metrics_bytes;
    return good;
}

enum status state_load(struct ctx *c, const char *dir, struct train_state *s)
{
    char *path = path_join(c, dir, "state.json");
    json_t *doc = path ? json_parse_file(c, path, STATE_CAP_BYTES) : NULL;
    memset(s, 0, sizeof(*s));
    if (doc && !json_is_object(doc)) ctx_fail(c, E_INPUT, "%s: expected an object", path);
    if (doc && ctx_ok(c)) read_state(c, path, doc, s);
    json_decref(doc);
    mem_free(c, path);
    return c->status;
}
