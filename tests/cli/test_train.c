/* train and resume as a user meets them: killed at any moment and resumed, refused, and what they print. What other signals
 * do is in test_train_signals.c, and how runs and adapters are found again in test_train_places.c. */
#include <setjmp.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_program.h"
#include "train/support_tiny.h"

enum { STEPS = 30, OUTPUT_BYTES = 1 << 16 };

static struct tiny_files tiny;
static char output[OUTPUT_BYTES];

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 60, 7);
    return 0;
}

/* Forms of the base and ways of computing on it, as options. */
static const struct mode {
    const char *base, *compute, *says, *again; /* of the page; what opens the same base again */
} modes[] = {{"as-is", "f32", "f32 on weights as stored", ""},
             {"nf4", "f32", "f32 on nf4 weights", "--base-type nf4 "},
             {"int8", "f32", "f32 on int8 weights", "--base-type int8 "},
             {"as-is", "int8x2", "int8x2 on int8 weights", "--compute int8x2 "},
             {"as-is", "int8", "int8 on int8 weights", "--compute int8 "}};
enum { N_MODES = sizeof(modes) / sizeof(modes[0]) };
static const struct mode *mode = &modes[0];

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* The run of this file: dropout, accumulation, packing, validation, weights. */
#define TRAIN_WORDS(RUN)                                                                                                    \
    WORDS("train", "-m", tiny.model, "-d", tiny.rows, "--valid", tiny.valid, "-o", RUN, "--rank", "4", "--dropout", "0.1",  \
          "--lr", "1e-2", "--batch", "2", "--accumulation", "2", "--max-length", "48", "--max-steps", "30", "--eval-every", \
          "4", "--save-every", "1", "--threads", "2", "--base-type", mode->base, "--compute", mode->compute)

static void assert_same_run(const char *a, const char *b)
{
    static const char *const names[] = {"adapter/adapter_model.safetensors",
                                        "adapter/adapter_config.json",
                                        "metrics.jsonl",
                                        "checkpoints/step-000030/adapter_model.safetensors",
                                        "checkpoints/step-000030/adapter_optimizer.safetensors",
                                        NULL};
    tiny_assert_same_files(a, b, names);
}

static const char *unbroken(void)
{
    static char runs[N_MODES][128], *run;
    run = runs[mode - modes];
    if (run[0]) return run;
    strcpy(run, tiny_path("%s/unbroken-%d", tiny.folder, (int)(mode - modes)));
    if (program_run(output, OUTPUT_BYTES, TRAIN_WORDS(run)) != 0) fail_msg("%s", output);
    return run;
}

/* kill -9 as soon as step k is shown, for every k: before, while or after its checkpoint is written. */
static void killed_at_every_step_and_resumed(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "killed");
    for (int k = 1; k < STEPS; k++) {
        struct program p = program_start(k == 1 ? TRAIN_WORDS(run) : WORDS("resume", run));
        bool seen = program_wait_line(&p, tiny_path("step %d/", k));
        assert_int_equal(kill(p.pid, SIGKILL), 0);
        assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), -SIGKILL);
        if (!seen) fail_msg("step %d was not shown", k);
    }
    if (program_run(output, OUTPUT_BYTES, WORDS("resume", run)) != 0) fail_msg("%s", output);
    assert_same_run(unbroken(), run);
}

/* The same at a few steps in the other modes. */
static void killed_in_every_mode_and_resumed(void **state)
{
    (void)state;
    for (int m = 1; m < N_MODES; m++) {
        const char *run = tiny_keep(&tiny, tiny_path("killed-%d", m));
        mode = &modes[m];
        for (int k = 1; k < STEPS; k += 9) {
            struct program p = program_start(k == 1 ? TRAIN_WORDS(run) : WORDS("resume", run));
            bool seen = program_wait_line(&p, tiny_path("step %d/", k));
            assert_int_equal(kill(p.pid, SIGKILL), 0);
            assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), -SIGKILL);
            if (!seen) fail_msg("step %d was not shown", k);
        }
        if (program_run(output, OUTPUT_BYTES, WORDS("resume", run)) != 0) fail_msg("%s", output);
        assert_same_run(unbroken(), run);
        mode = &modes[0];
    }
}

