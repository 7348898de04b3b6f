/* train_view: what a training shows while it runs. The page before step 1 is train_page.c. */
#include "cli/train_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/shell_word.h"
#include "cli/source_page.h"
#include "cli/train_signals.h"
#include "cli/try_line.h"
#include "export/peft.h"

/* ---- the line -------------------------------------------------------------------------------------------------------- */

/* "1h02m" or "3m20s". */
static void format_duration(double seconds, char *out, size_t out_bytes)
{
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, out_bytes, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, out_bytes, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
}

/* Used, and what there was when the run began where that is known. */
static void format_memory(const struct train_view *v, size_t used, char *out, size_t out_bytes)
{
    double gib = 1.0 / (double)((size_t)1 << 30);
    if (v->free_bytes == SIZE_MAX)
        snprintf(out, out_bytes, "%.2f GiB", (double)used * gib);
    else
        snprintf(out, out_bytes, "%.2f/%.1f GiB", (double)used * gib, (double)v->free_bytes * gib);
}

/* The line in parts, and the order in which they are left out where the terminal is too narrow: a line that wraps could not
 * be overwritten. */
enum { PART_STEP, PART_VALID, PART_LR, PART_SPEED, PART_NORM, PART_MEMORY, PART_ETA, PARTS, PART_BYTES = 80 };
static const int dispensable[] = {PART_MEMORY, PART_NORM, PART_LR, PART_VALID, PART_SPEED, PART_ETA};

/* Each part with the spaces in front of it; an empty part is left out. */
static void make_parts(const struct train_view *v, const struct train_progress *p, char parts[PARTS][PART_BYTES])
{
    char eta[32], memory[48];
    format_duration(p->eta_seconds, eta, sizeof(eta));
    format_memory(v, p->timing.peak_bytes, memory, sizeof(memory));
    snprintf(parts[PART_STEP], PART_BYTES, "step %" PRId64 "/%" PRId64 "  loss %.4f  weighted %.4f", p->step.step,
             p->total_steps, p->step.loss, p->step.weighted_loss);
    parts[PART_VALID][0] = '\0';
    if (p->evaluated)
        snprintf(parts[PART_VALID], PART_BYTES, " (val %.4f best@%" PRId64 ")", p->eval.weighted_loss, p->best_step);
    snprintf(parts[PART_LR], PART_BYTES, "  lr %.2e", p->step.lr);
    snprintf(parts[PART_SPEED], PART_BYTES, "  %.0f tok/s", p->timing.tokens_per_s);
    snprintf(parts[PART_NORM], PART_BYTES, "  gnorm %.3f%s", p->step.grad_norm, p->step.clipped ? " clipped" : "");
    snprintf(parts[PART_MEMORY], PART_BYTES, "  %s", memory);
    snprintf(parts[PART_ETA], PART_BYTES, "  ETA %s", eta);
}

/* Columns of the terminal now: windows change their size. */
static size_t terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* Empties parts until the line fits. */
static void fit_parts(char parts[PARTS][PART_BYTES], size_t columns)
{
    size_t width = 0;
    for (int i = 0; i < PARTS; i++) width += strlen(parts[i]);
    for (size_t i = 0; width >= columns && i < sizeof(dispensable) / sizeof(dispensable[0]); i++) {
        width -= strlen(parts[dispensable[i]]);
        parts[dispensable[i]][0] = '\0';
    }
    if (width >= columns) parts[PART_STEP][columns - 1] = '\0';
}

/* On a terminal the line of the step before is overwritten; otherwise every step has a line. */
static void show_step(void *user, const struct train_progress *p)
{
    struct train_view *v = user;
    char parts[PARTS][PART_BYTES];
    train_signals_done(p->step.step);
    make_parts(v, p, parts);
    if (v->line) fit_parts(parts, terminal_columns());
    printf("%s%s%s%s%s%s%s%s%s", v->line ? "\r\033[K" : "", parts[PART_STEP], parts[PART_VALID], parts[PART_LR],
           parts[PART_SPEED], parts[PART_NORM], parts[PART_MEMORY], parts[PART_ETA], v->line ? "" : "\n");
    v->open_line = v->line;
    fflush(stdout);
}

