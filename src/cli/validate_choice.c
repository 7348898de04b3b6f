/* validate_choice: measures the base model, the adapter of --adapter and the adapters of all runs on the same items, one
 * after the other on one open model. truthfulqa is two tasks (mc1 and mc2) from the same rows, every other benchmark is
 * one. Files of a model (--output) are written as soon as it was measured; the table or the lines of JSON come at the end
 * and compare each adapter with the base item by item. */
#include "cli/validate_choice.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "eval/choice_write.h"
#include "export/peft.h"

enum { TASKS_MOST = 2, ARMS_MOST = 2 + OPTION_MAX_OPERANDS, TIME_BYTES = 64, LINE_BYTES = 1 << 16 };

/* One model that is measured: the base (path NULL), or an adapter on it. */
struct choice_arm {
    const char *name;
    char *path; /* owned */
    struct choice_scores scores[TASKS_MOST];
};

struct choice_work {
    const struct loaded *l;
    const struct validate_choice *v;
    struct choice_set *sets[TASKS_MOST];
    struct choice_arm arms[ARMS_MOST];
    size_t n_tasks, n_arms;
};

static enum status open_sets(struct choice_work *w)
{
    static const enum choice_task first[] = {CHOICE_TRUTHFULQA_MC1, CHOICE_ARC, CHOICE_HELLASWAG, CHOICE_MMLU};
    enum choice_task task = first[w->v->benchmark - 1];
    size_t n = task == CHOICE_TRUTHFULQA_MC1 ? 2 : 1; /* mc1 and mc2 are read from the same rows */
    for (; w->n_tasks < n; w->n_tasks++) {
        w->sets[w->n_tasks] = choice_open(w->l->c, (enum choice_task)((size_t)task + w->n_tasks), &w->v->options);
        if (!w->sets[w->n_tasks]) return w->l->c->status;
    }
    return OK;
}

static enum status list_arms(struct choice_work *w)
{
    struct ctx *c = w->l->c;
    w->arms[w->n_arms++] = (struct choice_arm){.name = "base"};
    if (w->v->adapter)
        w->arms[w->n_arms++] = (struct choice_arm){.name = w->v->adapter, .path = mem_strdup(c, w->v->adapter)};
    for (size_t i = 0; i < w->v->n_runs; i++)
        w->arms[w->n_arms++] = (struct choice_arm){.name = w->v->runs[i], .path = path_join(c, w->v->runs[i], "adapter")};
    return c->status;
}

static enum status measure_tasks(struct choice_work *w, struct choice_arm *arm)
{
    struct model *m = w->l->model;
    struct engine *e = engine_native_new(m->c, m, NULL);
    for (size_t k = 0; e && k < w->n_tasks && ctx_ok(m->c); k++)
        choice_measure(e, w->l->tokenizer, w->sets[k], &arm->scores[k]);
    if (e) e->ops->free(e);
    return m->c->status;
}

/* Attaches the adapter of an arm, holds it against the model (peft.h), and measures all tasks. */
static enum status measure_arm(struct choice_work *w, struct choice_arm *arm)
{
    struct model *m = w->l->model;
    struct lora *lora = arm->path ? lora_load(m->c, &m->config, arm->path) : NULL;
    if (arm->path && !lora) return m->c->status;
    model_attach_lora(m, lora);
    enum status status = arm->path ? peft_check_base(m, arm->path, false, w->v->force) : OK;
    if (status == OK) status = measure_tasks(w, arm);
    model_attach_lora(m, NULL);
    lora_free(lora);
    return status;
}

/* ---- showing ---------------------------------------------------------------------------------------------------------- */

static void print_mean(struct choice_mean m)
{
    printf("  %6.4f (%.4f)", m.mean, m.error);
}

