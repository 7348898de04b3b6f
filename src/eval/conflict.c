/* conflict: reads claim files, measures claims and predicts them. A claim is two probes for one sum (probe.h), the
 * primary completion with factor 1 and the consensus completion with -1, so the sum is delta.
 *
 * A claim with one primary source of weight 1 and three consensus sources of weight 0.1 is predicted as ln 1 - ln 0.3 =
 * +1.20. */
#include "eval/conflict.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "eval/probe.h"
#include "io/json.h"

enum { FILE_CAP_BYTES = 64 << 20, SOURCES_MAX = 1 << 16 };

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

/* A list of sources. Owner of the result: the caller. NULL with the error in the ctx; *n is their count. */
static struct conflict_source *conflict_read_sources(struct ctx *c, const char *what, const json_t *row, const char *key,
                                                     size_t *n)
{
    const json_t *list = json_object_get(row, key);
    size_t count = json_is_array(list) ? json_array_size(list) : 0;
    if (count == 0 || count > SOURCES_MAX) {
        ctx_fail(c, E_INPUT, "%s: \"%s\" must be a list of 1 to %d sources", what, key, SOURCES_MAX);
        return NULL;
    }
    struct conflict_source *sources = mem_alloc(c, count, sizeof(*sources));
    if (!sources) return NULL;
    for (size_t i = 0; i < count; i++) {
        const json_t *source = json_array_get(list, i);
        if (!json_is_object(source)) {
            ctx_fail(c, E_INPUT, "%s: \"%s\"[%zu] is not an object", what, key, i);
        } else if (json_member_f64(c, what, source, "auth_weight", true, 0, 0.99, &sources[i].auth_weight)) {
            json_member_f64(c, what, source, "prov_entropy", true, 0, 1e6, &sources[i].prov_entropy);
        }
    }
    *n = count;
    return sources;
}

/* A required string that is not empty, copied. */
static char *conflict_read_text(struct ctx *c, const char *what, const json_t *row, const char *key)
{
    const char *text = NULL;
    if (!json_member_string(c, what, row, key, true, &text)) return NULL;
    if (!*text) {
        ctx_fail(c, E_INPUT, "%s: \"%s\" is empty", what, key);
        return NULL;
    }
    return mem_strdup(c, text);
}

/* One row into *claim. What was read before a failure is freed by conflict_close. */
static void read_claim(struct ctx *c, const char *what, const json_t *row, struct conflict_claim *claim)
{
    if (!json_is_object(row)) {
        ctx_fail(c, E_INPUT, "%s: the row is not an object", what);
        return;
    }
    claim->prompt = conflict_read_text(c, what, row, "prompt");
    claim->primary = conflict_read_text(c, what, row, "primary");
    claim->consensus = conflict_read_text(c, what, row, "consensus");
    claim->primary_sources = conflict_read_sources(c, what, row, "primary_sources", &claim->n_primary);
    claim->consensus_sources = conflict_read_sources(c, what, row, "consensus_sources", &claim->n_consensus);
}

/* One claim a line that is not blank. */
static void conflict_read_lines(struct conflict_set *s, const char *path, const char *text, size_t size)
{
    struct ctx *c = s->c;
    size_t row = 0, capacity = 0;
    for (const char *line = text, *end = text + size; line < end && ctx_ok(c);) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop) stop = end;
        row++;
        size_t n = (size_t)(stop - line);
        if (strspn(line, " \t\r") < n) {
            if (s->n == capacity) {
                struct conflict_claim *grown = mem_resize(c, s->claims, capacity, 2 * capacity + 16, sizeof(*grown));
                if (!grown) return;
                s->claims = grown;
                capacity = 2 * capacity + 16;
            }
            char what[512];
            snprintf(what, sizeof(what), "%s:%zu", path, row);
            json_t *doc = json_parse(c, what, line, n);
            if (doc) read_claim(c, what, doc, &s->claims[s->n++]);
            json_decref(doc);
        }
        line = stop + 1;
    }
    if (ctx_ok(c) && s->n == 0) ctx_fail(c, E_INPUT, "%s: holds no claim", path);
}

/* The whole file is read before anything is measured, so a wrong line near its end costs nothing. */
struct conflict_set *conflict_open(struct ctx *c, const char *path)
{
    size_t size = 0;
    char *text = file_read(c, path, FILE_CAP_BYTES, &size);
    struct conflict_set *s = text ? mem_alloc(c, 1, sizeof(*s)) : NULL;
    if (s) {
        s->c = c;
        conflict_read_lines(s, path, text, size);
        if (!ctx_ok(c)) {
            conflict_close(s);
            s = NULL;
        }
    }
    mem_free(c, text);
    return s;
}

void conflict_close(struct conflict_set *s)
{
    if (!s) return;
    struct ctx *c = s->c;
    for (size_t i = 0; i < s->n; i++) {
        struct conflict_claim *claim = &s->claims[i];
        mem_free(c, claim->prompt);
        mem_free(c, claim->primary);
        mem_free(c, claim->consensus);
        mem_free(c, claim->primary_sources);
        mem_free(c, claim->consensus_sources);
    }
    mem_free(c, s->claims);
    mem_free(c, s);
}

/* ---- measuring -------------------------------------------------------------------------------------------------------- */

/* delta[i] = log p(primary | prompt) - log p(consensus | prompt) in nats, under the engine's weights and adapter. */
enum status conflict_measure(struct engine *e, const struct tokenizer *t, const struct conflict_set *s, double *delta)
{
    struct probe_set *p = probe_set_new(e, t, "claim", delta, s->n);
    enum status status = p ? OK : e->c->status;
    for (size_t i = 0; i < s->n && status == OK; i++) {
        const struct conflict_claim *claim = &s->claims[i];
        status = probe_add(p, claim->prompt, claim->primary, i, 1);
        if (status == OK) status = probe_add(p, claim->prompt, claim->consensus, i, -1);
    }
    if (status == OK) status = probe_finish(p);
    probe_set_free(p);
    return status;
}

/* ---- prediction and summary ------------------------------------------------------------------------------------------- */

/* What one side's sources weigh together in training: the sum of their omega. */
static double omega_sum(const struct objective *o, const struct conflict_source *sources, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += objective_omega(o, sources[i].auth_weight, sources[i].prov_entropy);
    return sum;
}

/* Weighted maximum likelihood: the log-odds that a model which fits the weighted counts would have (DESIGN.md section 6). */
void conflict_predict(const struct conflict_set *s, const struct objective *o, double *predicted)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct conflict_claim *claim = &s->claims[i];
        predicted[i] = log(omega_sum(o, claim->primary_sources, claim->n_primary)) -
                       log(omega_sum(o, claim->consensus_sources, claim->n_consensus));
    }
}

/* sd is the sample's standard deviation (n - 1), 0 for a single value. */
struct conflict_summary conflict_summarise(const double *values, size_t n)
{
    struct conflict_summary r = {0};
    BUG_ON(NULL, n == 0, "a summary of no values");
    for (size_t i = 0; i < n; i++) {
        r.mean += values[i] / (double)n;
        r.n_positive += values[i] > 0;
    }
    for (size_t i = 0; i < n && n > 1; i++) r.sd += (values[i] - r.mean) * (values[i] - r.mean) / (double)(n - 1);
    r.sd = sqrt(r.sd);
    return r;
}