/* kill -9 after a time that grows by little: also while the run is set up, and in the middle of a save. */
static void killed_at_any_time_and_resumed(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "any");
    int killed = 0;
    for (int i = 0; i < 40; i++) {
        bool begun = file_exists(tiny_path("%s/config.json", run));
        struct program p = program_start(begun ? WORDS("resume", run) : TRAIN_WORDS(run));
        usleep((useconds_t)(5000 + 1700 * i));
        kill(p.pid, SIGKILL);
        killed += program_finish(&p, output, OUTPUT_BYTES) == -SIGKILL;
    }
    assert_true(killed > 10);
    bool begun = file_exists(tiny_path("%s/config.json", run));
    if (program_run(output, OUTPUT_BYTES, begun ? WORDS("resume", run) : TRAIN_WORDS(run)) != 0) fail_msg("%s", output);
    assert_same_run(unbroken(), run);
    /* nothing of the killed saves is left, and no step had to be deleted by hand */
    char **names;
    size_t n;
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(dir_list(c, tiny_path("%s/checkpoints", run), &names, &n), OK);
    for (size_t i = 0; i < n; i++) assert_true(strncmp(names[i], "step-", 5) == 0);
    dir_list_free(c, names, n);
    ctx_free(c);
}

/* One line, the exit code of the README, and what is named. */
static void refused(int code, const char *says, const char *const *words)
{
    int got = program_run(output, OUTPUT_BYTES, words);
    const char *error = strstr(output, "error: ");
    if (got != code || !error) fail_msg("exit %d instead of %d: %s", got, code, output);
    if (!strstr(error, says)) fail_msg("'%s' lacks '%s'", error, says);
    assert_ptr_equal(strchr(error, '\n'), error + strlen(error) - 1);
}

/* A folder belongs to one process: a second one would sweep away the checkpoint that is being written. */
static void a_running_folder_is_left_alone(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "busy");
    struct program p = program_start(TRAIN_WORDS(run));
    assert_true(program_wait_line(&p, "step 3/"));
    refused(2, "another process is at work in it", WORDS("resume", run));
    refused(2, "another process is at work in it", TRAIN_WORDS(run));
    if (program_finish(&p, output, OUTPUT_BYTES) != 0) fail_msg("%s", output);
    assert_same_run(unbroken(), run);
}

/* Saving does not make up a folder that has no config.json and could never be resumed. */
static void a_deleted_folder_ends_the_run(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "deleted");
    struct program p = program_start(TRAIN_WORDS(run));
    assert_true(program_wait_line(&p, "step 3/"));
    struct ctx *c = ctx_new(NULL);
    int how = 0;
    assert_int_equal(kill(p.pid, SIGSTOP), 0);                /* wherever it is, also in the middle of a save */
    assert_int_equal(waitpid(p.pid, &how, WUNTRACED), p.pid); /* the signal only asks: wait until it stands still */
    assert_true(WIFSTOPPED(how));
    assert_int_equal(dir_remove(c, run), OK);
    assert_int_equal(kill(p.pid, SIGCONT), 0);
    ctx_free(c);
    int code = program_finish(&p, output, OUTPUT_BYTES);
    if (code != 1 || !strstr(output, "is not there any more")) fail_msg("exit %d: %s", code, output);
    assert_false(dir_exists(run));
}

/* The table of the sources at the end of `output` has the tokens and the weight of all steps, also those before a resume. */
static void check_source_table(void)
{
    const char *table = strstr(output, "of weight first loss  last loss   weighted"), *done = strstr(output, "done: ");
    long long trained, tokens, sum = 0;
    double share, first, last, shares = 0;
    assert_true(table && strstr(table, "kind 1") && strstr(table, "(without)"));
    assert_null(strstr(table, "by file")); /* there is one */
    assert_int_equal(sscanf(done, "done: %*d steps, %lld trained tokens", &trained), 1);
    for (const char *line = strchr(table, '\n') + 1; strncmp(line, "  ", 2) == 0; line = strchr(line, '\n') + 1) {
        assert_int_equal(sscanf(line + 38, "%lld %lf %% %lf %lf", &tokens, &share, &first, &last), 4);
        assert_true(first > last && last > 0); /* it learns, and a quarter is three steps */
        sum += tokens;
        shares += share;
    }
    assert_int_equal(sum, trained);
    assert_true(shares > 99.7 && shares < 100.3);
}

