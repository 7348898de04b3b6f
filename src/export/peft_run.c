/* peft_run: what a run says about the training of its adapter, for the card. Read from the files that training keeps
 * (train/run.h): config.json, data_manifest.json, metrics.jsonl and data.cache. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "data/objective.h"
#include "export/card.h"
#include "export/peft.h"
#include "io/json.h"

enum { TEXT_MAX_BYTES = 64 << 20, TYPES_MAX = DATASET_TYPES_MAX + 1 };

/* A JSON file of the run, or NULL: it is not there, or is no JSON (which is no fault of the adapter). */
static json_t *peft_run_read_json(struct ctx *c, const char *run, const char *name)
{
    char *path = path_join(c, run, name);
    json_t *doc = path && file_exists(path) ? json_parse_file(c, path, TEXT_MAX_BYTES) : NULL;
    if (c->status == E_INPUT) ctx_clear(c);
    mem_free(c, path);
    return doc;
}

/* ---- settings and result ---------------------------------------------------------------------------------------------- */

/* The options that decide what was learned, in the order in which people ask for them. */
static void append_options(const json_t *config, struct buf *b)
{
    static const char *const names[] = {"epochs",  "max-steps",    "lr",         "schedule",       "warmup",
                                        "batch",   "accumulation", "max-length", "weight-decay",   "base-type",
                                        "compute", "distrust",     "lambda",     "distrust-ratio", "seed"};
    buf_append_str(b, "\n## Training\n\n| option | value |\n|---|---|\n");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *value = json_dumps(json_object_get(config, names[i]), JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        if (value) {
            buf_printf(b, "| `--%s` | `", names[i]);
            card_append_plain(b, value, strlen(value));
            buf_append_str(b, "` |\n");
        }
        free(value);
    }
}

/* The last complete line of metrics.jsonl. */
static json_t *last_metrics(struct ctx *c, const char *run)
{
    size_t n = 0;
    char *path = path_join(c, run, "metrics.jsonl");
    char *text = path && file_exists(path) ? file_read(c, path, TEXT_MAX_BYTES, &n) : NULL;
    json_t *doc = NULL;
    while (n > 0 && text[n - 1] == '\n') n--;
    size_t from = n;
    while (from > 0 && text[from - 1] != '\n') from--;
    if (n > from) doc = json_parse(c, path, text + from, n - from);
    if (c->status == E_INPUT) ctx_clear(c);
    mem_free(c, text);
    mem_free(c, path);
    return doc;
}

static void append_result(struct ctx *c, const char *run, struct buf *b)
{
    json_t *last = last_metrics(c, run);
    const json_t *step = json_object_get(last, "step"), *loss = json_object_get(last, "loss");
    if (json_is_integer(step) && json_is_number(loss))
        buf_printf(b, "\nStep %lld had a training loss of %.4f.\n", (long long)json_integer_value(step),
                   json_number_value(loss));
    json_decref(last);
}

static void append_files(const json_t *manifest, struct buf *b)
{
    const json_t *item;
    size_t i;
    buf_append_str(b, "\n## Data\n\n| file | bytes | SHA-256 |\n|---|---|---|\n");
    json_array_foreach((json_t *)(uintptr_t)manifest, i, item)
    {
        const char *kind = json_string_value(json_object_get(item, "kind"));
        const char *path = json_string_value(json_object_get(item, "path"));
        const char *sha256 = json_string_value(json_object_get(item, "sha256"));
        if (!kind || !path || !sha256 || strcmp(kind, "data") != 0) continue;
        const char *slash = strrchr(path, '/');
        /* not as a row of the weights: that is "name", bytes and hash in back quotes alone (peft_base.c) */
        buf_append_str(b, "| data file `");
        path = slash ? slash + 1 : path;
        card_append_plain(b, path, strlen(path));
        buf_printf(b, "` | %lld | `", (long long)json_integer_value(json_object_get(item, "bytes")));
        card_append_plain(b, sha256, strlen(sha256));
        buf_append_str(b, "` |\n");
    }
}

/* ---- provenance ------------------------------------------------------------------------------------------------------- */

/* What the rows of one type of source come to. */
struct peft_run_group {
    int64_t documents, tokens;
    double auth, entropy, omega; /* sums over documents, the last over trained tokens */
    int64_t scored;              /* documents with both scores */
};

