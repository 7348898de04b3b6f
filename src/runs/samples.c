/* samples: see samples.h. */
#include "runs/samples.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"

enum { SAMPLES_VERSION = 1, SAMPLES_CAP_BYTES = 4 * SAMPLES_TEXT_BYTES * SAMPLES_MAX };

void samples_release(struct samples *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct sample_answer *a = &s->list[i];
        char *texts[] = {a->row, a->prompt, a->expected, a->before, a->after};
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) mem_free(s->c, texts[k]);
    }
    *s = (struct samples){.c = s->c};
}

/* A member that is text; optional ones may be null. */
static char *samples_take(struct ctx *c, const char *what, const json_t *o, const char *key, bool required)
{
    const char *text = NULL;
    if (!json_member_string(c, what, o, key, required, &text) || !text) return NULL;
    if (strlen(text) <= SAMPLES_TEXT_BYTES) return mem_strdup(c, text);
    ctx_fail(c, E_INPUT, "%s: %s is longer than %d bytes", what, key, SAMPLES_TEXT_BYTES);
    return NULL;
}

static enum status samples_take_one(struct samples *s, const char *what, const json_t *o)
{
    struct sample_answer *a = &s->list[s->n++];
    if (!json_is_object(o)) return ctx_fail(s->c, E_INPUT, "%s: a sample is not an object", what);
    a->row = samples_take(s->c, what, o, "row", true);
    a->prompt = samples_take(s->c, what, o, "prompt", true);
    a->expected = samples_take(s->c, what, o, "expected", true);
    a->before = samples_take(s->c, what, o, "before", true);
    a->after = samples_take(s->c, what, o, "after", false);
    return s->c->status;
}

static enum status samples_take_all(struct samples *s, const char *what, const json_t *o)
{
    int64_t version = 0;
    const json_t *list = json_object_get(o, "samples");
    if (!json_is_object(o)) return ctx_fail(s->c, E_INPUT, "%s: is not a JSON object", what);
    json_member_i64(s->c, what, o, "version", true, SAMPLES_VERSION, SAMPLES_VERSION, &version);
    json_member_i64(s->c, what, o, "step", false, 1, INT64_C(1) << 53, &s->step);
    if (!ctx_ok(s->c)) return s->c->status;
    if (!json_is_array(list) || json_array_size(list) > SAMPLES_MAX)
        return ctx_fail(s->c, E_INPUT, "%s: samples is not a list of up to %d", what, SAMPLES_MAX);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(samples_take_one(s, what, json_array_get(list, i)));
    return OK;
}

enum status samples_parse(struct ctx *c, const char *what, const char *text, size_t n, struct samples *s)
{
    *s = (struct samples){.c = c};
    json_t *o = json_parse(c, what, text, n);
    if (o) samples_take_all(s, what, o);
    json_decref(o);
    return c->status;
}

enum status samples_read(struct ctx *c, const char *run, struct samples *s)
{
    size_t n;
    *s = (struct samples){.c = c};
    char *path = path_join(c, run, "samples.json");
    char *text = path && file_exists(path) ? file_read(c, path, SAMPLES_CAP_BYTES, &n) : NULL;
    if (text) samples_parse(c, path, text, n, s);
    mem_free(c, text);
    mem_free(c, path);
    return c->status;
}

/* Strings through json_append_string, as tokens may end in the middle of a character. */
static void samples_append(struct buf *out, const char *key, const char *text, const char *end)
{
    buf_printf(out, "\"%s\": ", key);
    if (text)
        json_append_string(out, text, strlen(text));
    else
        buf_append_str(out, "null");
    buf_append_str(out, end);
}

enum status samples_write(const struct samples *s, const char *run)
{
    struct buf out;
    buf_init(&out, s->c, SAMPLES_CAP_BYTES);
    buf_printf(&out, "{\"version\": %d, \"tokens\": %d, ", SAMPLES_VERSION, SAMPLES_TOKENS);
    if (s->step) buf_printf(&out, "\"step\": %lld, ", (long long)s->step);
    buf_append_str(&out, "\"samples\": [");
    for (size_t i = 0; i < s->n; i++) {
        const struct sample_answer *a = &s->list[i];
        buf_append_str(&out, i ? ",\n {" : "\n {");
        samples_append(&out, "row", a->row, ", ");
        samples_append(&out, "prompt", a->prompt, ", ");
        samples_append(&out, "expected", a->expected, ",\n  ");
        samples_append(&out, "before", a->before, ",\n  ");
        samples_append(&out, "after", a->after, "}");
    }
    buf_append_str(&out, "\n]}\n");
    char *path = buf_ok(&out) ? path_join(s->c, run, "samples.json") : NULL;
    if (path) file_write_atomic(s->c, path, buf_str(&out), out.len);
    mem_free(s->c, path);
    buf_release(&out);
    return s->c->status;
}
