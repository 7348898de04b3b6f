/* validate_choice: the part of `validate` that measures benchmarks of multiple choice. */
#ifndef YA_CLI_VALIDATE_CHOICE_H
#define YA_CLI_VALIDATE_CHOICE_H

#include "cli/candidates.h"
#include "eval/choice.h"

/* "conflict" is index 0 of --benchmark; these follow. */
#define VALIDATE_CHOICES "|truthfulqa|arc|hellaswag|mmlu"

struct validate_choice {
    int benchmark; /* index of --benchmark, not 0 */
    struct choice_options options;
    const char *model;
    const struct candidates *candidates; /* differences are against the first one */
    const char *output;                  /* folder for files in the harness's form, or NULL */
    bool json;
};

/* Measures each candidate, prints a table (or a JSON object a task and candidate), writes files. */
enum status validate_choice_run(const struct loaded *l, const struct validate_choice *v);

#endif
