/* train_view: what a training shows while it runs. The page before step 1 is train_page.c.
 *
 * On a terminal one line is refreshed, and every twentieth part of the run one stays, so that a curve remains; with --plot
 * the loss so far stands above the line. In a pipe every step has a line. */
#include "cli/train_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/shell_word.h"
#include "base/system.h"
#include "cli/data_page.h"
#include "cli/progress_line.h"
#include "cli/run_log.h"
#include "cli/run_readme.h"
#include "cli/run_samples.h"
#include "cli/source_page.h"
#include "cli/train_signals.h"
#include "cli/try_line.h"
#include "cli/verdict_page.h"
#include "export/peft.h"
#include "report/braille.h"
#include "runs/verdict.h"

enum { LINES_KEPT = 20, PLOT_ROWS = 8, PLOT_COLUMNS_MAX = 100, PLOT_CAP_BYTES = 1 << 18 };

/* ---- screen and log -------------------------------------------------------------------------------------------------- */

/* Columns of the terminal now: windows change their size. */
static size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Leaves the line that is being refreshed, so that other output starts on a line of its own. A plot goes: it is drawn again
 * below that output. */
static void end_line(struct train_view *v)
{
    if (v->open_line && v->plot_lines) printf("\r\033[%dA\033[J", v->plot_lines);
    if (v->open_line && !v->plot_lines) putchar('\n');
    v->open_line = false;
    v->plot_lines = 0;
}

/* A line that stays, on the screen and in the log. */
static void __attribute__((format(printf, 2, 3))) keep(struct train_view *v, const char *format, ...)
{
    va_list args;
    end_line(v);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
    if (!v->log) return;
    va_start(args, format);
    vfprintf(v->log, format, args);
    va_end(args);
}

/* The ctx's log hook while a training runs: warnings belong into the log too. */
static void view_log(void *user, enum log_level level, const char *message)
{
    struct train_view *v = user;
    end_line(v);
    fflush(stdout);
    if (v->log_before) v->log_before(v->user_before, level, message);
    if (v->log && level != LOG_DEBUG) fprintf(v->log, "%s%s\n", level == LOG_WARN ? "warning: " : "", message);
}

/* ---- the line -------------------------------------------------------------------------------------------------------- */

/* Remembers a loss for the plot. Without memory for it there is no plot, and the training continues. */
static void curve_add(struct train_view *v, int64_t step, double loss)
{
    struct train_curve *k = &v->curve;
    if (!v->plot) return;
    if (k->n == k->room) {
        size_t wanted = k->room ? 2 * k->room : 256;
        double *x = mem_resize(v->c, k->x, k->room, wanted, sizeof *x);
        if (x) k->x = x;
        double *y = x ? mem_resize(v->c, k->y, k->room, wanted, sizeof *y) : NULL;
        if (!y) {
            ctx_clear(v->c);
            v->plot = false;
            return;
        }
        k->y = y;
        k->room = wanted;
    }
    k->x[k->n] = (double)step;
    k->y[k->n++] = loss;
}

/* The curve so far; returns its number of lines. */
static int print_plot(const struct train_view *v, FILE *out, size_t columns)
{
    struct buf text;
    int lines = 0;
    struct braille_plot plot = {.x = v->curve.x,
                                .y = v->curve.y,
                                .n = v->curve.n,
                                .columns = (int)(columns - 1 < PLOT_COLUMNS_MAX ? columns - 1 : PLOT_COLUMNS_MAX),
                                .rows = PLOT_ROWS};
    buf_init(&text, v->c, PLOT_CAP_BYTES);
    braille_write(&plot, &text);
    if (buf_ok(&text)) {
        fputs(buf_str(&text), out);
        lines = PLOT_ROWS + 1;
    }
    buf_release(&text);
    return lines;
}

/* Whether the line of this step stays. The last one does, and one of every twentieth part of the run. */
static bool is_kept(const struct train_view *v, const struct train_progress *p)
{
    int64_t every = p->total_steps / LINES_KEPT;
    return p->step.step == p->total_steps || p->step.step - v->lines_from >= (every > 0 ? every : 1);
}

/* On a terminal the line of the step before is overwritten; otherwise every step has a line. */
static void show_line(struct train_view *v, const struct train_progress *p)
{
    struct progress_line line = {p, watch_loss(&v->watch), v->free_bytes};
    char text[PROGRESS_LINE_BYTES];
    size_t columns = v->line ? terminal_columns() : SIZE_MAX;
    bool kept = is_kept(v, p), drawn = v->line && v->plot && columns > 30;
    if (v->plot_lines) printf("\r\033[%dA\033[J", v->plot_lines);
    v->plot_lines = 0;
    progress_line_write(&line, columns, text);
    printf("%s%s%s", v->line ? "\r\033[K" : "", text, !v->line || (kept && drawn) ? "\n" : "");
    if (drawn) v->plot_lines = print_plot(v, stdout, columns);
    if (drawn) printf("%s", text);
    v->open_line = v->line;
    if (kept && !drawn) end_line(v);
    fflush(stdout);
    if (!kept) return;
    v->lines_from = p->step.step;
    progress_line_write(&line, SIZE_MAX, text);
    if (v->log) fprintf(v->log, "%s\n", text);
}

