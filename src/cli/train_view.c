/* train_view: what a training shows while it runs. The page before step 1 is train_page.c. */
#include "cli/train_view.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/command.h"
#include "export/peft.h"

static volatile sig_atomic_t stop_asked;

/* The first signal asks the trainer to save and stop; whoever sends a second one does not want to wait for that. */
static void on_signal(int number)
{
    if (stop_asked) _exit(128 + number);
    stop_asked = 1;
}

static bool interrupted(void *user)
{
    (void)user;
    return stop_asked != 0;
}

/* ---- the line -------------------------------------------------------------------------------------------------------- */

static void format_duration(double seconds, char *out, size_t out_bytes)
{
    int64_t s = (int64_t)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, out_bytes, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else
        snprintf(out, out_bytes, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
}

static void format_memory(const struct train_view *v, size_t used, char *out, size_t out_bytes)
{
    double gib = 1.0 / (double)((size_t)1 << 30);
    if (v->free_bytes == SIZE_MAX)
        snprintf(out, out_bytes, "%.2f GiB", (double)used * gib);
    else
        snprintf(out, out_bytes, "%.2f/%.1f GiB", (double)used * gib, (double)v->free_bytes * gib);
}

static void show_step(void *user, const struct train_progress *p)
{
    struct train_view *v = user;
    char eta[32], memory[48], valid[64] = "";
    format_duration(p->eta_seconds, eta, sizeof(eta));
    format_memory(v, p->timing.peak_bytes, memory, sizeof(memory));
    if (p->evaluated) snprintf(valid, sizeof(valid), " (val %.4f best@%" PRId64 ")", p->eval.weighted_loss, p->best_step);
    printf("%sstep %" PRId64 "/%" PRId64 "  loss %.4f  weighted %.4f%s  lr %.2e  %.0f tok/s  gnorm %.3f%s  %s  ETA %s%s",
           v->line ? "\r\033[K" : "", p->step.step, p->total_steps, p->step.loss, p->step.weighted_loss, valid, p->step.lr,
           p->timing.tokens_per_s, p->step.grad_norm, p->step.clipped ? " clipped" : "", memory, eta, v->line ? "" : "\n");
    v->open_line = v->line;
    fflush(stdout);
}

static void end_line(struct train_view *v)
{
    if (v->open_line) putchar('\n');
    v->open_line = false;
}

static void show_eval(void *user, const struct train_progress *p)
{
    struct train_view *v = user;
    end_line(v);
    printf("step %" PRId64 "  validation: loss %.4f  weighted %.4f%s\n", p->eval.step, p->eval.loss, p->eval.weighted_loss,
           p->eval.best ? "  best so far" : "");
    fflush(stdout);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

void train_view_start(struct train_view *v, struct trainer_hooks *hooks)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* who stops reading the progress does not stop the training */
    *v = (struct train_view){.line = isatty(STDOUT_FILENO), .color = command_color(STDOUT_FILENO), .free_bytes = SIZE_MAX};
    *hooks = (struct trainer_hooks){.user = v, .step = show_step, .eval = show_eval, .interrupted = interrupted};
}

static enum status write_card(const struct trainer *t)
{
    char *dir = path_join(t->c, t->config.run, "adapter");
    if (dir) peft_write_card(t->model, t->lora, dir);
    mem_free(t->c, dir);
    return t->c->status;
}

static void say_end(const struct trainer *t)
{
    const struct train_state *s = &t->state;
    printf("done: %" PRId64 " steps, %" PRId64 " trained tokens, %.1f %% of the steps clipped\n", s->step, s->trained_tokens,
           100.0 * clip_share(&s->clip));
    if (s->best_step)
        printf("adapter: %s/adapter (PEFT; best of the validations, step %" PRId64 ", weighted loss %.4f)\n", t->config.run,
               s->best_step, s->best_loss);
    else
        printf("adapter: %s/adapter (PEFT; the last step, as there was no validation)\n", t->config.run);
    printf("try it:  your_ai generate -m %s --adapter %s/adapter %s-p 'Hello'\n", t->config.model, t->config.run,
           t->model->base == BASE_NF4 ? "--base-type nf4 " : "");
}

enum status train_view_run(struct train_view *v, struct trainer *t)
{
    enum status status = trainer_run(t);
    end_line(v);
    if (status == OK) status = write_card(t);
    if (status == OK) say_end(t);
    if (status == E_INTERRUPTED)
        printf("interrupted: step %" PRId64 " is saved. Go on: your_ai resume %s\n", t->state.step, t->config.run);
    return status;
}
