/* choice_write: a JSON file of results and, for each task, a file with a line for each item, with the harness's names and
 * nesting. A line of samples is, shortened,
 *
 *   {"doc_id": 0, "doc": {the row}, "target": "2", "arguments": {"gen_args_0": {"arg_0": CONTEXT, "arg_1": " CHOICE"}, ...},
 *    "resps": [[["-3.25", null]], ...], "filtered_resps": [["-3.25", null], ...], "filter": "none", "metrics": ["acc"],
 *    "doc_hash": SHA-256, "prompt_hash": SHA-256, "target_hash": SHA-256, "acc": 1}
 *
 * with one argument and one response for each choice. Texts are made in memory and written atomically. */
#include "eval/choice_write.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"

enum { SAMPLE_CAP_BYTES = 1 << 30, NAME_BYTES = 256 };

/* One task of the files: a report, or of MMLU's the items of one subject. */
struct task_part {
    struct choice_report report; /* its set and scores are those below */
    char *name;                  /* "arc", "mmlu_anatomy"; owned */
    struct choice_set set; /* items and scores are copied by value, and lists of them are owned; what they hold is not */
    struct choice_scores scores;
};

struct task_parts {
    struct ctx *c;
    struct task_part *list; /* (n) owned */
    size_t n;
    bool group; /* they are subjects of MMLU */
};

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

/* ---- results ---------------------------------------------------------------------------------------------------------- */

static void write_mean(struct buf *out, const char *metric, struct choice_mean m)
{
    buf_printf(out, ", \"%s,none\": ", metric);
    json_append_f64(out, m.mean);
    buf_printf(out, ", \"%s_stderr,none\": ", metric);
    json_append_f64(out, m.error);
}

/* The value of a task's member in one of the objects. */
typedef void (*task_fn)(struct buf *out, const struct task_part *t);

static void write_names(struct buf *out, const char *name, size_t items)
{
    buf_append_str(out, "{\"name\": ");
    write_string(out, name);
    buf_append_str(out, ", \"alias\": ");
    write_string(out, name);
    buf_printf(out, ", \"sample_len\": %zu", items);
}

static void write_result(struct buf *out, const struct task_part *t)
{
    write_names(out, t->name, t->set.n);
    write_mean(out, "acc", choice_acc(&t->scores));
    if (choice_has_norm(t->set.task)) write_mean(out, "acc_norm", choice_acc_norm(&t->scores));
    buf_append_char(out, '}');
}

/* The group of MMLU's subjects: the mean over all items, and the error by the variance pooled over subjects, as the harness
 * has it: sqrt(sum (n - 1) n error^2 / (N - subjects) / N). */
static void choice_write_group(struct buf *out, const struct task_parts *p)
{
    double pooled = 0, items = 0, sum = 0;
    for (size_t i = 0; i < p->n; i++) {
        struct choice_mean m = choice_acc(&p->list[i].scores);
        double n = (double)p->list[i].set.n;
        pooled += (n - 1) * n * m.error * m.error;
        sum += n * m.mean;
        items += n;
    }
    double free_items = items - (double)p->n;
    write_names(out, "mmlu", (size_t)items);
    buf_printf(out, ", \"sample_count\": {\"acc,none\": %.0f}", items);
    write_mean(out, "acc", (struct choice_mean){sum / items, free_items > 0 ? sqrt(pooled / free_items / items) : 0});
    buf_append_char(out, '}');
}

static void write_metric(struct buf *out, const char *name, bool first)
{
    buf_printf(out, "%s{\"metric\": \"%s\", \"aggregation\": \"mean\", \"higher_is_better\": true}", first ? "" : ", ",
               name);
}

static void choice_write_config(struct buf *out, const struct task_part *t)
{
    buf_append_str(out, "{\"task\": ");
    write_string(out, t->name);
    buf_printf(out, ", \"output_type\": \"multiple_choice\", \"num_fewshot\": %lld, \"target_delimiter\": \" \", ",
               (long long)t->report.shots);
    buf_append_str(out, "\"fewshot_delimiter\": \"\\n\\n\", \"repeats\": 1, \"metric_list\": [");
    write_metric(out, "acc", true);
    if (choice_has_norm(t->set.task)) write_metric(out, "acc_norm", false);
    buf_printf(out, "], \"metadata\": {\"version\": %s}}", task_version[t->set.task]);
}

