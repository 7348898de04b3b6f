/* What train does about signals: which of them save, what it says, and that nothing of the result changes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_program.h"
#include "train/support_tiny.h"

enum { OUTPUT_BYTES = 1 << 16, TRIES = 8 };

static struct tiny_files tiny;
static char output[OUTPUT_BYTES];

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 60, 0);
    return 0;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define TRAIN_WORDS(RUN, SAVE_EVERY)                                                                                        \
    WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", RUN, "--rank", "4", "--dropout", "0.1", "--batch", "2",         \
          "--accumulation", "2", "--max-length", "48", "--max-steps", "20", "--save-every", SAVE_EVERY, "--threads", "2")
/* Micro-batches of half a second and more, steps of eight: a signal finds one running. */
#define SLOW_WORDS(RUN)                                                                                                     \
    WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", RUN, "--rank", "4", "--batch", "200", "--no-packing",           \
          "--accumulation", "1", "--max-steps", "200", "--save-every", "0", "--threads", "1", "--epochs", "200")

static void assert_same_run(const char *a, const char *b)
{
    static const char *const names[] = {"adapter/adapter_model.safetensors", "metrics.jsonl",
                                        "checkpoints/step-000020/adapter_optimizer.safetensors", NULL};
    tiny_assert_same_files(a, b, names);
}

static const char *unbroken(void)
{
    static const char *run;
    if (run) return run;
    run = tiny_keep(&tiny, "unbroken");
    if (program_run(output, OUTPUT_BYTES, TRAIN_WORDS(run, "0")) != 0) fail_msg("%s", output);
    return run;
}

static void assert_says(const char *part)
{
    if (!strstr(output, part)) fail_msg("'%s' is not in: %s", part, output);
}

/* The step in "interrupted: step N of 20 is saved". */
static long saved_step(void)
{
    assert_says("interrupted: step ");
    return strtol(strstr(output, "interrupted: step ") + 18, NULL, 10);
}

static void resume_to_the_end(const char *run, long from)
{
    if (program_run(output, OUTPUT_BYTES, WORDS("resume", run)) != 0) fail_msg("%s", output);
    assert_says(tiny_path("continues from step %ld of 20", from));
    assert_same_run(unbroken(), run);
}

/* Whether the page in the run's folder names the command that continues it. */
static bool readme_says_resume(const char *run)
{
    size_t n;
    char *text = tiny_read(tiny_path("%s/README.md", run), &n);
    bool says = memmem(text, n, "/your_ai resume ", 16) != NULL;
    free(text);
    return says;
}

/* Ctrl-C, a service manager's stop, a closed terminal. */
static void stop_signals_save_and_exit_130(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    static const char *const names[] = {"stopped_int", "stopped_term", "stopped hup's"};
    for (int i = 0; i < 3; i++) {
        const char *run = tiny_keep(&tiny, names[i]);
        struct program p = program_start(TRAIN_WORDS(run, "0"));
        assert_true(program_wait_line(&p, "step 3/"));
        assert_int_equal(kill(p.pid, signals[i]), 0);
        assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), 130);
        assert_says("stopping after this ");
        assert_says("/your_ai resume ");
        if (i < 2) assert_says(tiny_path("/your_ai resume %s\n", run));
        /* as a shell needs it */
        if (i == 2) assert_says(tiny_path("/your_ai resume '%s/stopped hup'\\''s'\n", tiny.folder));
        assert_true(readme_says_resume(run));
        resume_to_the_end(run, saved_step());
        assert_false(readme_says_resume(run)); /* nothing is left to do */
    }
}

/* The kernel and the shell both send SIGHUP when a terminal closes. */
static void a_second_sighup_does_not_lose_the_run(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "hup-twice");
    struct program p = program_start(TRAIN_WORDS(run, "0"));
    assert_true(program_wait_line(&p, "step 3/"));
    assert_int_equal(kill(p.pid, SIGHUP), 0);
    assert_true(program_wait_line(&p, "stopping after this "));
    kill(p.pid, SIGHUP);
    kill(p.pid, SIGTERM);
    assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), 130);
    resume_to_the_end(run, saved_step());
}

/* nohup your_ai train ... */
static void an_ignored_signal_stays_ignored(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "nohup");
    signal(SIGHUP, SIG_IGN);
    struct program p = program_start(TRAIN_WORDS(run, "0"));
    signal(SIGHUP, SIG_DFL);
    assert_true(program_wait_line(&p, "step 3/"));
    assert_int_equal(kill(p.pid, SIGHUP), 0);
    if (program_finish(&p, output, OUTPUT_BYTES) != 0) fail_msg("%s", output);
    assert_same_run(unbroken(), run);
}

/* Saved on demand, however long the intervals are, and the run goes on as if nothing had been. */
static void sigusr1_saves_and_continues(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "usr1");
    struct program p = program_start(TRAIN_WORDS(run, "0"));
    assert_true(program_wait_line(&p, "step 3/"));
    assert_int_equal(kill(p.pid, SIGUSR1), 0);
    assert_true(program_wait_line(&p, "step 7/"));
    assert_int_equal(kill(p.pid, SIGKILL), 0);
    assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), -SIGKILL);
    long step = 0;
    for (long s = 3; s < 8; s++)
        if (dir_exists(tiny_path("%s/checkpoints/step-%06ld", run, s))) step = s;
    assert_true(step > 0);
    resume_to_the_end(run, step);
    const char *whole = tiny_keep(&tiny, "usr1-whole");
    p = program_start(TRAIN_WORDS(whole, "0"));
    assert_true(program_wait_line(&p, "step 3/"));
    assert_int_equal(kill(p.pid, SIGUSR1), 0);
    if (program_finish(&p, output, OUTPUT_BYTES) != 0) fail_msg("%s", output);
    assert_says(" is saved (SIGUSR1)\n");
    assert_same_run(unbroken(), whole);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The number behind `word` in the program's last words; -1: not there. */