/* A run of 10 steps resumed to 12. */
static void resume_can_make_a_run_longer(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "longer");
    assert_int_equal(
        program_run(output, OUTPUT_BYTES,
                    WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", run, "--rank", "2", "--max-steps", "10")),
        0);
    assert_int_equal(program_run(output, OUTPUT_BYTES, WORDS("resume", run, "--max-steps", "12")), 0);
    assert_non_null(strstr(output, "step 11/12"));
    assert_null(strstr(output, "step 10/"));
    assert_non_null(strstr(output, "done: 12 steps"));
    check_source_table();
}

/* Generates with what a run says opens its base again. */
static void generate_with(const struct mode *m, const char *adapter)
{
    if (program_run(output, OUTPUT_BYTES,
                    WORDS("generate", "-m", tiny.model, "--adapter", adapter, "--base-type", m->base, "--compute",
                          m->compute, "-p", "ab", "-n", "3", "--json")) != 0)
        fail_msg("%s", output);
    assert_non_null(strstr(output, tiny_path("compute: %s, ", m->says)));
}

/* The base and how it is computed on are part of the run: resumed bit for bit, in its config and card, and told where they
 * must be repeated. */
static void a_mode_belongs_to_its_run(void **state)
{
    (void)state;
    for (const struct mode *m = &modes[1]; m < modes + N_MODES; m++) {
        const char *runs[2] = {tiny_keep(&tiny, tiny_path("whole-%d", (int)(m - modes))),
                               tiny_keep(&tiny, tiny_path("parts-%d", (int)(m - modes)))};
        size_t n;
        for (int i = 0; i < 2; i++)
            if (program_run(output, OUTPUT_BYTES,
                            WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", runs[i], "--base-type", m->base,
                                  "--compute", m->compute, "--rank", "2", "--max-steps", i ? "6" : "10", "--schedule",
                                  "constant", "--warmup", "0", "--threads", i ? "2" : "1")) != 0)
                fail_msg("%s", output);
        assert_non_null(strstr(output, tiny_path("compute  %s, ", m->says)));
        assert_non_null(strstr(output, tiny_path("/adapter %s-p", m->again)));
        if (program_run(output, OUTPUT_BYTES, WORDS("resume", runs[1], "--max-steps", "10")) != 0) fail_msg("%s", output);
        assert_non_null(strstr(output, tiny_path("compute  %s, ", m->says)));
        tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", runs[0]),
                              tiny_path("%s/adapter/adapter_model.safetensors", runs[1]));
        char *text = tiny_read(tiny_path("%s/config.json", runs[0]), &n);
        assert_non_null(strstr(text, tiny_path("\"base-type\": \"%s\"", m->base)));
        assert_non_null(strstr(text, tiny_path("\"compute\": \"%s\"", m->compute)));
        free(text);
        text = tiny_read(tiny_path("%s/adapter/README.md", runs[0]), &n);
        assert_non_null(strstr(text, tiny_path("(`%.*s`)", (int)strlen(m->again) - 1, m->again)));
        free(text);
        generate_with(m, tiny_path("%s/adapter", runs[0]));
        generate_with(m, runs[0]); /* the folder of the run stands for its adapter */
    }
}

/* Merging goes onto the file's own numbers, and says so; a base that is none, or that does not go with a way of computing.
 */