static void show_step(void *user, const struct train_progress *p)
{
    struct train_view *v = user;
    enum watch_event event;
    char text[FINDING_BYTES];
    train_signals_done(p->step.step);
    bool told = watch_add(&v->watch, &p->step, &event, text, sizeof text);
    if (v->server) live_server_note(v->server, p->step.step, p->total_steps, p->step.loss);
    curve_add(v, p->step.step, p->step.loss);
    show_line(v, p);
    if (v->search) {
        v->search_over = p->step.loss > 3 * watch_start(v->watch.first, v->watch.seen);
        return;
    }
    if (told) ctx_log(v->c, LOG_WARN, "step %" PRId64 ": %s. Ctrl-C saves and stops", p->step.step, text);
}

/* A line for each validation, which stays. */
static void show_eval(void *user, const struct train_progress *p)
{
    struct train_view *v = user;
    keep(v, "step %" PRId64 "  validation: loss %.4f  weighted %.4f%s\n", p->eval.step, p->eval.loss, p->eval.weighted_loss,
         p->eval.step == 0 ? "  before training"
         : p->eval.best    ? "  best so far"
                           : "");
}

/* ---- saving and stopping ---------------------------------------------------------------------------------------------- */

/* Asked between micro-batches. */
static bool view_is_interrupted(void *user)
{
    const struct train_view *v = user;
    return v->search_over || train_signals_stop();
}

/* SIGUSR1 came: remembered, so that note_saved can answer. */
static bool is_save_asked(void *user)
{
    struct train_view *v = user;
    v->save_asked = train_signals_take_save();
    return v->save_asked;
}

/* A checkpoint is complete; says so when SIGUSR1 asked for it. */
static void note_saved(void *user, int64_t step)
{
    struct train_view *v = user;
    train_signals_saved(step);
    if (!v->save_asked) return;
    v->save_asked = false;
    keep(v, "step %" PRId64 " is saved (SIGUSR1)\n", step);
}

/* What the answer to a signal will say is being done. */
static void note_phase(void *user, enum trainer_phase phase)
{
    (void)user;
    train_signals_phase(phase);
}

