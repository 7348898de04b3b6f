/* The program with --device cuda: a run and the same run interrupted and resumed give the same files; its adapter generates
 * and is scored; environment.json names the card; what does not fit ends with exit code 3. On the emulator, or a real card.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/support_program.h"
#include "support_cuda_card.h"
#include "train/support_tiny.h"

static char base[64], model[128], data[128], output[1 << 16];

static int setup(void **state)
{
    (void)state;
    struct ctx *c = tiny_ctx(1);
    strcpy(base, tiny_folder());
    strcpy(model, tiny_path("%s/model", base));
    strcpy(data, tiny_path("%s/train.jsonl", base));
    tiny_model(c, model, false);
    tiny_rows(data, 12, 1);
    tiny_ctx_free(c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

/* Runs the program, which must end with `code` and say `part`. */
static void expect(int code, const char *part, const char *const *words)
{
    int got = program_run(output, sizeof output, words);
    if (got != code || !strstr(output, part)) fail_msg("exit %d, not %d with \"%s\":\n%s", got, code, part, output);
}

/* Trains; `valid`: rows to validate on behind every step, or NULL. */
static void train_by(const char *run, const char *steps, const char *rank, const char *dropout, const char *valid)
{
    expect(0, "cuda:0 (", (const char *const[]){"train",    "-m",
                                                model,      "-d",
                                                data,       "-o",
                                                run,        "--device",
                                                "cuda",     "--max-steps",
                                                steps,      "--batch",
                                                "2",        "--max-length",
                                                "24",       "--rank",
                                                rank,       "--dropout",
                                                dropout,    "--save-every",
                                                "1",        "--schedule",
                                                "constant", "--warmup",
                                                "0",        valid ? "--valid" : NULL,
                                                valid,      "--eval-every",
                                                "1",        NULL});
}

static void train(const char *run, const char *steps)
{
    train_by(run, steps, "4", "0.1", NULL);
}

static void a_resumed_run_is_the_same(void **state)
{
    (void)state;
    char whole[128], halves[128];
    strcpy(whole, tiny_path("%s/whole", base));
    strcpy(halves, tiny_path("%s/halves", base));
    train(whole, "3");
    train(halves, "2");
    expect(0, "cuda:0 (", (const char *const[]){"resume", halves, "--max-steps", "3", NULL});
    tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", whole),
                          tiny_path("%s/adapter/adapter_model.safetensors", halves));
    size_t n;
    char *environment = tiny_read(tiny_path("%s/environment.json", whole), &n);
    assert_non_null(strstr(environment, "\"backend\": \"cuda:0 ("));
    free(environment);
}

/* Adapters that are kept packed: a resumed run packs what it reads from the checkpoint, and packs again what validation
 * between steps has packed; each gives the adapter of a run that does neither. */
static void packed_adapters_change_no_run(void **state)
{
    (void)state;
    char whole[128], halves[128], validated[128], adapter[192];
    strcpy(whole, tiny_path("%s/packed", base));
    strcpy(halves, tiny_path("%s/packed_halves", base));
    strcpy(validated, tiny_path("%s/packed_validated", base));
    train_by(whole, "3", "16", "0", NULL);
    train_by(halves, "2", "16", "0", NULL);
    expect(0, "cuda:0 (", (const char *const[]){"resume", halves, "--max-steps", "3", NULL});
    train_by(validated, "3", "16", "0", data);
    snprintf(adapter, sizeof adapter, "%s/adapter/adapter_model.safetensors", whole);
    tiny_assert_same_file(adapter, tiny_path("%s/adapter/adapter_model.safetensors", halves));
    tiny_assert_same_file(adapter, tiny_path("%s/adapter/adapter_model.safetensors", validated));
}

static void its_adapter_is_used(void **state)
{
    (void)state;
    char run[128], adapter[140];
    strcpy(run, tiny_path("%s/used", base));
    train(run, "1");
    snprintf(adapter, sizeof adapter, "%s/adapter", run);
    expect(0, "\"ids\":[",
           (const char *const[]){"generate", "-m", model, "--adapter", adapter, "-p", "abc", "-n", "3", "--json", "--device",
                                 "cuda", NULL});
    const char *const perplexity[] = {"perplexity", "-m",       model, "--adapter", adapter,  "-f",
                                      data,         "--window", "32",  "--device",  "cuda:0", NULL};
    expect(0, "device: cuda:0 (", perplexity); /* who did not ask for the card has to see it */
    assert_non_null(strstr(output, "perplexity"));
}

static void refusals_have_their_codes(void **state)
{
    (void)state;
    const char *run = tiny_path("%s/none", base);
    const char *words[] = {"train", "-m", model, "-d", data, "-o", run, "--device", "cuda", NULL, NULL, NULL};
    words[9] = "--compute", words[10] = "f32";
    expect(2, "cuda:0 computes in bf16", words);
    words[9] = "--max-memory", words[10] = "0.0001";
    expect(3, "allowed by --max-memory", words);
    if (getenv("YA_TEST_CUDA")) return; /* a card's memory is as large as it is */
    words[9] = NULL;
    setenv("YA_EMULATED_BYTES", "101000000", 1); /* the weights fit, and then nothing */
    expect(3, "free", words);
    setenv("YA_EMULATED_BYTES", "80000000", 1);
    expect(3, "the weights do not fit on emulator", words);
    unsetenv("YA_EMULATED_BYTES");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resumed_run_is_the_same),
        cmocka_unit_test(packed_adapters_change_no_run),
        cmocka_unit_test(its_adapter_is_used),
        cmocka_unit_test(refusals_have_their_codes),
    };
    if (!card_find()) return CARD_SKIPPED;
    return cmocka_run_group_tests(tests, setup, teardown);
}