static double option_of(const json_t *config, const char *key, double otherwise)
{
    const json_t *v = json_object_get(config, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static enum status peft_run_fit(struct ctx *c, const json_t *config, const struct dataset *d, struct objective *out)
{
    struct objective_options o = objective_options_default();
    const char *mode = json_string_value(json_object_get(config, "distrust"));
    if (mode) TRY(objective_mode_parse(c, mode, &o.mode));
    o.lambda = option_of(config, "lambda", o.lambda);
    o.alpha = option_of(config, "distrust-alpha", o.alpha);
    o.power = option_of(config, "distrust-power", o.power);
    o.ratio = option_of(config, "distrust-ratio", o.ratio);
    return objective_fit(c, &o, d, out);
}

static void peft_run_add_document(struct peft_run_group *g, const struct objective *o, const struct dataset_document *d)
{
    double omega = isnan(d->auth_weight) || isnan(d->prov_entropy) ? 1 : objective_omega(o, d->auth_weight, d->prov_entropy);
    g->documents++;
    g->tokens += d->n_trained;
    g->omega += omega * d->loss_weight * d->n_trained;
    if (isnan(d->auth_weight) || isnan(d->prov_entropy)) return;
    g->scored++;
    g->auth += d->auth_weight;
    g->entropy += d->prov_entropy;
}

static void append_group(const char *name, const struct peft_run_group *g, double total, struct buf *b)
{
    if (g->documents == 0) return;
    buf_append_str(b, "| ");
    card_append_plain(b, name, strlen(name));
    buf_printf(b, " | %lld | %lld | ", (long long)g->documents, (long long)g->tokens);
    if (g->scored)
        buf_printf(b, "%.3f | %.3f | ", g->auth / (double)g->scored, g->entropy / (double)g->scored);
    else
        buf_append_str(b, "none | none | ");
    buf_printf(b, "%.3f | %.1f %% |\n", g->tokens ? g->omega / (double)g->tokens : 0,
               total > 0 ? 100 * g->omega / total : 0);
}

static void append_groups(const struct dataset *d, const struct objective *o, struct peft_run_group *groups, struct buf *b)
{
    size_t n = dataset_n_types(d);
    double total = 0;
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *k = dataset_document(d, i);
        peft_run_add_document(&groups[k->source_type < 0 ? n : (size_t)k->source_type], o, k);
    }
    for (size_t i = 0; i <= n; i++) total += groups[i].omega;
    buf_printf(
        b,
        "\nProvenance weights: %s. The mean weight of a trained token is 1; weights rate provenance, not truth.\n\n"
        "| source type | documents | trained tokens | mean auth_weight | mean prov_entropy | mean weight | share of the "
        "loss |\n|---|---|---|---|---|---|---|\n",
        objective_mode_name(o->options.mode));
    for (size_t i = 0; i < n; i++) append_group(dataset_type(d, i), &groups[i], total, b);
    append_group("(none given)", &groups[n], total, b);
}

static void append_provenance(struct ctx *c, const char *run, const json_t *config, struct buf *b)
{
    struct objective o;
    char *path = path_join(c, run, "data.cache");
    struct dataset *d = path && file_exists(path) ? dataset_open(c, path) : NULL;
    struct peft_run_group *groups = d ? mem_alloc(c, TYPES_MAX, sizeof *groups) : NULL;
    if (groups && peft_run_fit(c, config, d, &o) == OK) append_groups(d, &o, groups, b);
    if (c->status == E_INPUT || c->status == E_UNSUPPORTED) ctx_clear(c); /* of another version: no summary */
    mem_free(c, groups);
    dataset_close(d);
    mem_free(c, path);
}

enum status peft_append_run(struct ctx *c, const char *run, struct buf *b)
{
    json_t *config = peft_run_read_json(c, run, "config.json"), *manifest = peft_run_read_json(c, run, "data_manifest.json");
    if (json_is_object(config)) append_options(config, b);
    append_result(c, run, b);
    if (json_is_array(manifest)) append_files(manifest, b);
    if (json_is_object(config) && ctx_ok(c)) append_provenance(c, run, config, b);
    json_decref(config);
    json_decref(manifest);
    return c->status;
}
