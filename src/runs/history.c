/* history: reads metrics.jsonl and timing.jsonl line by line. See history.h. Both files come from outside like any other:
 * somebody may have edited them, so every member is checked for type and range and steps have to ascend. */
#include "runs/history.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"

#define BIGGEST ((int64_t)1 << 53)

/* A line being read: `what` names it in messages ("run/metrics.jsonl:12"). */
struct history_line {
    struct ctx *c;
    const char *what;
    const json_t *o;
};

static int64_t line_i64(const struct history_line *l, const char *key)
{
    int64_t v = 0;
    json_member_i64(l->c, l->what, l->o, key, true, 0, BIGGEST, &v);
    return v;
}

/* A number, or `absent` for null: metrics.c writes what is not finite so. */
static double line_f64(const struct history_line *l, const char *key, double absent)
{
    double v = absent;
    const json_t *node = json_object_get(l->o, key);
    if (!node) ctx_fail(l->c, E_INPUT, "%s: has no %s", l->what, key);
    json_member_f64(l->c, l->what, l->o, key, false, -DBL_MAX, DBL_MAX, &v);
    return v;
}

static bool line_bool(const struct history_line *l, const char *key)
{
    bool v = false;
    json_member_bool(l->c, l->what, l->o, key, true, &v);
    return v;
}

/* Room for one more element in a growing array. */
static enum status make_room(struct ctx *c, void **list, size_t n, size_t *room, size_t size)
{
    if (n < *room) return OK;
    size_t wanted = *room ? 2 * *room : 256;
    void *grown = mem_resize(c, *list, *room, wanted, size);
    if (!grown) return c->status;
    *list = grown;
    *room = wanted;
    return OK;
}

/* ---- sources --------------------------------------------------------------------------------------------------------- */

/* A list of sources that is being filled: those of steps, or those of validations. */
struct source_list {
    struct history_source **list;
    size_t *n;
};

/* Whether a source has a value of this step already: two files of one name, or one given twice, are two sources. */
static bool has_step(const struct history_source *k, int64_t step)
{
    return k->n && k->points[k->n - 1].step >= step;
}

/* The source that an object of a line is about, made when it is new. NULL with E_INPUT or E_MEMORY. */
static struct history_source *find_source(const struct history_line *l, const struct source_list *s, const json_t *o,
                                          int64_t step)
{
    const char *by = NULL, *name = NULL;
    int64_t others = 0;
    if (!json_member_string(l->c, l->what, o, "by", true, &by)) return NULL;
    if (!json_member_string(l->c, l->what, o, "name", false, &name)) return NULL;
    if (!json_member_i64(l->c, l->what, o, "others", false, 1, BIGGEST, &others)) return NULL;
    enum source_by kind = strcmp(by, source_by_name[SOURCE_BY_TYPE]) == 0 ? SOURCE_BY_TYPE : SOURCE_BY_FILE;
    if (strcmp(by, source_by_name[kind]) != 0) {
        ctx_fail(l->c, E_INPUT, "%s: '%s' is no kind of source", l->what, by);
        return NULL;
    }
    for (size_t i = 0; i < *s->n; i++) {
        struct history_source *k = &(*s->list)[i];
        bool same = k->name && name ? strcmp(k->name, name) == 0 : !k->name && !name;
        if (k->by == kind && same && (k->others > 0) == (others > 0) && !has_step(k, step)) return k;
    }
    if (*s->n == HISTORY_SOURCES_MAX) {
        ctx_fail(l->c, E_INPUT, "%s: more than %d sources", l->what, HISTORY_SOURCES_MAX);
        return NULL;
    }
    if (!*s->list) *s->list = mem_alloc(l->c, HISTORY_SOURCES_MAX, sizeof **s->list);
    char *copy = *s->list && name ? mem_strdup(l->c, name) : NULL;
    if (!ctx_ok(l->c)) return NULL;
    struct history_source *k = &(*s->list)[(*s->n)++];
    *k = (struct history_source){.by = kind, .name = copy, .others = others};
    return k;
}