static void print_choice_table(const struct choice_work *w)
{
    int width = 4;
    for (size_t i = 0; i < w->n_arms; i++)
        width = (int)strlen(w->arms[i].name) > width ? (int)strlen(w->arms[i].name) : width;
    printf("%-14s  %-*s  %5s  %15s  %15s  %s\n", "task", width, "model", "items", "acc (error)", "acc_norm (error)",
           w->n_arms > 1 ? "acc against base (paired error)" : "");
    for (size_t k = 0; k < w->n_tasks; k++)
        for (size_t i = 0; i < w->n_arms; i++) {
            const struct choice_scores *s = &w->arms[i].scores[k];
            printf("%-14s  %-*s  %5zu", choice_task_name[w->sets[k]->task], width, w->arms[i].name, s->n);
            print_mean(choice_acc(s));
            if (choice_has_norm(w->sets[k]->task))
                print_mean(choice_acc_norm(s));
            else
                printf("  %15s", "-");
            if (i > 0) {
                struct choice_mean d = choice_difference(s, &w->arms[0].scores[k]);
                printf("  %+.4f (%.4f)", d.mean, d.error);
            }
            printf("\n");
        }
}

static void add_mean(struct buf *line, const char *key, struct choice_mean m)
{
    buf_printf(line, ", \"%s\": ", key);
    json_append_f64(line, m.mean);
    buf_printf(line, ", \"%s_stderr\": ", key);
    json_append_f64(line, m.error);
}

static void print_choice_json(const struct choice_work *w, size_t arm, size_t task)
{
    struct buf line;
    const struct choice_scores *s = &w->arms[arm].scores[task];
    buf_init(&line, w->l->c, LINE_BYTES);
    buf_printf(&line, "{\"task\": \"%s\", \"model\": ", choice_task_name[w->sets[task]->task]);
    json_append_string(&line, w->arms[arm].name, strlen(w->arms[arm].name));
    buf_printf(&line, ", \"items\": %zu", s->n);
    add_mean(&line, "acc", choice_acc(s));
    if (choice_has_norm(w->sets[task]->task)) add_mean(&line, "acc_norm", choice_acc_norm(s));
    if (arm > 0) add_mean(&line, "acc_against_base", choice_difference(s, &w->arms[0].scores[task]));
    printf("%s}\n", buf_str(&line));
    buf_release(&line);
}

/* ---- files ------------------------------------------------------------------------------------------------------------ */

/* "2026-11-28T14-00-00.123456", as the harness names its files. */
static void name_time(char out[TIME_BYTES])
{
    struct timespec now;
    struct tm utc;
    char day[24];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(day, sizeof(day), "%Y-%m-%dT%H-%M-%S", &utc);
    snprintf(out, TIME_BYTES, "%s.%06ld", day, now.tv_nsec / 1000);
}

static enum status write_arm(const struct choice_work *w, const struct choice_arm *arm)
{
    struct choice_report r[TASKS_MOST];
    char when[TIME_BYTES];
    name_time(when);
    for (size_t k = 0; k < w->n_tasks; k++)
        r[k] = (struct choice_report){.set = w->sets[k],
                                      .scores = &arm->scores[k],
                                      .model = w->v->model,
                                      .adapter = arm->path ? arm->name : NULL,
                                      .shots = w->v->options.shots,
                                      .time = when};
    return choice_write(w->l->c, r, w->n_tasks, w->v->output);
}

static enum status measure_and_show(struct choice_work *w)
{
    TRY(open_sets(w));
    TRY(list_arms(w));
    for (size_t i = 0; i < w->n_arms; i++) {
        TRY(measure_arm(w, &w->arms[i]));
        if (w->v->output) TRY(write_arm(w, &w->arms[i]));
    }
    for (size_t k = 0; k < w->n_tasks && w->v->json; k++)
        for (size_t i = 0; i < w->n_arms; i++) print_choice_json(w, i, k);
    if (!w->v->json) print_choice_table(w);
    return OK;
}

enum status validate_choice_run(const struct loaded *l, const struct validate_choice *v)
{
    struct ctx *c = l->c;
    struct choice_work *w = mem_alloc(c, 1, sizeof(*w));
    if (!w) return c->status;
    w->l = l;
    w->v = v;
    enum status status = measure_and_show(w);
    for (size_t i = 0; i < w->n_arms; i++) {
        for (size_t k = 0; k < w->n_tasks; k++) {
            w->arms[i].scores[k].c = c;
            choice_scores_release(&w->arms[i].scores[k]);
        }
        mem_free(c, w->arms[i].path);
    }
    for (size_t k = 0; k < w->n_tasks; k++) choice_close(w->sets[k]);
    mem_free(c, w);
    return status;
}