static void modes_elsewhere(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "merged-from"), *merged = tiny_keep(&tiny, "merged");
    if (program_run(output, OUTPUT_BYTES,
                    WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", run, "--compute", "int8", "--max-steps", "1")) !=
        0)
        fail_msg("%s", output);
    const char *adapter = tiny_path("%s/adapter", run);
    if (program_run(output, OUTPUT_BYTES, WORDS("export", adapter, "--to", "safetensors", "-o", merged)) != 0)
        fail_msg("%s", output);
    assert_non_null(strstr(output, tiny_path("modules) on %s\n", tiny.model)));
    refused(2, "as-is|nf4|int8", WORDS("generate", "-m", tiny.model, "--base-type", "int3", "-p", "a"));
    refused(2, "f32|int8x2|int8", WORDS("perplexity", "-m", tiny.model, "--compute", "f16", "-f", tiny.rows));
    refused(2, "--compute int8x2 multiplies integers and needs weights in int8; with --base-type nf4 there are none",
            WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", tiny_keep(&tiny, "nf4-int8x2"), "--base-type", "nf4",
                  "--compute", "int8x2"));
    assert_false(dir_exists(tiny_path("%s/nf4-int8x2", tiny.folder)));
}

static void page_shows_what_will_happen(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "page");
    assert_int_equal(program_run(output, OUTPUT_BYTES, TRAIN_WORDS(run)), 0);
    static const char *const says[] = {
        "LlamaForCausalLM, 2 layers, hidden 64",
        "base weights",
        "optimizer moments",
        "activations",
        "60 rows, 60 documents",
        "weights  monotone, lambda 1: omega",
        "effective sample size",
        "rows ([[trained]])",
        "<|endoftext|>]]",
        "step 1/30  loss ",
        "  weighted ",
        " tok/s  gnorm ",
        " GiB  ETA ",
        "validation: loss ",
        "best so far",
        "done: 30 steps",
        "/adapter (PEFT; best of the validations, step ",
        "your_ai generate -m ",
    };
    for (size_t i = 0; i < sizeof(says) / sizeof(says[0]); i++) {
        if (!strstr(output, says[i])) fail_msg("'%s' is not in: %s", says[i], output);
    }
    assert_null(strchr(output, '\033')); /* no colours in a pipe */
    assert_null(strchr(output, '\r'));
    static const char *const files[] = {"config.json",
                                        "metrics.jsonl",
                                        "timing.jsonl",
                                        "data_manifest.json",
                                        "environment.json",
                                        "data.cache",
                                        "adapter/adapter_config.json"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        assert_true(file_exists(tiny_path("%s/%s", run, files[i])));
}

/* On a terminal of so many columns one line is written over and over, and never wraps; narrow ones drop parts of it. */
static void one_line_on_a_terminal(void **state)
{
    (void)state;
    static const unsigned short columns[] = {200, 80, 40, 12};
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        const char *run = tiny_path("%s/terminal%zu", tiny.folder, i);
        struct winsize size = {.ws_row = 24, .ws_col = columns[i]};
        struct program p;
        p.pid = forkpty(&p.out, NULL, NULL, &size);
        assert_true(p.pid >= 0);
        if (p.pid == 0) {
            execl(BUILD_DIR "/your_ai", "your_ai", "train", "-m", tiny.model, "-d", tiny.rows, "--valid", tiny.valid, "-o",
                  run, "--rank", "2", "--max-steps", "6", "--eval-every", "3", (char *)NULL);
            _exit(127);
        }
        if (program_finish(&p, output, OUTPUT_BYTES) != 0) fail_msg("%s", output);
        int lines = 0;
        for (const char *at = output; (at = strstr(at, "\r\033[Kstep ")) != NULL; lines++) {
            at += 4;
            size_t width = strcspn(at, "\r\n");
            if (width >= columns[i]) fail_msg("%zu characters in %u columns: %.*s", width, columns[i], (int)width, at);
            if (columns[i] == 200) assert_non_null(strstr(at, " tok/s  gnorm "));
        }
        assert_int_equal(lines, 6);
    }
}

static void additive_says_that_it_is_for_comparison(void **state)
{
    (void)state;
    assert_int_equal(program_run(output, OUTPUT_BYTES,
                                 WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o",
                                       tiny_path("%s/additive", tiny.folder), "--distrust", "additive", "--max-steps", "1")),
                     0);
    assert_non_null(strstr(output, "the gradient is that of plain CE: for comparison only"));
}

