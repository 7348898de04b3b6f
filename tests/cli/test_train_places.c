/* Where runs, models and adapters are: resuming from any folder, folders that are no run, adapters on the wrong base. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_program.h"
#include "train/support_tiny.h"

enum { OUTPUT_BYTES = 1 << 16 };

static struct tiny_files tiny;
static char here[1024], output[OUTPUT_BYTES];

static int group_setup(void **state)
{
    (void)state;
    assert_non_null(getcwd(here, sizeof here));
    tiny_files_make(&tiny, 60, 7);
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, tiny_path("%s/moved", tiny.folder), false);
    tiny_ctx_free(c);
    return 0;
}

static int group_teardown(void **state)
{
    tiny_files_remove(state);
    return chdir(here);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define TRAIN_WORDS(RUN)                                                                                                    \
    WORDS("train", "-m", "model", "-d", "./train.jsonl", "--valid", "valid.jsonl", "-o", RUN, "--rank", "4", "--batch",     \
          "2", "--max-steps", "10", "--save-every", "0", "--eval-every", "0")

static void go_to(const char *folder)
{
    if (chdir(folder) != 0) fail_msg("no folder %s", folder);
}

static void assert_says(const char *part)
{
    if (!strstr(output, part)) fail_msg("'%s' is not in: %s", part, output);
}

static void run_program(int code, const char *const *words)
{
    int got = program_run(output, OUTPUT_BYTES, words);
    if (got != code) fail_msg("exit %d instead of %d: %s", got, code, output);
}

/* A run of relative paths in `base`, killed or stopped after three steps. */
static void start_run(const char *run, int number)
{
    go_to(tiny.folder);
    struct program p = program_start(TRAIN_WORDS(run));
    assert_true(program_wait_line(&p, "step 3/"));
    assert_int_equal(kill(p.pid, number), 0);
    assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), number == SIGKILL ? -SIGKILL : 130);
}

static void assert_same_adapter(const char *a, const char *b)
{
    tiny_assert_same_file(tiny_path("%s/%s/adapter/adapter_model.safetensors", tiny.folder, a),
                          tiny_path("%s/%s/adapter/adapter_model.safetensors", tiny.folder, b));
}

static void unbroken_run(void)
{
    go_to(tiny.folder);
    if (!dir_exists("unbroken")) run_program(0, TRAIN_WORDS("unbroken"));
}

static void resume_works_from_any_folder(void **state)
{
    (void)state;
    unbroken_run();
    start_run("stopped", SIGTERM);
    assert_says("/your_ai resume stopped\n");
    go_to("/");
    run_program(0, WORDS("resume", tiny_path("%s/stopped", tiny.folder)));
    assert_says("resume   continues from step ");
    assert_says("adapter  of step ");
    assert_same_adapter("unbroken", "stopped");
}

/* Replaces every `from` of a file by `to`. */
static void replace_in(const char *path, const char *from, const char *to)
{
    size_t n;
    char *text = tiny_read(path, &n);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (const char *at = text, *next; at; at = next) {
        next = strstr(at, from);
        if (!next) {
            fputs(at, f);
            break;
        }
        fwrite(at, 1, (size_t)(next - at), f);
        fputs(to, f);
        next += strlen(from);
    }
    fclose(f);
    free(text);
}

/* config.json and manifest as earlier versions wrote them: paths as they were given. */
static void a_run_with_relative_paths_resumes_where_it_was_started(void **state)
{
    (void)state;
    unbroken_run();
    start_run("old", SIGKILL);
    replace_in("old/config.json", tiny_path("%s/", tiny.folder), "");
    replace_in("old/data_manifest.json", tiny_path("%s/", tiny.folder), "");
    go_to("/");
    run_program(2, WORDS("resume", tiny_path("%s/old", tiny.folder)));
    assert_says("Resume this run from the folder where train was called");
    go_to(tiny.folder);
    run_program(0, WORDS("resume", "old"));
    assert_says("continues from step 0 of 10: no checkpoint was saved yet");
    assert_same_adapter("unbroken", "old");
}