static void write_version(struct buf *out, const struct task_part *t)
{
    buf_append_str(out, task_version[t->set.task]);
}

static void choice_write_shots(struct buf *out, const struct task_part *t)
{
    buf_printf(out, "%lld", (long long)t->report.shots);
}

static void write_better(struct buf *out, const struct task_part *t)
{
    buf_printf(out, "{\"acc\": true%s}", choice_has_norm(t->set.task) ? ", \"acc_norm\": true" : "");
}

static void write_samples(struct buf *out, const struct task_part *t)
{
    buf_printf(out, "{\"original\": %zu, \"effective\": %zu}", t->set.n, t->set.n);
}

/* An object with a member for each task, and with `group` one for the group of them. */
static void write_tasks(struct buf *out, const char *key, const struct task_parts *p, task_fn write, bool group)
{
    buf_printf(out, "  \"%s\": {", key);
    if (group && p->group) {
        buf_append_str(out, "\n    \"mmlu\": ");
        choice_write_group(out, p);
    }
    for (size_t i = 0; write && i < p->n; i++) {
        buf_append_str(out, i || (group && p->group) ? ",\n    " : "\n    ");
        write_string(out, p->list[i].name);
        buf_append_str(out, ": ");
        write(out, &p->list[i]);
    }
    buf_append_str(out, "\n  },\n");
}

static void write_subtasks(struct buf *out, const struct task_parts *p)
{
    buf_append_str(out, "  \"group_subtasks\": {");
    for (size_t i = 0; p->group && i < p->n; i++) {
        buf_append_str(out, i ? ", " : "\"mmlu\": [");
        write_string(out, p->list[i].name);
    }
    buf_append_str(out, p->group ? "]},\n" : "},\n");
}

/* The harness's settings, those of this program where there are any. */
static void choice_write_settings(struct buf *out, const struct choice_report *r)
{
    buf_append_str(out, "  \"config\": {\"model\": \"your_ai\", \"model_args\": {\"pretrained\": ");
    write_string(out, r->model);
    buf_append_str(out, ", \"peft\": ");
    if (r->adapter)
        write_string(out, r->adapter);
    else
        buf_append_str(out, "null");
    buf_append_str(out,
                   "}, \"batch_size\": null, \"batch_sizes\": [], \"device\": null, \"use_cache\": null, \"limit\": null, "
                   "\"bootstrap_iters\": 0, \"gen_kwargs\": null, \"random_seed\": null, \"numpy_seed\": null, "
                   "\"torch_seed\": null, \"fewshot_seed\": null},\n");
}