/* One object of a line's list. */
static enum status history_add_source(const struct history_line *l, const struct source_list *s, const json_t *o,
                                      int64_t step)
{
    const struct history_line inner = {l->c, l->what, o};
    if (!json_is_object(o)) return ctx_fail(l->c, E_INPUT, "%s: a source is not an object", l->what);
    struct history_source *k = find_source(l, s, o, step);
    if (!k) return l->c->status;
    struct history_source_point p = {.step = step,
                                     .trained_tokens = line_i64(&inner, "trained_tokens"),
                                     .weight_share = line_f64(&inner, "weight_share", NAN),
                                     .loss = line_f64(&inner, "loss", NAN),
                                     .weighted_loss = line_f64(&inner, "weighted_loss", NAN)};
    TRY(l->c->status);
    TRY(make_room(l->c, (void **)&k->points, k->n, &k->room, sizeof p));
    k->points[k->n++] = p;
    return OK;
}

/* The list of a line, which only runs with several sources have. */
static enum status history_add_sources(const struct history_line *l, const char *key, const struct source_list *s,
                                       int64_t step)
{
    const json_t *list = json_object_get(l->o, key);
    if (list && !json_is_array(list)) return ctx_fail(l->c, E_INPUT, "%s: %s is not a list", l->what, key);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(history_add_source(l, s, json_array_get(list, i), step));
    return OK;
}

static void release_sources(struct ctx *c, struct history_source *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(c, list[i].name);
        mem_free(c, list[i].points);
    }
    mem_free(c, list);
}

/* ---- kinds of lines -------------------------------------------------------------------------------------------------- */

static enum status history_add_step(struct history *h, const struct history_line *l)
{
    struct metrics_step s = {.step = line_i64(l, "step"),
                             .epoch = line_i64(l, "epoch"),
                             .loss = line_f64(l, "loss", NAN),
                             .weighted_loss = line_f64(l, "weighted_loss", NAN),
                             .distrust = line_f64(l, "distrust", NAN),
                             .total = line_f64(l, "total", NAN),
                             .lr = line_f64(l, "lr", NAN),
                             .grad_norm = line_f64(l, "grad_norm", NAN),
                             .threshold = line_f64(l, "clip_threshold", INFINITY),
                             .clipped = line_bool(l, "clipped"),
                             .clip_share = line_f64(l, "clip_share", NAN),
                             .omega = line_f64(l, "omega", NAN),
                             .trained_tokens = line_i64(l, "trained_tokens"),
                             .tokens = line_i64(l, "tokens")};
    TRY(l->c->status);
    if (s.step < 1 || (h->n_steps && s.step <= h->steps[h->n_steps - 1].step))
        return ctx_fail(l->c, E_INPUT, "%s: step %lld does not follow the one before it", l->what, (long long)s.step);
    TRY(make_room(l->c, (void **)&h->steps, h->n_steps, &h->steps_room, sizeof s));
    h->steps[h->n_steps++] = s;
    return history_add_sources(l, "sources", &(struct source_list){&h->sources, &h->n_sources}, s.step);
}

static enum status history_add_eval(struct history *h, const struct history_line *l)
{
    struct metrics_eval e = {.step = line_i64(l, "step"),
                             .loss = line_f64(l, "valid_loss", NAN),
                             .weighted_loss = line_f64(l, "valid_weighted_loss", NAN),
                             .trained_tokens = line_i64(l, "valid_trained_tokens"),
                             .best = line_bool(l, "best")};
    TRY(l->c->status);
    if (h->n_evals && e.step <= h->evals[h->n_evals - 1].step)
        return ctx_fail(l->c, E_INPUT, "%s: validation of step %lld does not follow the one before it", l->what,
                        (long long)e.step);
    TRY(make_room(l->c, (void **)&h->evals, h->n_evals, &h->evals_room, sizeof e));
    h->evals[h->n_evals++] = e;
    return history_add_sources(l, "valid_sources", &(struct source_list){&h->valid_sources, &h->n_valid_sources}, e.step);
}

static enum status add_metrics(struct history *h, const struct history_line *l)
{
    return json_object_get(l->o, "valid_loss") ? history_add_eval(h, l) : history_add_step(h, l);
}

