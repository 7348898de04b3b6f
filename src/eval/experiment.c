/* experiment: the folder of an experiment and the loop over its cells. For each cell of the grid in its order, the file
 * cells/NAME.json is read when it exists; otherwise the trial runs in the folder `work` and its result is written to that
 * file. So whatever ends a run, at most the cell that was being trained is lost. A file is believed only when the cell in
 * it is the one that its name says, and a folder only when experiment.json has, byte for byte, the settings of this call. */
#include "eval/experiment.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { CELL_CAP_BYTES = 64 << 20, SETTINGS_CAP_BYTES = 1 << 16, FORMAT = 2 };

/* ---- settings --------------------------------------------------------------------------------------------------------- */

/* SHA-256 of a model file, or of the config.json of a model folder: enough to tell two models of one name apart. */
static enum status model_hash(const struct model *m, char hex[65])
{
    uint64_t bytes;
    char *config = dir_exists(m->path) ? path_join(m->c, m->path, "config.json") : mem_strdup(m->c, m->path);
    if (config) file_sha256(m->c, config, hex, &bytes);
    mem_free(m->c, config);
    return m->c->status;
}

/* What all cells of a folder share. The grid is no part of it: a larger one adds cells. Nor is where the model lies, so that
 * a folder can be moved to another machine together with it. */
static enum status experiment_write_settings(const struct trial_setup *s, struct buf *out)
{
    const struct model *m = s->model;
    const char *slash = strrchr(m->path, '/'), *name = slash && slash[1] ? slash + 1 : m->path;
    char hex[65];
    TRY(model_hash(m, hex));
    buf_printf(out, "{\"experiment\": \"conflict\", \"format\": %d,\n \"model\": ", FORMAT);
    json_append_string(out, name, strlen(name));
    buf_printf(out, ", \"sha256\": \"%s\",\n \"base_type\": \"%s\", \"compute\": \"%s\",\n \"facts\": %zu, \"rank\": %lld",
               hex, base_type_name[m->options.base], compute_name[m->options.compute], s->n_facts, (long long)s->rank);
    buf_printf(out, ", \"max_length\": %lld, \"lr\": ", (long long)s->length);
    json_append_f64(out, s->lr);
    buf_append_str(out, "}\n");
    return s->c->status;
}

enum status experiment_open_folder(const struct trial_setup *s, const char *dir)
{
    struct ctx *c = s->c;
    struct buf settings;
    char *path = path_join(c, dir, "experiment.json"), *cells = path_join(c, dir, "cells"), *before = NULL;
    size_t n = 0;
    buf_init(&settings, c, SETTINGS_CAP_BYTES);
    if (!path || !cells || experiment_write_settings(s, &settings) != OK) goto out;
    if (file_exists(path)) {
        before = file_read(c, path, SETTINGS_CAP_BYTES, &n);
        if (before && strcmp(before, buf_str(&settings)) != 0)
            ctx_fail(c, E_INPUT,
                     "%s: is the folder of an experiment with other settings: use another -o, or the same options", path);
    } else if (dir_make_empty(c, dir) == OK) {
        file_write_atomic(c, path, buf_str(&settings), settings.len);
    }
    if (ctx_ok(c)) dir_make(c, cells);
out:
    buf_release(&settings);
    mem_free(c, before);
    mem_free(c, cells);
    mem_free(c, path);
    return c->status;
}

/* Whether a trial gives its folder this name, alone or as one of several jobs. */
static bool is_work(const char *name)
{
    if (strcmp(name, "work") == 0) return true;
    return strncmp(name, "work-", 5) == 0 && name[5] && strspn(name + 5, "0123456789") == strlen(name + 5);
}

enum status experiment_remove_work(struct ctx *c, const char *dir)
{
    char **names = NULL;
    size_t n = 0;
    dir_list(c, dir, &names, &n);
    for (size_t i = 0; i < n && ctx_ok(c); i++) {
        char *path = is_work(names[i]) ? path_join(c, dir, names[i]) : NULL;
        if (path) dir_remove(c, path);
        mem_free(c, path);
    }
    dir_list_free(c, names, n);
    return c->status;
}

