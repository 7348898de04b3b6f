/* A training that is interrupted, killed or runs out of disk in every phase of its life: while its folder is made, in the
 * validation before step 1, in a step, in a validation, while a checkpoint is saved and while the adapter is published.
 *
 * Where it happens is not left to a clock. The calls that write to the disk, and the one that fetches a micro-batch, are
 * counted in the process that trains; an undisturbed run tells which of them belongs to which phase, and every further run
 * has one event at one of these places. Afterwards the run is continued as its own message says (after a kill: by `resume`
 * where there is a run, by the same command where there is none yet), and its files must be those of the undisturbed run,
 * byte for byte. What was acknowledged must still be there: the step of the newest checkpoint that the program was told of.
 */
/* wraps: open write fsync rename renameat2 mkdir pack_batch trainer_evaluate train_signals_phase train_signals_saved */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_capture.h"
#include "cli/train_signals.h"
#include "train/support_tiny.h"
#include "train/trainer_parts.h"

/* ---- places and events ------------------------------------------------------------------------------------------------ */

enum phase { SETUP, FIRST_VALIDATION, STEP, VALIDATION, SAVE, PUBLISH, PHASES };
static const char *const phase_names[PHASES] = {
    "the setup", "the validation before step 1", "a step", "a validation", "a save", "publishing"};

/* What the call of a place does. */
enum kind { FETCHES, NAMES, WRITES, SYNCS };

/* What happens: a signal, an error of all later writes, or one of a single fsync. */
enum event { NOTHING, INTERRUPT, TERMINATE, HANGUP, SAVE_NOW, KILL, DISK_FULL, SYNC_FAILS, EVENTS };
static const char *const event_names[EVENTS] = {"nothing", "SIGINT",  "SIGTERM",     "SIGHUP",
                                                "SIGUSR1", "SIGKILL", "a full disk", "a failing fsync"};
static const int event_signals[EVENTS] = {
    [INTERRUPT] = SIGINT, [TERMINATE] = SIGTERM, [HANGUP] = SIGHUP, [SAVE_NOW] = SIGUSR1, [KILL] = SIGKILL};

enum { PLACES_MAX = 4096, STEPS = 4 };

/* In memory that the training process shares with this one. */
static struct shared {
    enum event event; /* at place `at` */
    int at, n_places;
    bool happened, full;
    long acknowledged; /* the newest step that the program was told is saved; -1: none */
    enum phase now, places[PLACES_MAX];
    enum kind kinds[PLACES_MAX];
} * shared;

static struct tiny_files tiny;
static pid_t here; /* the process of the tests, in which nothing is counted */

/* One place is reached. Returns the errno that its call shall fail with; 0: none. */
static int reach(enum kind kind)
{
    if (!shared || getpid() == here) return 0;
    int place = shared->n_places++;
    assert_true(place < PLACES_MAX);
    shared->places[place] = shared->now;
    shared->kinds[place] = kind;
    if (place != shared->at || shared->event == NOTHING) return shared->full && kind == WRITES ? ENOSPC : 0;
    shared->happened = true;
    if (shared->event == DISK_FULL) shared->full = true;
    if (event_signals[shared->event]) raise(event_signals[shared->event]);
    if (shared->event == SYNC_FAILS) return EIO;
    return shared->full && kind == WRITES ? ENOSPC : 0;
}

/* A call that fails, as the system's would. */
static int failed(int error)
{
    errno = error;
    return -1;
}

int __real_open(const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *bytes, size_t n);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __real_mkdir(const char *path, mode_t mode);
enum status __real_pack_batch(struct pack *p, int64_t step, int64_t micro, struct batch *out);
enum status __real_trainer_evaluate(struct trainer *t, struct metrics_eval *eval);
void __real_train_signals_phase(enum trainer_phase phase);
void __real_train_signals_saved(int64_t step);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_write(int fd, const void *bytes, size_t n);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int __wrap_mkdir(const char *path, mode_t mode);
enum status __wrap_pack_batch(struct pack *p, int64_t step, int64_t micro, struct batch *out);
enum status __wrap_trainer_evaluate(struct trainer *t, struct metrics_eval *eval);
void __wrap_train_signals_phase(enum trainer_phase phase);
void __wrap_train_signals_saved(int64_t step);

int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    int error = flags & O_CREAT ? reach(WRITES) : 0;
    return error ? failed(error) : __real_open(path, flags, mode);
}

