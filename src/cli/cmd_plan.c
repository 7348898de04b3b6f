/* cmd_plan: what a training would be, without training: the page before step 1, the memory by item with what would make it
 * less, and the time, measured on a few of its own micro-batches. The setup of a run is the same code as in `train`; it is
 * ended by the hook that sees the plan, and an ended setup leaves no folder. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "array/array.h"
#include "array/backend.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"
#include "base/threads.h"
#include "cli/command.h"
#include "cli/data_page.h"
#include "cli/train_view.h"
#include "export/peft.h"
#include "measure/step_rate.h"
#include "train/train_choice.h"
#include "train/train_options.h"

enum { PLAN_BATCH_SECONDS = 60 }; /* a micro-batch that takes longer is not run for a plan */

struct plan_page {
    struct train_view view;
    bool done; /* all of the page is printed */
};

static volatile sig_atomic_t plan_stopped;

static void note_stop(int signal_number)
{
    (void)signal_number;
    plan_stopped = 1;
}

static bool plan_is_stopped(void *user)
{
    (void)user;
    return plan_stopped;
}

/* A signal ends the measuring between two micro-batches, so that the folder of the setup is removed; a second one quits. */
static void catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = note_stop, .sa_flags = (int)SA_RESETHAND}, before;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) sigaction(numbers[i], &action, NULL);
}

/* "2 h 05 min", "3 min 20 s". */
static const char *duration(double seconds, char out[32])
{
    long long s = (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, 32, "%lld h %02lld min", s / 3600, s / 60 % 60);
    else
        snprintf(out, 32, "%lld min %02lld s", s / 60, s % 60);
    return out;
}

static enum status print_savings(const struct trainer *t)
{
    struct plan_advice list[PLAN_ADVICE_MAX];
    int n;
    if (!t->engine->ops->count) {
        puts("less memory: not known, as this engine cannot tell what a step takes");
        return OK;
    }
    TRY(plan_advise(&t->plan_input, &t->plan, list, &n));
    puts(n ? "less memory, the cheapest change first" : "less memory: no option saves any");
    for (int i = 0; i < n; i++) printf("  %-24s %9.1f MiB less\n", list[i].text, (double)list[i].saves / (double)(1 << 20));
    return OK;
}

/* The time of the whole run, and where it comes from. */
static void plan_print_run(const struct trainer *t, const struct step_rate *r, const char *from)
{
    char text[32];
    printf("time     about %s: %lld steps, %lld tokens at %.0f tokens/s (%s)",
           duration(r->train_seconds + r->valid_seconds, text), (long long)t->schedule.total, (long long)r->run_tokens,
           r->tokens_per_s, from);
    if (r->n_valid) printf(", of that %s in %lld validations", duration(r->valid_seconds, text), (long long)r->n_valid);
    puts(". Loading, checkpoints and other work on this machine come on top");
}

/* Measured on the run's own micro-batches, unless the machine's profile says that one of them takes longer than a person
 * waits for a plan; what the profile says stands beside what was measured. */
static enum status print_time(const struct trainer *t)
{
    struct step_rate measured, predicted;
    struct machine_profile profile;
    char from[128];
    bool known = false;
    fflush(stdout);
    if (machine_profile_find(t->c, array_backend(t->c)->device, threads_count(t->c), &profile))
        TRY(step_rate_predict(t, &profile, &predicted, &known));
    if (known && predicted.batch_seconds > PLAN_BATCH_SECONDS) {
        snprintf(from, sizeof from, "predicted from what `setup` measured on %s, as a micro-batch takes %.0f s",
                 profile.date, predicted.batch_seconds);
        plan_print_run(t, &predicted, from);
        return OK;
    }
    TRY(step_rate_measure(t, &measured));
    snprintf(from, sizeof from, "measured on %lld micro-batches", (long long)measured.batches);
    plan_print_run(t, &measured, from);
    if (known)
        printf("         predicted from what `setup` measured on %s: %.0f tokens/s\n", profile.date, predicted.tokens_per_s);
    return OK;
}

/* The hook: prints the whole page, and ends the setup. */
static enum status plan_show(void *user, const struct trainer *t)
{
    struct plan_page *page = user;
    page->view.free_bytes = t->plan.free_bytes;
    TRY(train_page_print(&page->view, t));
    TRY(data_page_warn(t));
    TRY(plan_check(t->c, &t->plan_input, &t->plan));
    TRY(print_savings(t));
    TRY(print_time(t));
    page->done = true;
    return ctx_fail(t->c, E_INTERRUPTED, "nothing is trained");
}

/* The setup up to the page, in the folder `run`. */
static enum status plan_in(const struct command_call *call, struct train_values *values, const char *run)
{
    struct ctx *c = call->c;
    struct plan_page page = {.view = {.c = c, .color = command_color(STDOUT_FILENO), .planned = true}};
    const struct trainer_hooks hooks = {
        .user = &page, .opened = peft_check_start, .planned = plan_show, .interrupted = plan_is_stopped};
    values->config.run = run;
    TRY(train_options_check_start(c, values, call->parse->given));
    TRY(train_options_settle(c, values));
    TRY(command_compute(c, values->device, values->threads));
    train_choice_allow(&values->config, call->parse->given);
    char *text = train_options_text(c, values);
    if (!text) return c->status;
    trainer_free(trainer_new(c, &values->config, &hooks, text));
    mem_free(c, text);
    if (page.done) ctx_clear(c);
    return page.done ? OK : c->status;
}

static enum status cmd_plan_run(const struct command_call *call)
{
    struct ctx *c = call->c;
    struct train_values values = *(const struct train_values *)call->values;
    catch_signals();
    if (values.config.run) return plan_in(call, &values, values.config.run);
    struct temporary_folder folder;
    TRY(temporary_folder_open(c, &folder));
    char *run = path_join(c, folder.path, "run"); /* which the trainer locks itself */
    if (run) plan_in(call, &values, run);
    mem_free(c, run);
    temporary_folder_close(c, &folder);
    return c->status;
}

const struct command command_plan = {
    .name = "plan",
    .summary = "says what a training would take, without training",
    .usage = "-m MODEL -d FILE [options of train]",
    .about =
        "Prints the page that train prints before its first step (the model, memory by item, rows as they will be trained,\n"
        "weights), then what would take less memory, and how long the run would be, measured on some of its own\n"
        "micro-batches. Nothing is kept. Exit code 3 when it would not fit, with the three cheapest changes.",
    .table = &train_table,
    .first = COMMAND_TRAIN_FIRST,
    .presets = true,
    .values_bytes = sizeof(struct train_values),
    .spared = "output",
    .run = cmd_plan_run,
};