static void refusals(void **state)
{
    (void)state;
    const char *run = tiny_keep(&tiny, "refused"), *bad = tiny_keep(&tiny, "bad.jsonl");
    tiny_write(bad, "{\"text\":\"good\"}\n{\"text\":\"good\",\"auth_weight\":1.5,\"prov_entropy\":1}\n");
    refused(2, "no command", WORDS(NULL));
    refused(2, "did you mean train?", WORDS("trian"));
    refused(2, "-m, --model MODEL is needed", WORDS("train", "-d", tiny.rows, "-o", run));
    refused(2, "did you mean --rank?", WORDS("train", "--rnak", "3"));
    refused(2, "-r: 0 is outside 1 to 1024", WORDS("train", "-r", "0"));
    refused(2, "one word too many", WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", run, "more"));
    refused(2, "something is missing", WORDS("resume"));
    refused(2, "bad.jsonl:2", WORDS("train", "-m", tiny.model, "-d", bad, "-o", run));
    refused(2, "nowhere", WORDS("train", "-m", tiny_path("%s/nowhere", tiny.folder), "-d", tiny.rows, "-o", run));
    refused(2, "is not empty", WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", unbroken()));
    refused(2, "/proc/none", WORDS("train", "-m", tiny.model, "-d", tiny.rows, "-o", "/proc/none"));
    assert_false(dir_exists(run));
}

/* More tokens in one micro-batch than any memory holds activations for. */
static void exit_3_when_it_would_not_fit(void **state)
{
    (void)state;
    const char *file = tiny_keep(&tiny, "large.jsonl");
    size_t free_bytes = plan_free_bytes("", 0), rows = free_bytes / 60000 / 500 + 2;
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    for (size_t i = 0; i < rows; i++) {
        fputs("{\"text\":\"", f);
        for (int k = 0; k < 500; k++) fputc('a' + (int)(i + (size_t)k) % 20, f);
        fputs("\"}\n", f);
    }
    fclose(f);
    const char *run = tiny_keep(&tiny, "large");
    refused(3, "Cheapest changes: --grad-checkpoint on",
            WORDS("train", "-m", tiny.model, "-d", file, "-o", run, "--rank", "1024", "--batch", "65536",
                  "--grad-checkpoint", "off"));
    assert_false(dir_exists(run));
    refused(3, "0.00 allowed by --max-memory",
            WORDS("train", "-m", tiny.model, "-d", file, "-o", run, "--max-length", "8", "--max-memory", "0.000001"));
    assert_false(dir_exists(run));
}

static void help_and_version(void **state)
{
    (void)state;
    assert_int_equal(program_run(output, OUTPUT_BYTES, WORDS("--help")), 0);
    assert_non_null(strstr(output, "train"));
    assert_non_null(strstr(output, "resume"));
    assert_int_equal(program_run(output, OUTPUT_BYTES, WORDS("train", "--help")), 0);
    assert_non_null(strstr(output, "usage: your_ai train -m MODEL"));
    assert_non_null(strstr(output, "--lr X"));
    assert_non_null(strstr(output, "(default 2e-4; 0 to 10)"));
    assert_int_equal(program_run(output, OUTPUT_BYTES, WORDS("help", "resume")), 0);
    assert_non_null(strstr(output, "usage: your_ai resume RUN"));
    assert_int_equal(program_run(output, OUTPUT_BYTES, WORDS("--version")), 0);
    assert_true(strncmp(output, "your_ai ", 8) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_every_step_and_resumed),
        cmocka_unit_test(killed_at_any_time_and_resumed),
        cmocka_unit_test(a_running_folder_is_left_alone),
        cmocka_unit_test(a_deleted_folder_ends_the_run),
        cmocka_unit_test(resume_can_make_a_run_longer),
        cmocka_unit_test(killed_in_every_mode_and_resumed),
        cmocka_unit_test(a_mode_belongs_to_its_run),
        cmocka_unit_test(modes_elsewhere),
        cmocka_unit_test(page_shows_what_will_happen),
        cmocka_unit_test(one_line_on_a_terminal),
        cmocka_unit_test(additive_says_that_it_is_for_comparison),
        cmocka_unit_test(refusals),
        cmocka_unit_test(exit_3_when_it_would_not_fit),
        cmocka_unit_test(help_and_version),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