/* Whatever the folder is, resume does not tell anyone to delete it. */
static void move(const char *from, const char *to)
{
    if (rename(from, to) != 0) fail_msg("%s cannot be moved to %s", from, to);
}

/* Data files that were moved are known by their bytes: where -d says, and by their name beside the run and in it. */
static void moved_data_is_known_by_its_bytes(void **state)
{
    (void)state;
    unbroken_run();
    start_run("runs/away", SIGTERM);
    const char *rows = tiny_keep(&tiny, "train.jsonl"), *valid = tiny_keep(&tiny, "valid.jsonl");
    const char *new_rows = tiny_keep(&tiny, "new place's rows"), *other = tiny_keep(&tiny, "other.jsonl");
    const char *beside = tiny_keep(&tiny, "runs/valid.jsonl"), *inside = tiny_keep(&tiny, "runs/away/valid.jsonl");
    tiny_rows(other, 60, 99);
    move(rows, new_rows);
    move(valid, beside);
    run_program(2, WORDS("resume", "runs/away"));
    assert_says("train.jsonl: is not there any more");
    assert_says("say -d FILE");
    run_program(2, WORDS("resume", "runs/away", "-d", other)); /* refused by its own name */
    assert_says("other.jsonl: is none of the data files that the run began with, by its SHA-256");
    run_program(2, WORDS("resume", "runs/away", "-d", new_rows, "-d", other));
    assert_says("other.jsonl: is none of the data files");
    run_program(2, WORDS("resume", "runs/away", "-d", tiny.model));
    assert_says("model");
    move(beside, inside);
    move(other, rows); /* another file in the old place is still another file */
    run_program(2, WORDS("resume", "runs/away", "-d", new_rows));
    assert_says("train.jsonl: is not the file that the run began with");
    assert_says("move this one away and say with -d where a copy of the old one is");
    move(rows, other);
    struct program p = program_start(WORDS("resume", "runs/away", "-d", new_rows));
    assert_true(program_wait_line(&p, "step 5/"));
    assert_int_equal(kill(p.pid, SIGTERM), 0);
    assert_int_equal(program_finish(&p, output, OUTPUT_BYTES), 130);
    assert_says(" -d '"); /* the command that continues says it again */
    move(inside, beside);
    run_program(0, WORDS("resume", "runs/away", "--data", new_rows));
    assert_says("has the same bytes and stands for it");
    assert_same_adapter("unbroken", "runs/away");
    move(new_rows, rows);
    move(beside, valid);
    run_program(0, WORDS("resume", "runs/away")); /* back at its place nothing needs to be said */
    if (strstr(output, "stands for it")) fail_msg("%s", output);
}

/* A download or a person adds files to a model's folder while a run waits: notes do no harm, weights may be read in place of
 * the old ones. */
static void files_added_to_the_models_folder(void **state)
{
    (void)state;
    unbroken_run();
    start_run("runs/added", SIGTERM);
    const char *notes = tiny_keep(&tiny, "notes.md"), *weights = tiny_keep(&tiny, "more.safetensors");
    char in_model[2][512];
    snprintf(in_model[0], sizeof in_model[0], "%s/notes.md", tiny.model);
    snprintf(in_model[1], sizeof in_model[1], "%s/more.safetensors", tiny.model);
    tiny_write(notes, "x");
    tiny_write(weights, "x");
    move(notes, in_model[0]);
    move(weights, in_model[1]);
    run_program(2, WORDS("resume", "runs/added"));
    assert_says("more.safetensors: is not the file that the run began with, or is new in the model's folder");
    move(in_model[1], weights);
    run_program(0, WORDS("resume", "runs/added"));
    assert_same_adapter("unbroken", "runs/added");
    move(in_model[0], notes);
}

