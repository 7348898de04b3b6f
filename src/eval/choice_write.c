/* choice_write: a JSON file of results and, for each task, a file with a line for each item, with the harness's names and
 * nesting. A line of samples is, shortened,
 *
 *   {"doc_id": 0, "doc": {the row}, "target": "2", "arguments": {"gen_args_0": {"arg_0": CONTEXT, "arg_1": " CHOICE"}, ...},
 *    "resps": [[["-3.25", null]], ...], "filtered_resps": [["-3.25", null], ...], "filter": "none", "metrics": ["acc"],
 *    "doc_hash": SHA-256, "prompt_hash": SHA-256, "target_hash": SHA-256, "acc": 1}
 *
 * with one argument and one response for each choice. Texts are made in memory and written atomically. */
#include "eval/choice_write.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"

enum { SAMPLE_CAP_BYTES = 1 << 30, NAME_BYTES = 256 };

/* The version of the harness's task that a score is comparable with. */
static const char *const task_version[CHOICE_TASKS] = {"2.0", "3.0", "1.0", "1.0", "1.0"};

static void write_string(struct buf *out, const char *text)
{
    json_append_string(out, text, strlen(text));
}

static void write_hash(struct buf *out, const char *key, const char *text)
{
    struct sha256 s;
    uint8_t digest[32];
    char hex[65];
    sha256_init(&s);
    sha256_update(&s, text, strlen(text));
    sha256_final(&s, digest);
    sha256_hex(digest, hex);
    buf_printf(out, ", \"%s\": \"%s\"", key, hex);
}

/* ---- samples ---------------------------------------------------------------------------------------------------------- */

/* The requests of an item: each choice is one, with the context as arg_0 and the continuation as arg_1. */
static void write_arguments(struct buf *out, const struct choice_item *item)
{
    buf_append_str(out, ", \"arguments\": {");
    for (size_t i = 0; i < item->n; i++) {
        struct buf continuation;
        buf_init(&continuation, out->c, SAMPLE_CAP_BYTES);
        buf_printf(&continuation, " %s", item->choices[i]);
        buf_printf(out, "%s\"gen_args_%zu\": {\"arg_0\": ", i ? ", " : "", i);
        write_string(out, item->context);
        buf_append_str(out, ", \"arg_1\": ");
        write_string(out, buf_str(&continuation));
        buf_append_char(out, '}');
        buf_release(&continuation);
    }
    buf_append_char(out, '}');
}

/* One list a request; `nested`: one response each of possibly several. Numbers are strings, as the harness writes them. */
static void write_responses(struct buf *out, const char *key, const struct choice_item *item, const double *loglik,
                            bool nested)
{
    buf_printf(out, ", \"%s\": [", key);
    for (size_t i = 0; i < item->n; i++) {
        buf_append_str(out, i ? ", [" : "[");
        if (nested) buf_append_char(out, '[');
        buf_append_char(out, '"');
        json_append_f64(out, loglik[i]);
        buf_append_str(out, "\", null]");
        if (nested) buf_append_char(out, ']');
    }
    buf_append_char(out, ']');
}

/* One line of the samples file. The target is the index of the right choice (of truthfulqa_mc2, which has none, 0). The hash
 * of the document is that of its indented JSON, as the harness hashes it. */
static enum status write_sample(const struct choice_report *r, size_t i, struct buf *out)
{
    const struct choice_item *item = &r->set->items[i];
    const struct choice_score *score = &r->scores->items[i];
    char target[24];
    struct buf pretty;
    char *row = json_dumps(item->row, JSON_INDENT(2));
    if (!row) return ctx_fail(out->c, E_MEMORY, "no memory for a sample");
    snprintf(target, sizeof(target), "%zu", item->gold);
    buf_init(&pretty, out->c, SAMPLE_CAP_BYTES);
    buf_printf(out, "{\"doc_id\": %zu, \"doc\": ", i);
    json_write(out->c, item->row, false, &pretty);
    buf_append(out, buf_str(&pretty), pretty.len);
    buf_printf(out, ", \"target\": \"%s\"", target);
    write_arguments(out, item);
    write_responses(out, "resps", item, score->loglik, true);
    write_responses(out, "filtered_resps", item, score->loglik, false);
    buf_printf(out, ", \"filter\": \"none\", \"metrics\": [\"acc\"%s]",
               choice_has_norm(r->set->task) ? ", \"acc_norm\"" : "");
    write_hash(out, "doc_hash", row);
    write_hash(out, "prompt_hash", item->context);
    write_hash(out, "target_hash", target);
    buf_append_str(out, ", \"acc\": ");
    json_append_f64(out, score->acc);
    if (choice_has_norm(r->set->task)) {
        buf_append_str(out, ", \"acc_norm\": ");
        json_append_f64(out, score->acc_norm);
    }
    buf_append_str(out, "}\n");
    buf_release(&pretty);
    free(row);
    return out->c->status;
}

/* ---- results ---------------------------------------------------------------------------------------------------------- */

static void write_mean(struct buf *out, const char *metric, struct choice_mean m)
{
    buf_printf(out, ", \"%s,none\": ", metric);
    json_append_f64(out, m.mean);
    buf_printf(out, ", \"%s_stderr,none\": ", metric);
    json_append_f64(out, m.error);
}

