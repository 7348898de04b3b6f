/* Names from other programs: every row of both tables leads to an option or a command that exists, and the names that a user
 * of mlx-lm, TRL, Axolotl or llama.cpp types first get the right hint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/command.h"
#include "cli/support_capture.h"

static bool is_option(const char *name)
{
    size_t n;
    const struct command *const *all = command_all(&n);
    for (size_t i = 0; i < n; i++)
        if (options_find(all[i]->table, name) >= 0) return true;
    return false;
}

/* Whether a command has this name or begins with this word. */
static bool is_command(const char *name)
{
    size_t n, k = strlen(name);
    const struct command *const *all = command_all(&n);
    for (size_t i = 0; i < n; i++)
        if (strncmp(all[i]->name, name, k) == 0 && (all[i]->name[k] == '\0' || all[i]->name[k] == ' ')) return true;
    return false;
}

/* No row is there twice, none is written with "_", and one without a name of ours says why. */
static void check_rows(const struct option_name *rows, size_t n, bool (*exists)(const char *name))
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].ours && !exists(rows[i].ours)) fail_msg("%s: there is no %s", rows[i].foreign, rows[i].ours);
        if (!rows[i].ours && !rows[i].note) fail_msg("%s says nothing", rows[i].foreign);
        for (size_t j = 0; j < i; j++)
            if (strcmp(rows[i].foreign, rows[j].foreign) == 0 &&
                (!rows[i].ours || !rows[j].ours || strcmp(rows[i].ours, rows[j].ours) == 0))
                fail_msg("%s is there twice", rows[i].foreign);
    }
}

static void every_row(void **state)
{
    (void)state;
    size_t n;
    const struct option_name *rows = option_names(&n);
    check_rows(rows, n, is_option);
    for (size_t i = 0; i < n; i++) assert_null(strchr(rows[i].foreign, '_'));
    rows = command_known_names(&n);
    check_rows(rows, n, is_command);
    for (size_t i = 0; i < n; i++)
        if (is_command(rows[i].foreign)) fail_msg("%s is a command itself", rows[i].foreign);
}

static void hints(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"train", "--iters", "did you mean --max-steps?"},
        {"train", "--batch-size", "did you mean --batch?"},
        {"train", "--learning-rate", "did you mean --lr?"},
        {"train", "--lora-r", "did you mean --rank?"},
        {"train", "--lora_alpha=16", "did you mean --alpha?"},
        {"train", "--warmup-steps", "did you mean --warmup?"},
        {"train", "--lora-dropout", "did you mean --dropout?"},
        {"train", "--num-layers", "did you mean --last-layers?"},
        {"train", "--grad-accum", "did you mean --accumulation?"},
        {"train", "--steps", "did you mean --max-steps?"},
        {"train", "--save-steps", "did you mean --save-every?"},
        {"train", "--per_device_train_batch_size", "did you mean --batch?"},
        {"train", "--micro_batch_size", "did you mean --batch?"},
        {"train", "--sequence_len", "did you mean --max-length?"},
        {"train", "--use_dora", "DoRA is not supported"},
        {"train", "--adapter-path", "did you mean --output?"},
        {"generate", "--adapter-path", "did you mean --adapter?"},
        {"generate", "--temp", "did you mean --temperature?"},
        {"generate", "--n-predict", "did you mean --max-tokens?"},
        {"generate", "--sed", "did you mean --seed?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        capture_fails(2, cases[i][2], ARGV(cases[i][0], cases[i][1], "1"));
    capture_fails(2, "did you mean train?", ARGV("finetune"));
    capture_fails(2, "did you mean train?", ARGV("trian"));
    capture_fails(2, "did you mean export?", ARGV("fuse"));
    capture_fails(2, "llama-server", ARGV("serve"));
    capture_fails(2, "nothing is downloaded", ARGV("pull"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row), cmocka_unit_test(hints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