static long number_after(const char *word)
{
    const char *at = strstr(output, word);
    return at ? strtol(at + strlen(word), NULL, 10) : -1;
}

/* Answers inside a micro-batch, and a second Ctrl-C does not wait for its end. Where this process was held up so long that
 * the micro-batch was over, it is tried again. */
static void ctrl_c_answers_at_once_and_twice_quits(void **state)
{
    (void)state;
    for (int i = 0; i < TRIES; i++) {
        const char *run = tiny_keep(&tiny, tiny_path("quit-%d", i));
        struct program p = program_start(SLOW_WORDS(run));
        assert_true(program_wait_line(&p, "step 1/"));
        double begin = seconds();
        assert_true(program_wait_line(&p, "step 2/"));
        double step = seconds() - begin;
        usleep((useconds_t)(1e5 * step)); /* a tenth of it: well inside the next one */
        begin = seconds();
        assert_int_equal(kill(p.pid, SIGINT), 0);
        assert_true(program_wait_line(&p, "stopping after this micro-batch; again quits now"));
        double answer = seconds() - begin;
        kill(p.pid, SIGINT);
        assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), 130);
        if (answer > 0.5 * step || strstr(output, "interrupted: ")) continue;
        assert_says(" before it, as no checkpoint was saved yet");
        long lost = number_after("quit. Lost: the step that was running and the ");
        long shown = number_after("step ") > 2 ? number_after("step ") : 2; /* a line that came after the one waited for */
        if (lost < shown || lost > shown + 1) fail_msg("%ld lost of %ld shown: %s", lost, shown, output);
        assert_says(tiny_path("Continue with: " BUILD_DIR "/your_ai resume %s\n", run));
        return;
    }
    fail_msg("no second Ctrl-C of %d was in time", TRIES);
}

/* The same on a run with a checkpoint. How many steps are done by then depends on the machine; the numbers must agree with
 * the last step that was shown (or the next, done but not shown yet) and with the folder that is there. */
static void quitting_names_the_step_that_is_saved(void **state)
{
    (void)state;
    for (int i = 0; i < TRIES; i++) {
        const char *run = tiny_keep(&tiny, tiny_path("quit-saved-%d", i));
        struct program p = program_start(SLOW_WORDS(run));
        assert_true(program_wait_line(&p, "step 1/"));
        assert_int_equal(kill(p.pid, SIGUSR1), 0);
        assert_true(program_wait_line(&p, "step 3/"));
        assert_int_equal(kill(p.pid, SIGINT), 0);
        assert_true(program_wait_line(&p, "stopping after this "));
        kill(p.pid, SIGINT);
        assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), 130);
        if (strstr(output, "interrupted: ")) continue;
        assert_says("quit. Lost: the step that was running and ");
        assert_says(" before it; step ");
        assert_says(" is saved. Continue with: ");
        long lost = number_after("quit. Lost: the step that was running and "), saved = number_after(" before it; step ");
        long shown = number_after("step ") > 3 ? number_after("step ") : 3; /* a line that came after the one waited for */
        if (lost + saved < shown || lost + saved > shown + 1)
            fail_msg("%ld lost and %ld saved of %ld: %s", lost, saved, shown, output);
        assert_true(dir_exists(tiny_path("%s/checkpoints/step-%06ld", run, saved)));
        return;
    }
    fail_msg("no second Ctrl-C of %d was in time", TRIES);
}

/* Before the first step there is nothing to save: the first Ctrl-C ends it, and the same command starts again. */
static void ctrl_c_during_the_setup(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "setup"), *large = tiny_keep(&tiny, "large.jsonl");
    tiny_rows(large, 100000, 1);
    const char *const *words = WORDS("train", "-m", tiny.model, "-d", large, "-o", run, "--max-steps", "1");
    struct program p = program_start(words);
    while (!dir_exists(run)) usleep(1000);
    assert_int_equal(kill(p.pid, SIGINT), 0);
    assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), 130);
    assert_says("stopped before the first step: nothing was trained. Start again with the same command\n");
    assert_true(dir_exists(run)); /* half made: run_create clears it */
    if (program_run(output, OUTPUT_BYTES, words) != 0) fail_msg("%s", output);
}

/* What continues a run that was made longer. */
static void an_interrupted_resume_repeats_its_length(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "longer");
    if (program_run(output, OUTPUT_BYTES, TRAIN_WORDS(run, "0")) != 0) fail_msg("%s", output);
    struct program p = program_start(WORDS("resume", run, "--max-steps", "60"));
    assert_true(program_wait_line(&p, "step 23/60"));
    assert_int_equal(kill(p.pid, SIGTERM), 0);
    assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), 130);
    assert_says(tiny_path("/your_ai resume %s --max-steps 60\n", run));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_signals_save_and_exit_130),
        cmocka_unit_test(a_second_sighup_does_not_lose_the_run),
        cmocka_unit_test(an_ignored_signal_stays_ignored),
        cmocka_unit_test(sigusr1_saves_and_continues),
        cmocka_unit_test(ctrl_c_answers_at_once_and_twice_quits),
        cmocka_unit_test(quitting_names_the_step_that_is_saved),
        cmocka_unit_test(ctrl_c_during_the_setup),
        cmocka_unit_test(an_interrupted_resume_repeats_its_length),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
