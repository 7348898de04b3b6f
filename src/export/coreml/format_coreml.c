/* format_coreml: the model with the adapter merged in as a Core ML package, with config.json and the tokenizer's files
 * beside it, which Swift packages for tokenizers read. What was written is opened again and computed by the interpreter of
 * its ops in f16 arithmetic, in calls of each length, through the cache. No Core ML and no Neural Engine was near: see
 * docs/export.md. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/card.h"
#include "export/coreml/coreml_session.h"
#include "export/export_check.h"
#include "export/formats.h"
#include "export/hf/hf_folder.h"

enum { CONTEXT_DEFAULT = 2048, LENGTH_DEFAULT = 64, CHECK_SINGLE = 3 };
static const uint64_t elements_most = 3500000000u;
static const char package_name[] = "Model.mlpackage";

/* ---- what is asked for ------------------------------------------------------------------------------------------------ */

/* "1,64" into ascending lengths. */
static enum status parse_lengths(struct ctx *c, const char *text, struct coreml_options *o)
{
    for (const char *at = text;; at++) {
        char *end;
        long long length = strtoll(at, &end, 10);
        if (end == at || length < 1 || length > o->context || (*end && *end != ',') || o->n_lengths == COREML_LENGTHS_MAX ||
            (o->n_lengths > 0 && length <= o->lengths[o->n_lengths - 1]))
            return ctx_fail(
                c, E_INPUT,
                "--coreml-lengths %s: at most %d lengths of calls, ascending, each from 1 to the context of %lld, "
                "as in 1,64",
                text, COREML_LENGTHS_MAX, (long long)o->context);
        o->lengths[o->n_lengths++] = length;
        at = end;
        if (!*at) return OK;
    }
}

static enum status read_options(const struct export_source *s, const char *type, struct coreml_options *o)
{
    int64_t most = s->model->config.max_positions;
    *o = (struct coreml_options){.ane = strncmp(type, "ane", 3) == 0};
    o->form = strstr(type, "int8") ? COREML_INT8 : strstr(type, "lut4") ? COREML_LUT4 : COREML_HALF;
    o->context = s->coreml_context > 0 ? s->coreml_context : most < CONTEXT_DEFAULT ? most : CONTEXT_DEFAULT;
    if (o->context > most)
        return ctx_fail(s->c, E_INPUT, "--coreml-context %lld: the model has %lld positions", (long long)o->context,
                        (long long)most);
    if (s->coreml_lengths) return parse_lengths(s->c, s->coreml_lengths, o);
    o->lengths[o->n_lengths++] = 1;
    if (o->context > 1) o->lengths[o->n_lengths++] = o->context < LENGTH_DEFAULT ? o->context : LENGTH_DEFAULT;
    return OK;
}

static enum status check_size(const struct export_source *s)
{
    uint64_t elements = format_plain_bytes(s, TENSOR_F16) / 2;
    if (elements <= elements_most || s->force_size || !ctx_ok(s->c)) return s->c->status;
    return ctx_fail(
        s->c, E_UNSUPPORTED,
        "--to coreml: %s has %.1f billion parameters; packages are written of models of up to 3.5 billion, since "
        "larger ones do not fit into the devices that they are for. --force-size writes it all the same",
        s->model->name, (double)elements / 1e9);
}

/* ---- writing ---------------------------------------------------------------------------------------------------------- */

static uint64_t format_coreml_bytes(const struct export_source *s, const char *type)
{
    struct coreml_options o;
    struct coreml_net n = {.blobs = {.c = s->c}};
    struct merged *list = merged_open(s->model);
    uint64_t bytes = 0;
    if (list && check_size(s) == OK && read_options(s, type, &o) == OK && coreml_net_build(&n, s->model, list, &o) == OK)
        bytes = n.blobs.end;
    coreml_net_release(&n);
    merged_close(list);
    return bytes;
}

static char *format_coreml_opens(const struct export_source *s, const char *dir, const char *type)
{
    (void)type;
    return path_join(s->c, dir, package_name);
}