/* The last write before the disk is full writes half of its bytes. Messages to stdout and stderr are no places. */
ssize_t __wrap_write(int fd, const void *bytes, size_t n)
{
    struct stat st;
    bool file = fd > STDERR_FILENO && fstat(fd, &st) == 0 && S_ISREG(st.st_mode), was_full = shared && shared->full;
    int error = file ? reach(WRITES) : 0;
    if (error == ENOSPC && !was_full && n > 1) return __real_write(fd, bytes, n / 2);
    return error ? failed(error) : __real_write(fd, bytes, n);
}

int __wrap_fsync(int fd)
{
    int error = reach(SYNCS);
    return error ? failed(error) : __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    int error = reach(NAMES);
    return error ? failed(error) : __real_rename(from, to);
}

int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    int error = reach(NAMES);
    return error ? failed(error) : __real_renameat2(from_dir, from, to_dir, to, flags);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    int error = reach(WRITES);
    return error ? failed(error) : __real_mkdir(path, mode);
}

/* A micro-batch, of a step or of a validation. */
enum status __wrap_pack_batch(struct pack *p, int64_t step, int64_t micro, struct batch *out)
{
    if (shared && shared->now != SETUP) reach(FETCHES);
    return __real_pack_batch(p, step, micro, out);
}

/* The validation before step 1 comes before the trainer says that it does steps. */
enum status __wrap_trainer_evaluate(struct trainer *t, struct metrics_eval *eval)
{
    if (shared && t->state.step == 0) shared->now = FIRST_VALIDATION;
    return __real_trainer_evaluate(t, eval);
}

void __wrap_train_signals_phase(enum trainer_phase phase)
{
    static const enum phase of[TRAINER_PHASES] = {
        [TRAINER_STEPS] = STEP, [TRAINER_VALIDATION] = VALIDATION, [TRAINER_SAVE] = SAVE, [TRAINER_PUBLISH] = PUBLISH};
    shared->now = of[phase];
    __real_train_signals_phase(phase);
}

void __wrap_train_signals_saved(int64_t step)
{
    shared->acknowledged = step;
    __real_train_signals_saved(step);
}

/* ---- runs ------------------------------------------------------------------------------------------------------------ */

/* Calls the program with an event at a place; the rest of `shared` is what came of it. */
static struct capture call(enum event event, int at, const char *const *words)
{
    memset(shared, 0, sizeof *shared);
    shared->event = event;
    shared->at = at;
    shared->acknowledged = -1;
    return capture_run(words);
}

static const char *const *train_words(const char *run)
{
    static const char *words[40];
    const char *const list[] = {"train",    "-m",
                                tiny.model, "-d",
                                tiny.rows,  "--valid",
                                tiny.valid, "-o",
                                run,        "--rank",
                                "2",        "--batch",
                                "2",        "--accumulation",
                                "2",        "--max-length",
                                "48",       "--max-steps",
                                "4",        "--save-every",
                                "2",        "--eval-every",
                                "2",        "--keep",
                                "1",        "--dropout",
                                "0.1",      "--threads",
                                "1",        NULL};
    memcpy(words, list, sizeof list);
    return words;
}

static const char *unbroken; /* folder of the undisturbed run */
static struct shared plan;   /* and its places */

/* Fails with all that is known about one event. */
static void fail_event(const struct capture *r, enum event event, enum phase phase, int at, const char *why)
{
    print_message("%s%s\n", r->out, r->err);
    fail_msg("%s in %s (place %d): exit code %d: %s", event_names[event], phase_names[phase], at, r->code, why);
}

/* Whether a place is one where a step of the undisturbed run fetches a micro-batch. */
static bool is_fetch(int place)
{
    return plan.places[place] == STEP && plan.kinds[place] == FETCHES;
}

/* The place where the last step begins. */
static int last_step(void)
{
    int i = plan.n_places - 1;
    while (i > 0 && !is_fetch(i)) i--;
    while (i > 0 && is_fetch(i - 1)) i--;
    return i;
}

/* Whether the exit code is one that the event may end with. A stop signal in the last step may find nothing more to
 * leave out, and a disk that is full after the adapter was published may be met by nobody. */
static bool is_expected(enum event event, enum phase phase, int at, int code)
{
    switch (event) {
    case INTERRUPT:
    case TERMINATE:
    case HANGUP:
        return code == 130 || (code == 0 && at >= last_step());
    case KILL:
        return code == -1;
    case SAVE_NOW:
        return code == 0;
    default:
        return code == 1 || (phase == PUBLISH && code == 0);
    }
}

