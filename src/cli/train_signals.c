/* train_signals: see train_signals.h. A handler may run in the middle of anything, on any thread, so it touches only
 * lock-free atomics and text that was complete before the handlers were installed, and calls only write and _exit
 * (signal-safety(7)). */
#include "cli/train_signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "a signal handler needs atomics without locks");

enum { EXIT_INTERRUPTED = 130, LINE_BYTES = TRAIN_COMMAND_BYTES + 256, PHASE_SETUP = -1 };

/* What the handlers and the training tell each other. */
static atomic_int stop_asked, save_asked, phase_now;
static atomic_llong step_done, step_saved;
static char continue_command[TRAIN_COMMAND_BYTES];
static char config_path[TRAIN_COMMAND_BYTES]; /* RUN/config.json: where it is, the run can be resumed */
static bool on_terminal;

/* ---- text without stdio ---------------------------------------------------------------------------------------------- */

/* A line that is put together without stdio, which a handler may not call. */
struct signals_line {
    char text[LINE_BYTES];
    size_t n;
};

static void signals_add_text(struct signals_line *l, const char *s)
{
    for (; *s && l->n < LINE_BYTES; s++) l->text[l->n++] = *s;
}

/* In decimal; values are not negative. */
static void signals_add_number(struct signals_line *l, long long value)
{
    char digits[24];
    size_t n = sizeof digits;
    digits[--n] = '\0';
    do digits[--n] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    signals_add_text(l, digits + n);
}

/* On a terminal the echo of Ctrl-C stands behind the line of the running step. */
static void start_line(struct signals_line *l)
{
    l->n = 0;
    if (on_terminal) signals_add_text(l, "\n");
}

/* write(2) until all is out. */
static void train_signals_say(const struct signals_line *l)
{
    for (size_t at = 0; at < l->n;) {
        ssize_t n = write(STDERR_FILENO, l->text + at, l->n - at);
        if (n <= 0) break; /* nobody can be told */
        at += (size_t)n;
    }
}

/* ---- handlers -------------------------------------------------------------------------------------------------------- */

/* The answer to the first Ctrl-C: what is still finished before the run is saved. */
static void say_stopping(void)
{
    static const char *const what[TRAINER_PHASES] = {
        [TRAINER_STEPS] = "stopping after this micro-batch",
        [TRAINER_VALIDATION] = "stopping after this validation",
        [TRAINER_SAVE] = "stopping after this save",
        [TRAINER_PUBLISH] = "all steps are done and the adapter is being written",
    };
    struct signals_line l;
    start_line(&l);
    signals_add_text(&l, what[atomic_load(&phase_now)]);
    signals_add_text(&l, "; again quits now\n");
    train_signals_say(&l);
}

/* Before the first step there is nothing to save. Whether the run's folder is complete is looked up now: it is what `resume`
 * and `train` will look at. */
static _Noreturn void quit_in_setup(void)
{
    struct signals_line l;
    start_line(&l);
    if (access(config_path, F_OK) == 0) {
        signals_add_text(&l, "stopped before a step was done: the run is as it was. Continue with: ");
        signals_add_text(&l, continue_command);
        signals_add_text(&l, "\n");
    } else {
        signals_add_text(&l, "stopped before the first step: nothing was trained. Start again with the same command\n");
    }
    train_signals_say(&l);
    _exit(EXIT_INTERRUPTED);
}

/* The second Ctrl-C: says which steps are lost, and how to continue. */
static _Noreturn void quit_now(void)
{
    long long done = atomic_load(&step_done), saved = atomic_load(&step_saved);
    struct signals_line l;
    start_line(&l);
    signals_add_text(&l, "quit. Lost: the step that was running");
    if (saved < 0 && done > 0) {
        signals_add_text(&l, " and the ");
        signals_add_number(&l, done);
        signals_add_text(&l, " before it, as no checkpoint was saved yet");
    } else if (saved >= 0) {
        if (done > saved) {
            signals_add_text(&l, " and ");
            signals_add_number(&l, done - saved);
            signals_add_text(&l, " before it");
        }
        signals_add_text(&l, "; step ");
        signals_add_number(&l, saved);
        signals_add_text(&l, " is saved");
    }
    signals_add_text(&l, ". Continue with: ");
    signals_add_text(&l, continue_command);
    signals_add_text(&l, "\n");
    train_signals_say(&l);
    _exit(EXIT_INTERRUPTED);
}

/* SIGINT, SIGTERM, SIGHUP. Only SIGINT quits when it comes twice: a closing terminal sends SIGHUP more than once. */
static void on_stop(int number)
{
    int error = errno; /* of the code that was interrupted */
    if (atomic_load(&phase_now) == PHASE_SETUP) quit_in_setup();
    if (!atomic_exchange(&stop_asked, 1))
        say_stopping();
    else if (number == SIGINT)
        quit_now();
    errno = error;
}

/* SIGUSR1: save at the next step and train on. */
static void signals_on_save(int number)
{
    (void)number;
    atomic_store(&save_asked, 1);
}

/* ---- for the program ------------------------------------------------------------------------------------------------- */

/* A signal that the parent told us to ignore stays ignored (nohup). */
static void install(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &old) == 0 && old.sa_handler == SIG_IGN) return;
    sigaction(number, &action, NULL);
}

void train_signals_install(const char *command, const char *run)
{
    snprintf(continue_command, sizeof continue_command, "%s", command);
    if (snprintf(config_path, sizeof config_path, "%s/config.json", run) >= (int)sizeof config_path) config_path[0] = '\0';
    on_terminal = isatty(STDERR_FILENO);
    atomic_store(&phase_now, PHASE_SETUP);
    atomic_store(&step_saved, -1);
    install(SIGINT, on_stop);
    install(SIGTERM, on_stop);
    install(SIGHUP, on_stop);
    install(SIGUSR1, signals_on_save);
    signal(SIGPIPE, SIG_IGN); /* who stops reading the progress does not stop the training */
}

void train_signals_phase(enum trainer_phase phase)
{
    atomic_store(&phase_now, (int)phase);
}

void train_signals_done(int64_t step)
{
    atomic_store(&step_done, step);
}

void train_signals_saved(int64_t step)
{
    atomic_store(&step_saved, step);
}

bool train_signals_stop(void)
{
    return atomic_load(&stop_asked) != 0;
}

bool train_signals_take_save(void)
{
    return atomic_exchange(&save_asked, 0) != 0;
}
