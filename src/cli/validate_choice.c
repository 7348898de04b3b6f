/* validate_choice: measures all candidates on the same items. truthfulqa is two tasks (mc1 and mc2) from the same rows,
 * every other benchmark is one. Files of a candidate (--output) are written as soon as it was measured; the table or the
 * lines of JSON come at the end and compare each with the first one item by item. */
#include "cli/validate_choice.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "eval/choice_write.h"

enum { TASKS_MOST = 2, TIME_BYTES = 64, LINE_BYTES = 1 << 16 };

struct choice_work {
    const struct loaded *l;
    const struct validate_choice *v;
    struct choice_set *sets[TASKS_MOST];
    struct choice_scores scores[CANDIDATES_MOST][TASKS_MOST];
    size_t n_tasks;
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

static enum status validate_choice_write_files(const struct choice_work *w, size_t index);

/* A candidate_fn. */
static enum status measure_tasks(void *user, size_t index, struct engine *e)
{
    struct choice_work *w = user;
    for (size_t k = 0; k < w->n_tasks; k++) TRY(choice_measure(e, w->l->tokenizer, w->sets[k], &w->scores[index][k]));
    return w->v->output ? validate_choice_write_files(w, index) : OK;
}

/* ---- showing ---------------------------------------------------------------------------------------------------------- */

static void print_mean(struct choice_mean m)
{
    printf("  %6.4f (%.4f)", m.mean, m.error);
}

/* One line of the table. */
static void print_scores(const struct choice_work *w, size_t task, size_t i, int width)
{
    const struct choice_scores *s = &w->scores[i][task];
    enum choice_task which = w->sets[task]->task;
    printf("%-14s  %-*s  %5zu", choice_task_name[which], width, w->v->candidates->list[i].name, s->n);
    print_mean(choice_acc(s));
    if (choice_has_norm(which))
        print_mean(choice_acc_norm(s));
    else
        printf("  %15s", "-");
    if (i > 0) {
        struct choice_mean d = choice_difference(s, &w->scores[0][task]);
        printf("  %+.4f (%.4f)", d.mean, d.error);
    }
    printf("\n");
}

static void print_choice_table(const struct choice_work *w)
{
    const struct candidates *a = w->v->candidates;
    int width = candidates_width(a);
    printf("%-14s  %-*s  %5s  %15s  %15s", "task", width, "model", "items", "acc (error)", "acc_norm (error)");
    if (a->n > 1) printf("  acc against %s (paired error)", a->list[0].name);
    printf("\n");
    for (size_t k = 0; k < w->n_tasks; k++)
        for (size_t i = 0; i < a->n; i++) print_scores(w, k, i, width);
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
    const struct choice_scores *s = &w->scores[arm][task];
    const char *name = w->v->candidates->list[arm].name;
    buf_init(&line, w->l->c, LINE_BYTES);
    buf_printf(&line, "{\"task\": \"%s\", \"model\": ", choice_task_name[w->sets[task]->task]);
    json_append_string(&line, name, strlen(name));
    buf_printf(&line, ", \"items\": %zu", s->n);
    add_mean(&line, "acc", choice_acc(s));
    if (choice_has_norm(w->sets[task]->task)) add_mean(&line, "acc_norm", choice_acc_norm(s));
    if (arm > 0) {
        add_mean(&line, "acc_difference", choice_difference(s, &w->scores[0][task]));
        buf_append_str(&line, ", \"against\": ");
        json_append_string(&line, w->v->candidates->list[0].name, strlen(w->v->candidates->list[0].name));
    }
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

static enum status validate_choice_write_files(const struct choice_work *w, size_t index)
{
    struct choice_report r[TASKS_MOST];
    const struct candidate *one = &w->v->candidates->list[index];
    char when[TIME_BYTES];
    name_time(when);
    for (size_t k = 0; k < w->n_tasks; k++)
        r[k] = (struct choice_report){.set = w->sets[k],
                                      .scores = &w->scores[index][k],
                                      .model = w->v->model,
                                      .adapter = one->path ? one->name : NULL,
                                      .shots = w->v->options.shots,
                                      .time = when};
    return choice_write(w->l->c, r, w->n_tasks, w->v->output);
}

static enum status measure_and_show(struct choice_work *w)
{
    TRY(open_sets(w));
    TRY(candidates_each(w->v->candidates, w->l, measure_tasks, w));
    for (size_t k = 0; k < w->n_tasks && w->v->json; k++)
        for (size_t i = 0; i < w->v->candidates->n; i++) print_choice_json(w, i, k);
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
    for (size_t i = 0; i < v->candidates->n; i++) {
        for (size_t k = 0; k < w->n_tasks; k++) {
            w->scores[i][k].c = c;
            choice_scores_release(&w->scores[i][k]);
        }
    }
    for (size_t k = 0; k < w->n_tasks; k++) choice_close(w->sets[k]);
    mem_free(c, w);
    return status;
}
