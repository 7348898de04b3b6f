/* validate_choice: the part of `validate` that measures benchmarks of multiple choice. */
#ifndef YA_CLI_VALIDATE_CHOICE_H
#define YA_CLI_VALIDATE_CHOICE_H

#include "cli/loaded.h"
#include "eval/choice.h"

/* "conflict" is index 0 of --benchmark; these follow. */
#define VALIDATE_CHOICES "|truthfulqa|arc|hellaswag|mmlu"

struct validate_choice {
    int benchmark; /* index of --benchmark, not 0 */
    struct choice_options options;
    const char *model, *adapter; /* adapter: PEFT folder or file, or NULL */
    const char *const *runs;     /* (n_runs) run folders; their adapter/ is measured */
    size_t n_runs;
    const char *output; /* folder for files in the harness's form, or NULL */
    bool force;         /* adapters are measured though they were made for another model */
    bool json;
};

/* Measures the base model and each adapter, prints a table (or a JSON object a task and model), writes files. */
enum status validate_choice_run(const struct loaded *l, const struct validate_choice *v);

#endif