static void resume_of_a_folder_that_is_no_run(void **state)
{
    (void)state;
    go_to(tiny.folder);
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(dir_make(c, "mine/checkpoints"), OK);
    assert_int_equal(dir_make(c, "half/checkpoints"), OK);
    ctx_free(c);
    tiny_write("mine/thesis.txt", "years of work");
    tiny_write("half/data.cache", "");
    static const char *const cases[][2] = {
        {"mine", "mine: is not the folder of a run (it has no config.json)"},
        {".", "is not the folder of a run (it has no config.json)"},
        {"model", "model: is not the folder of a run: its config.json is not one that train wrote"},
        {"none", "none: there is no such folder"},
        {"half", "half: training was stopped there before its first step. Call train again with the same -o"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run_program(2, WORDS("resume", cases[i][0]));
        assert_says(cases[i][1]);
        if (strcasestr(output, "remove") || strcasestr(output, "delete")) fail_msg("%s", output);
    }
    assert_true(file_exists("mine/thesis.txt"));
    run_program(0, TRAIN_WORDS("half")); /* as advised */
}

/* ---- adapters on another base ---------------------------------------------------------------------------------------- */

#define WARNING "was trained on other weights than those of"

static void assert_base(const char *model, const char *adapter, const char *warning)
{
    run_program(0, WORDS("generate", "-m", model, "--adapter", adapter, "-p", "ab", "-n", "1"));
    if (warning) assert_says(warning);
    if (!warning && strstr(output, "warning")) fail_msg("%s", output);
    run_program(0, WORDS("export", adapter, "-m", model, "--to", "safetensors", "-o", "merged"));
    if (warning) assert_says(warning);
    if (!warning && strstr(output, "warning")) fail_msg("%s", output);
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(dir_remove(c, "merged"), OK);
    ctx_free(c);
}

/* Flips a bit of the last weight: same sizes, other weights, as for two variants of a model. */
static void change_a_weight(const char *path)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, -2, SEEK_END), 0);
    int byte = fgetc(f);
    assert_int_equal(fseek(f, -2, SEEK_END), 0);
    fputc(byte ^ 1, f);
    assert_int_equal(fclose(f), 0);
}

static void generate_and_export_warn_of_another_base(void **state)
{
    (void)state;
    unbroken_run();
    assert_base("model", "unbroken/adapter", NULL);
    assert_base("moved", "unbroken/adapter", NULL); /* the same weights elsewhere */
    assert_base("model", "unbroken/checkpoints/step-000010", NULL);
    change_a_weight("moved/model.safetensors");
    assert_base("moved", "unbroken/adapter", "unbroken/adapter/README.md lists model.safetensors with ");
    assert_base("moved", "unbroken/adapter", WARNING);
    assert_base("moved", "unbroken/checkpoints/step-000010", "data_manifest.json lists model.safetensors with ");
    run_program(0, WORDS("train", "-m", "moved", "-d", "train.jsonl", "--adapter", "unbroken/adapter", "-o", "further",
                         "--max-steps", "1"));
    assert_says(WARNING);
}

