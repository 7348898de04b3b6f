/* choice_write: results and samples as lm-evaluation-harness 0.4 writes them, so that its tools and tables read them. */
#ifndef YA_EVAL_CHOICE_WRITE_H
#define YA_EVAL_CHOICE_WRITE_H

#include "eval/choice.h"

struct choice_report {
    const struct choice_set *set;
    const struct choice_scores *scores;
    const char *model, *adapter; /* adapter: NULL without */
    int64_t shots;
    const char *time; /* "2026-11-28T14-00-00.000000" */
};

/* DIR/MODEL/results_TIME.json and DIR/MODEL/samples_TASK_TIME.jsonl; MODEL is the model's name (and the adapter's) with "__"
 * for "/". As in the harness, MMLU is a task a subject (mmlu_anatomy) and a group "mmlu" of them, whose accuracy is the mean
 * over all items and whose error is pooled over subjects. What does not exist here is null: is_greedy of a continuation,
 * versions of libraries, hashes of the harness's own files (tools/check_lm_eval_files.py lists them). */
enum status choice_write(struct ctx *c, const struct choice_report *r, size_t n, const char *dir);

#endif
