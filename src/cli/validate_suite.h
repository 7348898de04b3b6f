/* validate_suite: the part of `validate` that judges generated answers by phrases (eval/suite.h). */
#ifndef YA_CLI_VALIDATE_SUITE_H
#define YA_CLI_VALIDATE_SUITE_H

#include "cli/candidates.h"
#include "cli/prompt_ids.h"

struct validate_suite {
    const char *const *paths; /* (n_paths) files of prompts */
    size_t n_paths;
    const struct candidates *candidates;
    struct prompt_options form;
    int64_t max_tokens; /* 0: as the rows say */
    int64_t limit;      /* the first so many prompts; 0: all */
    const char *output; /* folder for a file of answers a candidate, or NULL */
    bool json;
};

/* Generates greedily under each candidate, judges, and prints for each suite of the files how many prompts every candidate
 * passes, beside the three controls; or a JSON object a suite and candidate or control. */
enum status validate_suite_run(const struct loaded *l, const struct validate_suite *v);

#endif