/* The words that continue the run, as this program was called. */
static enum status make_command(struct train_view *v, struct ctx *c, const struct train_view_options *o)
{
    struct buf b;
    buf_init(&b, c, sizeof v->command - 1);
    buf_append_str(&b, system_program());
    buf_append_str(&b, " resume");
    shell_word_append(&b, o->run);
    if (o->max_steps) buf_printf(&b, " --max-steps %" PRId64, o->max_steps);
    for (size_t i = 0; o->moved && i < o->moved->n; i++) {
        buf_append_str(&b, " -d");
        shell_word_append(&b, o->moved->items[i]);
    }
    if (buf_ok(&b)) snprintf(v->command, sizeof v->command, "%s", buf_str(&b));
    buf_release(&b);
    return c->status;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

enum status train_view_start(struct train_view *v, const struct command_call *call, const struct train_view_options *o,
                             struct trainer_hooks *hooks)
{
    struct ctx *c = call->c;
    *v = (struct train_view){.c = c,
                             .line = isatty(STDOUT_FILENO),
                             .color = command_color(STDOUT_FILENO),
                             .plot = o->plot,
                             .samples = o->search ? 0 : o->samples,
                             .search = o->search,
                             .resumed = o->resumed,
                             .free_bytes = SIZE_MAX,
                             .log_before = c->hooks.log,
                             .user_before = c->hooks.user,
                             .argc = call->argc,
                             .argv = call->argv};
    *hooks = (struct trainer_hooks){.user = v,
                                    .phase = note_phase,
                                    .step = show_step,
                                    .eval = show_eval,
                                    .saved = note_saved,
                                    .interrupted = view_is_interrupted,
                                    .save_asked = is_save_asked};
    TRY(make_command(v, c, o));
    if (o->serve) v->server = live_server_open(c, o->serve);
    if (!ctx_ok(c)) return c->status;
    train_signals_install(v->command, o->run);
    return OK;
}

void train_view_end(struct train_view *v)
{
    if (!v->c) return;
    live_server_close(v->server);
    v->server = NULL;
    v->c->hooks.log = v->log_before;
    v->c->hooks.user = v->user_before;
    mem_free(v->c, v->curve.x);
    mem_free(v->c, v->curve.y);
    if (v->log) fclose(v->log);
    v->log = NULL;
}

/* What print_page needs, behind run_log_page's one pointer. */
struct page_of {
    struct train_view view; /* without colours */
    const struct trainer *t;
};

static enum status train_view_print_page(void *user)
{
    const struct page_of *p = user;
    return train_page_print(&p->view, p->t);
}

enum status train_view_page(struct train_view *v, const struct trainer *t)
{
    v->free_bytes = t->plan.free_bytes;
    TRY(train_page_print(v, t));
    v->log = run_log_open(v->c, t->config.run, v->argc, v->argv);
    if (!v->log) return v->c->status;
    struct page_of page = {*v, t};
    page.view.color = false;
    TRY(run_log_page(v->c, v->log, train_view_print_page, &page));
    v->c->hooks.log = view_log;
    v->c->hooks.user = v;
    TRY(run_readme_write(v, t, NULL));
    return v->resumed ? OK : data_page_warn(t);
}

/* A resumed run continues the curve, and what was said of it is not said again. */
static enum status take_history(struct train_view *v, const struct trainer *t)
{
    struct history h;
    enum watch_event event;
    char text[FINDING_BYTES];
    watch_init(&v->watch, t->schedule.total);
    if (t->state.step == 0) return OK;
    TRY(history_read(v->c, t->config.run, &h));
    for (size_t i = 0; i < h.n_steps; i++) {
        watch_add(&v->watch, &h.steps[i], &event, text, sizeof text);
        curve_add(v, h.steps[i].step, h.steps[i].loss);
    }
    v->lines_from = t->state.step;
    history_release(&h);
    return OK;
}

/* What source_page_print needs, behind run_log_page's one pointer. */
struct sources_of {
    const struct trainer *t;
    const struct history *h;
};

static enum status train_view_print_sources(void *user)
{
    const struct sources_of *p = user;
    return source_page_print(p->t, p->h);
}

/* The table of sources, on the screen and in the log. */
static enum status show_sources(struct train_view *v, const struct trainer *t, const struct history *h)
{
    struct sources_of page = {t, h};
    TRY(source_page_print(t, h));
    return run_log_page(v->c, v->log, train_view_print_sources, &page);
}

/* What was trained, how it went, where the adapter is, and a command that uses it if it is worth using. */
static enum status say_end(struct train_view *v, struct trainer *t)
{
    const struct train_state *s = &t->state;
    const struct train_config *k = &t->config;
    struct history h;
    struct verdict_options o = {.total_steps = t->schedule.total,
                                .patience = k->patience,
                                .eval_every = k->eval_every,
                                .lr = t->schedule.peak,
                                .finished = true};
    TRY(history_read(v->c, k->run, &h));
    struct verdict verdict = verdict_of(&h, &o);
    enum status status = run_readme_write(v, t, &verdict);
    if (status == OK) status = show_sources(v, t, &h);
    history_release(&h);
    TRY(status);
    keep(v, "%s: %" PRId64 " steps, %" PRId64 " trained tokens, %.1f %% of the steps clipped\n",
         verdict.bad ? "all steps are done, but the run went wrong" : "done", s->step, s->trained_tokens,
         100.0 * clip_share(&s->clip));
    if (v->plot) print_plot(v, stdout, v->line ? terminal_columns() : PLOT_COLUMNS_MAX);
    if (v->plot && v->log) print_plot(v, v->log, PLOT_COLUMNS_MAX);
    verdict_page_print(&verdict, stdout);
    if (v->log) verdict_page_print(&verdict, v->log);
    if (s->best_step)
        keep(v, "adapter: %s/adapter (PEFT; best of the validations, step %" PRId64 ", weighted loss %.4f)\n", k->run,
             s->best_step, s->best_loss);
    else
        keep(v, "adapter: %s/adapter (PEFT; the last step, as there was no validation)\n", k->run);
    return verdict.bad ? OK : try_line_print(t);
}

enum status train_view_run(struct train_view *v, struct trainer *t)
{
    train_signals_done(t->state.step);
    train_signals_saved(t->saved_step);
    TRY(take_history(v, t));
    if (v->server) {
        TRY(live_server_start(v->server, t->config.run, system_program()));
        keep(v, "report   %s shows this run until it ends\n", live_server_url(v->server));
    }
    run_samples_before(t, v->samples, train_signals_stop);
    enum status status = trainer_run(t);
    end_line(v);
    if (v->search && (status == OK || (status == E_INTERRUPTED && v->search_over))) {
        ctx_clear(v->c); /* of the stop that the search itself asked for */
        if (v->plot) print_plot(v, stdout, v->line ? terminal_columns() : PLOT_COLUMNS_MAX);
        return OK;
    }
    if (status == OK) status = peft_write_run_card(t->model, t->lora, t->config.run);
    if (status == OK) run_samples_after(t, train_signals_stop);
    if (status == OK) status = say_end(v, t);
    if (status == E_INTERRUPTED)
        keep(v, "interrupted: step %" PRId64 " of %" PRId64 " is saved. Continue with: %s\n", t->state.step,
             t->schedule.total, v->command);
    if (status != OK && status != E_INTERRUPTED && v->log) fprintf(v->log, "error: %s\n", v->c->message);
    return status;
}
