/* compare_prompts: what candidates say to the same prompts, side by side: a part of `compare`. */
#ifndef YA_CLI_COMPARE_PROMPTS_H
#define YA_CLI_COMPARE_PROMPTS_H

#include "cli/candidates.h"
#include "cli/prompt_ids.h"

struct compare_prompts {
    const struct candidates *candidates;
    const char *const *prompts; /* (n_prompts) */
    size_t n_prompts;
    struct prompt_options form;
    int64_t max_tokens; /* new tokens at most */
    bool json;
};

/* Continues each prompt greedily under each candidate, and scores every continuation under every candidate: the sum of
 * ln p of its tokens. Prints a block for each prompt, or a JSON object a prompt and candidate. */
enum status compare_prompts_run(const struct loaded *l, const struct compare_prompts *v);

#endif