/* A resumed run writes the steps again that a kill made it lose: what stands here of them goes. */
static enum status add_timing(struct history *h, const struct history_line *l)
{
    struct metrics_timing t = {.step = line_i64(l, "step"),
                               .seconds = line_f64(l, "seconds", NAN),
                               .tokens_per_s = line_f64(l, "tokens_per_s", NAN),
                               .peak_bytes = (size_t)line_i64(l, "peak_bytes")};
    TRY(l->c->status);
    while (h->n_timings && h->timings[h->n_timings - 1].step >= t.step) h->n_timings--;
    TRY(make_room(l->c, (void **)&h->timings, h->n_timings, &h->timings_room, sizeof t));
    h->timings[h->n_timings++] = t;
    return OK;
}

/* ---- files ----------------------------------------------------------------------------------------------------------- */

typedef enum status (*add_line_fn)(struct history *h, const struct history_line *l);

/* One line without its end. */
static enum status read_line(struct history *h, const char *path, size_t number, const char *text, size_t n, add_line_fn add)
{
    char what[CTX_MESSAGE_BYTES];
    snprintf(what, sizeof what, "%s:%zu", path, number);
    if (number > HISTORY_LINES_MAX)
        return ctx_fail(h->c, E_INPUT, "%s: more than %d lines are not read", what, HISTORY_LINES_MAX);
    json_t *o = json_parse(h->c, what, text, n);
    if (o && !json_is_object(o)) ctx_fail(h->c, E_INPUT, "%s: is not a JSON object", what);
    if (o && ctx_ok(h->c)) add(h, &(struct history_line){h->c, what, o});
    json_decref(o);
    return h->c->status;
}

/* All complete lines of a text; *torn: something stands behind the last one. */
static enum status history_read_lines(struct history *h, const char *path, const char *text, size_t n, add_line_fn add,
                                      bool *torn)
{
    const char *p = text, *end = text + n;
    *torn = false;
    for (size_t number = 1; p < end && ctx_ok(h->c); number++) {
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        *torn = !line_end;
        if (!line_end) break;
        read_line(h, path, number, p, (size_t)(line_end - p), add);
        p = line_end + 1;
    }
    if (!ctx_ok(h->c)) history_release(h);
    return h->c->status;
}

enum status history_add_metrics(struct history *h, const char *path, const char *text, size_t n)
{
    return history_read_lines(h, path, text, n, add_metrics, &h->torn);
}

enum status history_add_timing(struct history *h, const char *path, const char *text, size_t n)
{
    bool torn;
    return history_read_lines(h, path, text, n, add_timing, &torn);
}

/* One of the two files, mapped. */
static enum status history_read_file(struct history *h, const char *path,
                                     enum status (*add)(struct history *h, const char *path, const char *text, size_t n))
{
    struct file_map *map = file_map_open(h->c, path);
    if (map) add(h, path, (const char *)file_map_data(map), file_map_size(map));
    file_map_close(map);
    return h->c->status;
}

enum status history_read(struct ctx *c, const char *run, struct history *h)
{
    *h = (struct history){.c = c};
    char *metrics = path_join(c, run, "metrics.jsonl"), *timing = path_join(c, run, "timing.jsonl");
    if (metrics && timing) history_read_file(h, metrics, history_add_metrics);
    if (metrics && timing && ctx_ok(c) && file_exists(timing)) history_read_file(h, timing, history_add_timing);
    mem_free(c, metrics);
    mem_free(c, timing);
    if (!ctx_ok(c)) history_release(h);
    return c->status;
}

void history_release(struct history *h)
{
    mem_free(h->c, h->steps);
    mem_free(h->c, h->evals);
    mem_free(h->c, h->timings);
    release_sources(h->c, h->sources, h->n_sources);
    release_sources(h->c, h->valid_sources, h->n_valid_sources);
    *h = (struct history){.c = h->c};
}

double history_mean_loss(const struct history *h, size_t from, size_t n)
{
    double sum = 0, tokens = 0;
    for (size_t i = from; i < from + n && i < h->n_steps; i++) {
        double k = (double)h->steps[i].trained_tokens;
        sum += k * h->steps[i].loss;
        tokens += k;
    }
    return tokens > 0 ? sum / tokens : (double)NAN;
}