/* Continues what was interrupted: as the message says, or after a kill as the folder says. The step that was acknowledged is
 * the least that it continues from. */
static void continue_run(const struct capture *r, enum event event, enum phase phase, int at, const char *run)
{
    long acknowledged = shared->acknowledged, from = 0;
    bool again = strstr(r->err, "Start again with the same command") != NULL,
         named = strstr(r->out, " resume ") || strstr(r->err, " resume ");
    bool resumes = !again && file_exists(tiny_path("%s/config.json", run));
    if (r->code == 130 && again == named) fail_event(r, event, phase, at, "says neither how to continue nor to start again");
    struct capture next = call(NOTHING, -1, resumes ? ARGV("resume", run) : train_words(run));
    const char *says = strstr(next.out, "continues from step ");
    if (says) from = strtol(says + 20, NULL, 10);
    if (next.code != 0) fail_event(&next, event, phase, at, resumes ? "cannot be resumed" : "cannot be started again");
    if (from < acknowledged) fail_event(&next, event, phase, at, "a step that was said to be saved is not there");
    capture_release(&next);
}

/* One event at one place, and what follows. */
static void try_event(enum event event, enum phase phase, int at)
{
    static const char *const files[] = {"adapter/adapter_model.safetensors", "adapter/adapter_config.json", "metrics.jsonl",
                                        "checkpoints/step-000004/adapter_optimizer.safetensors", NULL};
    const char *run = tiny_path("%s/run", tiny.folder);
    struct ctx *c = ctx_new(NULL);
    struct capture r = call(event, at, train_words(run));
    if (!shared->happened) fail_event(&r, event, phase, at, "the place was not reached");
    if (!is_expected(event, phase, at, r.code)) fail_event(&r, event, phase, at, "another exit code was expected");
    if (r.code != 0) continue_run(&r, event, phase, at, run);
    tiny_assert_same_files(unbroken, run, files);
    assert_int_equal(dir_remove(c, run), OK);
    capture_release(&r);
    ctx_free(c);
}

/* ---- the tests ------------------------------------------------------------------------------------------------------- */

static int group_setup(void **state)
{
    (void)state;
    here = getpid();
    tiny_files_make(&tiny, 40, 6);
    unbroken = tiny_keep(&tiny, "unbroken");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return -1;
    struct capture r = call(NOTHING, -1, train_words(unbroken));
    if (r.code != 0) fail_event(&r, NOTHING, SETUP, -1, "the undisturbed run failed");
    capture_release(&r);
    plan = *shared;
    return 0;
}

/* Whether an event can happen at a place. */
static bool fits(enum event event, int place)
{
    if (event == DISK_FULL) return plan.kinds[place] == WRITES;
    return event != SYNC_FAILS || plan.kinds[place] == SYNCS;
}

/* Tries an event at up to `most` places of a phase, spread over all of them. */
static int try_phase(enum event event, enum phase phase, int most)
{
    int n = 0, seen = 0, tried = 0;
    for (int i = 0; i < plan.n_places; i++) n += plan.places[i] == phase && fits(event, i);
    for (int i = 0; i < plan.n_places; i++) {
        if (plan.places[i] != phase || !fits(event, i)) continue;
        if (seen++ * most / n < tried) continue;
        try_event(event, phase, i);
        tried++;
    }
    return tried;
}

static void every_event_in_every_phase(void **state)
{
    /* at how many places of a phase; a run and its continuation take 50 ms of processor time */
    static const int most[EVENTS] = {
        [INTERRUPT] = 6, [TERMINATE] = 2, [HANGUP] = 2, [SAVE_NOW] = 3, [KILL] = 12, [DISK_FULL] = 6, [SYNC_FAILS] = 4};
    (void)state;
    for (enum event event = INTERRUPT; event < EVENTS; event++) {
        for (enum phase phase = 0; phase < PHASES; phase++) {
            int tried = try_phase(event, phase, most[event]);
            bool may_be_none =
                event >= DISK_FULL && phase != SETUP && phase != SAVE && phase != PUBLISH; /* nothing is written */
            if (tried == 0 && !may_be_none) fail_msg("%s in %s was not tried", event_names[event], phase_names[phase]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_in_every_phase),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