static enum status write_package(const struct export_source *s, const struct coreml_net *n, struct merged *list,
                                 const struct coreml_options *o, const char *path)
{
    char context[24], lengths[16 * COREML_LENGTHS_MAX] = "", text[256];
    int at = 0;
    for (int i = 0; i < o->n_lengths; i++)
        at += snprintf(lengths + at, sizeof lengths - (size_t)at, "%s%lld", i ? "," : "", (long long)o->lengths[i]);
    snprintf(context, sizeof context, "%lld", (long long)o->context);
    snprintf(text, sizeof text, "%.120s, next-token logits with a key-value cache",
             card_model_name(s->base_name ? s->base_name : s->model->name));
    struct coreml_description d = {
        .text = text,
        .pairs = {{"your_ai.context", context}, {"your_ai.lengths", lengths}, {"your_ai.shape", o->ane ? "ane" : "plain"}},
        .n_pairs = 3};
    return coreml_package_write(n, list, o, &d, path);
}

static enum status format_coreml_write(const struct export_source *s, const char *dir, const char *type)
{
    struct coreml_options o;
    struct coreml_net n = {.blobs = {.c = s->c}};
    struct merged *list = merged_open(s->model);
    char *path = format_coreml_opens(s, dir, type);
    if (list) merged_set_progress(list, s->report, s->report_user);
    if (list && path && hf_folder_check(s->model) == OK && read_options(s, type, &o) == OK &&
        coreml_net_build(&n, s->model, list, &o) == OK && write_package(s, &n, list, &o, path) == OK)
        hf_folder_write(s->model, dir, TENSOR_F16);
    coreml_net_release(&n);
    merged_close(list);
    mem_free(s->c, path);
    return s->c->status;
}

/* ---- the check -------------------------------------------------------------------------------------------------------- */

/* How many ids the calls of a package can take: without calls of one the last call must still fit. */
static int64_t most_ids(const struct coreml_session *q)
{
    const struct coreml_package *k = q->package;
    int64_t last = k->lengths[k->n_lengths - 1];
    return k->lengths[0] == 1 ? q->context : q->context / last * last;
}

/* All but the last ids in calls as long as may be, those one by one where the package has calls of one. */
static enum status compute_package(struct coreml_session *q, const struct export_logits *wanted, float *got)
{
    int64_t n = (int64_t)wanted->ids.n, single = n > CHECK_SINGLE && q->package->lengths[0] == 1 ? CHECK_SINGLE : 0,
            at = n - single;
    TRY(coreml_session_extend(q, wanted->ids.data, at, got));
    for (; at < n; at++) TRY(coreml_session_extend(q, wanted->ids.data + at, 1, got + at * wanted->vocab));
    return OK;
}

static enum status compare_package(const struct export_source *s, const struct coreml_package *k,
                                   struct export_logits *wanted, struct export_difference *out)
{
    struct coreml_session q;
    float *got = NULL;
    if (coreml_session_open(&q, k, true) == OK) {
        if (q.vocab != wanted->vocab) ctx_fail(s->c, E_NUMERIC, "%s: has logits of another number of tokens", k->name);
        if ((int64_t)wanted->ids.n > most_ids(&q)) wanted->ids.n = (size_t)most_ids(&q);
        got = mem_alloc(s->c, wanted->ids.n * (size_t)wanted->vocab, sizeof *got);
    }
    if (got && ctx_ok(s->c) && compute_package(&q, wanted, got) == OK) export_check_values(wanted, got, out);
    coreml_session_close(&q);
    mem_free(s->c, got);
    return s->c->status;
}

static enum status format_coreml_check(const struct export_source *s, const char *dir, const char *type,
                                       struct export_difference *out)
{
    char *path = format_coreml_opens(s, dir, type);
    struct coreml_options o;
    struct coreml_package *k = path && read_options(s, type, &o) == OK ? coreml_package_open(s->c, path) : NULL;
    struct export_logits *wanted = k ? export_logits_new(s, o.context) : NULL;
    if (wanted) compare_package(s, k, wanted, out);
    export_logits_free(wanted);
    coreml_package_close(k);
    mem_free(s->c, path);
    return s->c->status;
}

static double format_coreml_limit(const char *type)
{
    return strstr(type, "lut4") ? 1 : strstr(type, "int8") ? 0.5 : format_limit_of(TENSOR_F16);
}

const struct export_format format_coreml = {
    .name = "coreml",
    .library = "coreml",
    .holds = "a Core ML package with a key-value cache (iOS 18, macOS 15)",
    .types = "f16|int8|lut4|ane|ane-int8|ane-lut4",
    .bytes = format_coreml_bytes,
    .write = format_coreml_write,
    .opens = format_coreml_opens,
    .limit = format_coreml_limit,
    .check = format_coreml_check,
    .usage = {.command = "xcrun coremlcompiler compile %s .",
              .note = "on a Mac with macOS 15; the Swift lines are in docs/export.md of your_ai"},
};