/* Leaves the line that is being refreshed, so that other output starts on a line of its own. */
static void end_line(struct train_view *v)
{
    if (v->open_line) putchar('\n');
    v->open_line = false;
}

/* A line for each validation, which stays. */
static void show_eval(void *user, const struct train_progress *p)
{
    struct train_view *v = user;
    end_line(v);
    printf("step %" PRId64 "  validation: loss %.4f  weighted %.4f%s\n", p->eval.step, p->eval.loss, p->eval.weighted_loss,
           p->eval.best ? "  best so far" : "");
    fflush(stdout);
}

/* ---- saving and stopping ---------------------------------------------------------------------------------------------- */

/* Asked between micro-batches. */
static bool view_is_interrupted(void *user)
{
    (void)user;
    return train_signals_stop();
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
    end_line(v);
    printf("step %" PRId64 " is saved (SIGUSR1)\n", step);
    fflush(stdout);
}

/* What the answer to a signal will say is being done. */
static void note_phase(void *user, enum trainer_phase phase)
{
    (void)user;
    train_signals_phase(phase);
}

/* The words that continue the run, as this program was called. */
static enum status make_command(struct train_view *v, struct ctx *c, const char *run, int64_t max_steps)
{
    struct buf b;
    buf_init(&b, c, sizeof v->command - 1);
    buf_append_str(&b, program_invocation_name);
    buf_append_str(&b, " resume");
    shell_word_append(&b, run);
    if (max_steps) buf_printf(&b, " --max-steps %" PRId64, max_steps);
    if (buf_ok(&b)) snprintf(v->command, sizeof v->command, "%s", buf_str(&b));
    buf_release(&b);
    return c->status;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

enum status train_view_start(struct train_view *v, struct ctx *c, const struct train_view_options *o,
                             struct trainer_hooks *hooks)
{
    *v = (struct train_view){
        .line = isatty(STDOUT_FILENO), .color = command_color(STDOUT_FILENO), .resumed = o->resumed, .free_bytes = SIZE_MAX};
    *hooks = (struct trainer_hooks){.user = v,
                                    .phase = note_phase,
                                    .step = show_step,
                                    .eval = show_eval,
                                    .saved = note_saved,
                                    .interrupted = view_is_interrupted,
                                    .save_asked = is_save_asked};
    TRY(make_command(v, c, o->run, o->max_steps));
    train_signals_install(v->command, o->resumed);
    return OK;
}

/* What was trained, where the adapter is, and a command that uses it. */
static enum status say_end(const struct trainer *t)
{
    const struct train_state *s = &t->state;
    TRY(source_page_print(t));
    printf("done: %" PRId64 " steps, %" PRId64 " trained tokens, %.1f %% of the steps clipped\n", s->step, s->trained_tokens,
           100.0 * clip_share(&s->clip));
    if (s->best_step)
        printf("adapter: %s/adapter (PEFT; best of the validations, step %" PRId64 ", weighted loss %.4f)\n", t->config.run,
               s->best_step, s->best_loss);
    else
        printf("adapter: %s/adapter (PEFT; the last step, as there was no validation)\n", t->config.run);
    return try_line_print(t);
}

enum status train_view_run(struct train_view *v, struct trainer *t)
{
    train_signals_done(t->state.step);
    train_signals_saved(t->saved_step);
    enum status status = trainer_run(t);
    end_line(v);
    if (status == OK) status = peft_write_run_card(t->model, t->lora, t->config.run);
    if (status == OK) status = say_end(t);
    if (status == E_INTERRUPTED)
        printf("interrupted: step %" PRId64 " of %" PRId64 " is saved. Continue with: %s\n", t->state.step,
               t->schedule.total, v->command);
    return status;
}