static void choice_write_results(struct buf *out, const struct choice_report *r, const struct task_parts *p)
{
    char name[NAME_BYTES];
    folder_name(r, name);
    buf_append_str(out, "{\n");
    write_tasks(out, "results", p, write_result, true);
    if (p->group) write_tasks(out, "groups", p, NULL, true);
    write_subtasks(out, p);
    write_tasks(out, "configs", p, choice_write_config, false);
    write_tasks(out, "versions", p, write_version, false);
    write_tasks(out, "n-shot", p, choice_write_shots, false);
    write_tasks(out, "higher_is_better", p, write_better, false);
    write_tasks(out, "n-samples", p, write_samples, false);
    choice_write_settings(out, r);
    buf_append_str(out, "  \"git_hash\": null,\n  \"date\": ");
    write_string(out, r->time);
    buf_append_str(out, ",\n  \"lm_eval_version\": null,\n  \"transformers_version\": null,\n  \"task_hashes\": {},\n"
                        "  \"system_instruction\": null,\n  \"chat_template\": null,\n  \"fewshot_as_multiturn\": null,\n"
                        "  \"model_source\": \"your_ai\",\n  \"model_name\": ");
    write_string(out, r->model);
    buf_append_str(out, ",\n  \"model_name_sanitized\": ");
    write_string(out, name);
    buf_append_str(out, "\n}\n");
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

static enum status write_task(struct ctx *c, const struct task_part *t, const char *folder)
{
    struct buf text;
    buf_init(&text, c, SAMPLE_CAP_BYTES);
    for (size_t i = 0; i < t->set.n && ctx_ok(c); i++) write_sample(&t->report, i, &text);
    char *path = mem_printf(c, "%s/samples_%s_%s.jsonl", folder, t->name, t->report.time);
    if (path && buf_ok(&text)) file_write_atomic(c, path, buf_str(&text), text.len);
    mem_free(c, path);
    buf_release(&text);
    return c->status;
}

/* Appends the items of a report, or those of one subject. */
static enum status choice_write_add_part(struct task_parts *p, const struct choice_report *r, const char *subject)
{
    struct task_part *t = &p->list[p->n++];
    size_t n = 0, all = r->set->n;
    for (size_t i = 0; i < all; i++) n += !subject || strcmp(r->set->items[i].subject, subject) == 0;
    t->report = *r;
    t->set = (struct choice_set){.c = p->c, .task = r->set->task, .items = mem_alloc(p->c, n, sizeof(*t->set.items))};
    t->scores = (struct choice_scores){.c = p->c, .items = mem_alloc(p->c, n, sizeof(*t->scores.items))};
    t->name = mem_printf(p->c, "%s%s%s", choice_task_name[r->set->task], subject ? "_" : "", subject ? subject : "");
    for (char *ch = t->name; ch && *ch; ch++)
        if (*ch == '/') *ch = '_'; /* it is part of a file's name */
    for (size_t i = 0; ctx_ok(p->c) && i < all; i++) {
        if (subject && strcmp(r->set->items[i].subject, subject) != 0) continue;
        t->set.items[t->set.n++] = r->set->items[i];
        t->scores.items[t->scores.n++] = r->scores->items[i];
    }
    t->report.set = &t->set;
    t->report.scores = &t->scores;
    return p->c->status;
}

/* Whether an item is the first of its subject. */
static bool is_first(const struct choice_set *s, size_t i)
{
    for (size_t k = i; k-- > 0;) /* from the item before on: subjects mostly stand together */
        if (strcmp(s->items[k].subject, s->items[i].subject) == 0) return false;
    return true;
}

/* One part a report, or with MMLU one a subject. */
static enum status choice_write_make_parts(struct task_parts *p, const struct choice_report *r, size_t n)
{
    size_t count = n;
    p->group = n == 1 && r->set->task == CHOICE_MMLU && r->set->n > 0;
    for (size_t i = 0; p->group && i < r->set->n; i++) count += is_first(r->set, i);
    p->list = mem_alloc(p->c, count, sizeof(*p->list));
    if (!p->list) return p->c->status;
    for (size_t i = 0; !p->group && i < n; i++) TRY(choice_write_add_part(p, &r[i], NULL));
    for (size_t i = 0; p->group && i < r->set->n; i++)
        if (is_first(r->set, i)) TRY(choice_write_add_part(p, r, r->set->items[i].subject));
    return OK;
}

static void release_parts(struct task_parts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        mem_free(p->c, p->list[i].set.items);
        mem_free(p->c, p->list[i].scores.items);
        mem_free(p->c, p->list[i].name);
    }
    mem_free(p->c, p->list);
}

enum status choice_write(struct ctx *c, const struct choice_report *r, size_t n, const char *dir)
{
    struct buf text;
    struct task_parts parts = {.c = c};
    char name[NAME_BYTES];
    folder_name(r, name);
    char *folder = path_join(c, dir, name), *path = folder ? mem_printf(c, "%s/results_%s.json", folder, r->time) : NULL;
    buf_init(&text, c, SAMPLE_CAP_BYTES);
    if (path && choice_write_make_parts(&parts, r, n) == OK && dir_make(c, folder) == OK) {
        for (size_t i = 0; i < parts.n && ctx_ok(c); i++) write_task(c, &parts.list[i], folder);
        choice_write_results(&text, r, &parts);
        if (ctx_ok(c)) file_write_atomic(c, path, buf_str(&text), text.len);
    }
    release_parts(&parts);
    buf_release(&text);
    mem_free(c, path);
    mem_free(c, folder);
    return c->status;
}