/* A member per task: {"arc": ...}. */
typedef void (*task_fn)(struct buf *out, const struct choice_report *r);

static void write_result(struct buf *out, const struct choice_report *r)
{
    buf_printf(out, "{\"alias\": \"%s\"", choice_task_name[r->set->task]);
    write_mean(out, "acc", choice_acc(r->scores));
    if (choice_has_norm(r->set->task)) write_mean(out, "acc_norm", choice_acc_norm(r->scores));
    buf_append_char(out, '}');
}

static void write_config(struct buf *out, const struct choice_report *r)
{
    buf_printf(
        out, "{\"task\": \"%s\", \"output_type\": \"multiple_choice\", \"num_fewshot\": %lld, \"target_delimiter\": \" \", ",
        choice_task_name[r->set->task], (long long)r->shots);
    buf_printf(out, "\"metadata\": {\"version\": %s}}", task_version[r->set->task]);
}

static void write_version(struct buf *out, const struct choice_report *r)
{
    buf_append_str(out, task_version[r->set->task]);
}

static void write_shots(struct buf *out, const struct choice_report *r)
{
    buf_printf(out, "%lld", (long long)r->shots);
}

static void write_better(struct buf *out, const struct choice_report *r)
{
    buf_printf(out, "{\"acc\": true%s}", choice_has_norm(r->set->task) ? ", \"acc_norm\": true" : "");
}

static void write_samples(struct buf *out, const struct choice_report *r)
{
    buf_printf(out, "{\"original\": %zu, \"effective\": %zu}", r->set->n, r->set->n);
}

static void write_tasks(struct buf *out, const char *key, const struct choice_report *r, size_t n, task_fn write)
{
    buf_printf(out, "  \"%s\": {", key);
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s\n    \"%s\": ", i ? "," : "", choice_task_name[r[i].set->task]);
        write(out, &r[i]);
    }
    buf_append_str(out, "\n  },\n");
}

static void write_results(struct buf *out, const struct choice_report *r, size_t n)
{
    buf_append_str(out, "{\n");
    write_tasks(out, "results", r, n, write_result);
    buf_append_str(out, "  \"group_subtasks\": {},\n");
    write_tasks(out, "configs", r, n, write_config);
    write_tasks(out, "versions", r, n, write_version);
    write_tasks(out, "n-shot", r, n, write_shots);
    write_tasks(out, "higher_is_better", r, n, write_better);
    write_tasks(out, "n-samples", r, n, write_samples);
    buf_append_str(out, "  \"config\": {\"model\": \"your_ai\", \"model_args\": {\"pretrained\": ");
    write_string(out, r->model);
    buf_append_str(out, ", \"peft\": ");
    if (r->adapter)
        write_string(out, r->adapter);
    else
        buf_append_str(out, "null");
    buf_append_str(
        out, "}},\n  \"git_hash\": null,\n  \"task_hashes\": {},\n  \"model_source\": \"your_ai\",\n  \"model_name\": ");
    write_string(out, r->model);
    buf_append_str(out, "\n}\n");
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

/* The name of the folder: path of model and adapter, what is no letter, digit, "." or "-" as "__" once. */
static void folder_name(const struct choice_report *r, char out[NAME_BYTES])
{
    const char *parts[2] = {r->model, r->adapter ? r->adapter : ""};
    size_t n = 0;
    for (int k = 0; k < 2; k++)
        for (const char *p = parts[k]; *p && n + 4 < NAME_BYTES; p++) {
            bool plain =
                (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || strchr(".-_", *p);
            if (k && p == parts[1]) n += (size_t)snprintf(out + n, NAME_BYTES - n, "__");
            if (plain)
                out[n++] = *p;
            else if (n > 0 && out[n - 1] != '_')
                n += (size_t)snprintf(out + n, NAME_BYTES - n, "__");
        }
    out[n] = 0;
}

static enum status write_task(struct ctx *c, const struct choice_report *r, const char *folder)
{
    struct buf text;
    buf_init(&text, c, SAMPLE_CAP_BYTES);
    for (size_t i = 0; i < r->set->n && ctx_ok(c); i++) write_sample(r, i, &text);
    char *path = mem_printf(c, "%s/samples_%s_%s.jsonl", folder, choice_task_name[r->set->task], r->time);
    if (path && buf_ok(&text)) file_write_atomic(c, path, buf_str(&text), text.len);
    mem_free(c, path);
    buf_release(&text);
    return c->status;
}

enum status choice_write(struct ctx *c, const struct choice_report *r, size_t n, const char *dir)
{
    struct buf text;
    char name[NAME_BYTES];
    folder_name(r, name);
    char *folder = path_join(c, dir, name), *path = folder ? mem_printf(c, "%s/results_%s.json", folder, r->time) : NULL;
    buf_init(&text, c, SAMPLE_CAP_BYTES);
    if (path && dir_make(c, folder) == OK) {
        for (size_t i = 0; i < n && ctx_ok(c); i++) write_task(c, &r[i], folder);
        write_results(&text, r, n);
        if (ctx_ok(c)) file_write_atomic(c, path, buf_str(&text), text.len);
    }
    buf_release(&text);
    mem_free(c, path);
    mem_free(c, folder);
    return c->status;
}