/* ---- cells ------------------------------------------------------------------------------------------------------------ */

static bool same_cell(const struct cell *a, const struct cell *b)
{
    return a->arm == b->arm && a->repeat == b->repeat && a->ratio == b->ratio && a->epochs == b->epochs &&
           a->seed == b->seed;
}

static enum status experiment_read_file(const struct trial_setup *s, const char *path, const struct cell *cell,
                                        struct trial *out)
{
    struct ctx *c = s->c;
    json_t *doc = json_parse_file(c, path, CELL_CAP_BYTES);
    if (!doc) return c->status;
    enum status status = trial_read(c, path, doc, out);
    json_decref(doc);
    if (status == OK && (!same_cell(cell, &out->cell) || out->n_facts != s->n_facts))
        return ctx_fail(c, E_INPUT, "%s: holds another cell than its name says: remove it", path);
    return status;
}

static enum status experiment_write_file(struct ctx *c, const char *path, const struct trial *t)
{
    struct buf text;
    buf_init(&text, c, CELL_CAP_BYTES);
    if (trial_write(c, t, &text) == OK) file_write_atomic(c, path, buf_str(&text), text.len);
    buf_release(&text);
    return c->status;
}

/* Takes a cell from its file, or does it and writes the file. */
static enum status do_cell(const struct trial_setup *s, const char *cells, const struct cell *cell, struct trial *out,
                           bool *read)
{
    struct ctx *c = s->c;
    char name[64];
    char *path = mem_printf(c, "%s/%s.json", cells, trial_name(cell, name));
    if (!path) return c->status;
    *read = file_exists(path);
    enum status status = *read ? experiment_read_file(s, path, cell, out) : trial_run(s, cell, out);
    if (status == OK && !*read) status = experiment_write_file(c, path, out);
    if (status != OK) ctx_prefix(c, "%s", name);
    mem_free(c, path);
    return status;
}

static enum status do_cells(const struct trial_setup *s, const char *dir, const struct cell *list, size_t n,
                            const struct experiment_hooks *hooks, struct experiment *out)
{
    out->trials = mem_alloc(s->c, n, sizeof(*out->trials));
    if (!out->trials) return s->c->status;
    for (size_t i = 0; i < n; i++) {
        bool read = false;
        if (hooks && hooks->take && !hooks->take(hooks->user, i)) continue;
        struct trial *t = &out->trials[out->n];
        enum status status = do_cell(s, dir, &list[i], t, &read);
        if (status != OK) {
            trial_release(s->c, t);
            return status;
        }
        out->n++;
        if (hooks && hooks->cell) hooks->cell(hooks->user, i, n, t, read);
    }
    return OK;
}

enum status experiment_run(struct trial_setup *setup, const struct grid *grid, const char *dir,
                           const struct experiment_hooks *hooks, struct experiment *out)
{
    struct ctx *c = setup->c;
    struct cell *list = NULL;
    size_t n = 0;
    *out = (struct experiment){.c = c};
    char *cells = path_join(c, dir, "cells"), *work = mem_printf(c, setup->job ? "%s/work-%d" : "%s/work", dir, setup->job);
    setup->work = work;
    enum status status = cells && work ? experiment_open_folder(setup, dir) : c->status;
    if (status == OK) status = grid_cells(c, grid, &list, &n);
    if (status == OK) status = do_cells(setup, cells, list, n, hooks, out);
    setup->work = NULL;
    mem_free(c, list);
    mem_free(c, cells);
    mem_free(c, work);
    return status;
}

void experiment_release(struct experiment *e)
{
    for (size_t i = 0; i < e->n; i++) trial_release(e->c, &e->trials[i]);
    mem_free(e->c, e->trials);
    *e = (struct experiment){.c = e->c};
}