/* Every command that puts an adapter on a model refuses one of another model, and takes it when it is forced. */
static void adapters_of_another_model_are_refused(void **state)
{
    (void)state;
    go_to(tiny.folder);
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, "one", false);
    tiny_model(c, "two", false);
    tiny_ctx_free(c);
    tiny_set_gain("one", 1.5f);
    tiny_set_gain("two", 0.5f);
    run_program(0, WORDS("train", "-m", "one", "-d", "train.jsonl", "-o", "of-one", "--max-steps", "1"));
    tiny_write("claims.jsonl", "{\"prompt\": \"a\", \"primary\": \"b\", \"consensus\": \"c\", "
                               "\"primary_sources\": [{\"auth_weight\": 0.5, \"prov_entropy\": 2}], "
                               "\"consensus_sources\": [{\"auth_weight\": 0.5, \"prov_entropy\": 2}]}\n");
    static const char *const adapters[] = {"of-one/adapter", "of-one/checkpoints/step-000001"};
    static const char *const from[] = {"of-one/adapter/README.md records", "data_manifest.json records"};
    for (int i = 0; i < 2; i++) {
        const char *a = adapters[i];
        const char *const *const commands[] = {
            WORDS("generate", "-m", "two", "--adapter", a, "-p", "ab", "-n", "1", NULL),
            WORDS("perplexity", "-m", "two", "--adapter", a, "-f", "train.jsonl", NULL),
            WORDS("export", a, "-m", "two", "--to", "safetensors", "-o", "merged-two", NULL),
            WORDS("validate", "-m", "two", "-d", "claims.jsonl", "of-one", NULL),
            WORDS("train", "-m", "two", "-d", "train.jsonl", "--adapter", a, "-o", "further-two", "--max-steps", "1", NULL)};
        for (size_t k = 0; k < sizeof commands / sizeof *commands; k++) {
            const char *forced[16];
            int n = 0;
            run_program(2, commands[k]);
            assert_says("was made for another model than");
            if (strcmp(commands[k][0], "validate") != 0) assert_says(from[i]);
            assert_says("--force-adapter");
            assert_false(dir_exists("further-two") || dir_exists("merged-two"));
            for (; commands[k][n]; n++) forced[n] = commands[k][n];
            forced[n++] = "--force-adapter";
            forced[n] = NULL;
            run_program(0, forced);
            assert_says("is used because of --force-adapter");
            c = ctx_new(NULL);
            assert_int_equal(dir_remove(c, "merged-two"), OK);
            assert_int_equal(dir_remove(c, "further-two"), OK);
            ctx_free(c);
        }
    }
    /* Another form of the same model: the same gains in other files. */
    run_program(0, WORDS("export", "of-one/adapter", "--to", "safetensors", "-o", "form"));
    run_program(0, WORDS("generate", "-m", "form", "--adapter", "of-one/adapter", "-p", "ab", "-n", "1"));
    assert_says("was trained on another form of this model");
    if (strstr(output, "warning")) fail_msg("%s", output);
}

/* Adapters of other programs have only a name. */
static void names_are_compared_where_there_is_nothing_else(void **state)
{
    (void)state;
    unbroken_run();
    go_to(tiny.folder);
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, "hub", false);
    assert_int_equal(dir_make(c, "alone/x/foreign"), OK);
    size_t n;
    char *tensors = tiny_read("unbroken/adapter/adapter_model.safetensors", &n);
    assert_int_equal(file_write_atomic(c, "alone/x/foreign/adapter_model.safetensors", tensors, n), OK);
    free(tensors);
    char *config = tiny_read("unbroken/adapter/adapter_config.json", &n);
    tiny_write("alone/x/foreign/adapter_config.json", config);
    free(config);
    tiny_ctx_free(c);
    assert_base("hub", "alone/x/foreign", NULL); /* named by a path */
    replace_in("alone/x/foreign/adapter_config.json", tiny_path("%s/model", tiny.folder), "org/one");
    assert_base("hub", "alone/x/foreign", NULL);
    replace_in("hub/config.json", "{\"architectures\"", "{\"_name_or_path\":\"Org/One\",\"architectures\"");
    assert_base("hub", "alone/x/foreign", NULL);
    replace_in("hub/config.json", "Org/One", "org/two");
    assert_base("hub", "alone/x/foreign", "was trained on org/one by its adapter_config.json, but hub calls itself org/two");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume_works_from_any_folder),
        cmocka_unit_test(a_run_with_relative_paths_resumes_where_it_was_started),
        cmocka_unit_test(moved_data_is_known_by_its_bytes),
        cmocka_unit_test(files_added_to_the_models_folder),
        cmocka_unit_test(resume_of_a_folder_that_is_no_run),
        cmocka_unit_test(generate_and_export_warn_of_another_base),
        cmocka_unit_test(adapters_of_another_model_are_refused),
        cmocka_unit_test(names_are_compared_where_there_is_nothing_else),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
