/* choice: benchmarks of multiple choice, scored as lm-evaluation-harness 0.4 scores them: each choice is a continuation of
 * the context, and the one with the largest log-likelihood is the answer.
 *
 * Context and continuation are tokenised together and cut at the number of tokens of the context alone; spaces at the end of
 * the context go to the continuation. What is longer than the model's context loses tokens at its left. `acc` takes the
 * largest sum, `acc_norm` the largest sum per character of the choice without the space in front; the first one wins a tie.
 * For truthfulqa_mc2, `acc` is the share of probability of the true answers. Differences: text that spells a control token
 * is plain text here, and mc2 is computed so that it does not underflow. */
#ifndef YA_EVAL_CHOICE_H
#define YA_EVAL_CHOICE_H

#include "engine/engine.h"
#include "io/json.h"
#include "io/tokenizer/tokenizer.h"

enum choice_task { CHOICE_TRUTHFULQA_MC1, CHOICE_TRUTHFULQA_MC2, CHOICE_ARC, CHOICE_HELLASWAG, CHOICE_MMLU, CHOICE_TASKS };
extern const char *const choice_task_name[CHOICE_TASKS]; /* "truthfulqa_mc1", ... */

enum { CHOICE_MOST = 256 /* choices of an item */ };

/* One question. All owned by its set. */
struct choice_item {
    char *context, *subject; /* subject: of MMLU, else NULL */
    char **choices;          /* without the space in front */
    bool *is_true;           /* of truthfulqa_mc2: which choices are true; else NULL */
    size_t n;
    size_t gold; /* index of the right choice; unused by truthfulqa_mc2 */
    json_t *row; /* as it was read */
};

struct choice_set {
    struct ctx *c;
    enum choice_task task;
    struct choice_item *items;
    size_t n;
};

struct choice_options {
    const char *const *paths; /* files of rows: JSON Lines, JSON, Parquet, or CSV by its name */
    size_t n_paths;
    const char *shots_path; /* MMLU: rows of the dev split, or NULL */
    int64_t shots;          /* how many of a subject's first rows are put in front */
    int64_t limit;          /* the first so many items; 0: all */
};

/* Reads rows in the forms in which a benchmark is published (docs/eval.md has them). NULL with E_INPUT naming file, row and
 * member. Owner of the result: the caller. */
struct choice_set *choice_open(struct ctx *c, enum choice_task task, const struct choice_options *o);
void choice_close(struct choice_set *s); /* accepts NULL */

/* Log-likelihoods and scores of one item. */
struct choice_score {
    double *loglik; /* (n), owned by choice_scores */
    double acc, acc_norm;
};

struct choice_scores {
    struct ctx *c;
    struct choice_score *items; /* (n) */
    double *logliks;
    size_t n;
};

/* Measures every item under the engine's weights and adapter. Release *out with choice_scores_release, also after a failure.
 */
enum status choice_measure(struct engine *e, const struct tokenizer *t, const struct choice_set *s,
                           struct choice_scores *out);
void choice_scores_release(struct choice_scores *s);

/* Mean and its standard error, sd / sqrt(n) with n - 1 (0 for one value). */
struct choice_mean {
    double mean, error;
};
struct choice_mean choice_acc(const struct choice_scores *s);
struct choice_mean choice_acc_norm(const struct choice_scores *s);
/* The difference of acc between two runs on the same items, with the standard error of paired differences. */
struct choice_mean choice_difference(const struct choice_scores *a, const struct choice_scores *b);
/* Whether a task is reported with acc_norm. */
bool choice_has_norm(enum choice_task task);

/* Scores one item from its log-likelihoods. */
void choice_score_item(enum choice_task task, const struct choice_item *item, struct choice_score *score);

#endif
