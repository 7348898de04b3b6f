/* history: what a run wrote down while it trained, read back: metrics.jsonl and timing.jsonl as arrays.
 *
 * A run that is still training may be read at any moment. Lines are appended with one write each, so at most the last one is
 * incomplete: it is left out and `torn` says so. Everything else that is not as metrics.c writes it is refused by file and
 * line. After a resume timing.jsonl has some steps twice; the later line counts. */
#ifndef YA_RUNS_HISTORY_H
#define YA_RUNS_HISTORY_H

#include "train/metrics.h"

/* More lines than this are refused: about 600 MiB in memory. */
enum { HISTORY_LINES_MAX = 4000000 };

/* Loss and weight of one source over the run (train/source_loss.h). */
struct history_source {
    enum source_by by;
    char *name;     /* owned; NULL: the rows without a source_type, or the others */
    int64_t others; /* how many sources it stands for; 0: it is one */
    struct history_source_point {
        int64_t step, trained_tokens;
        double weight_share, loss, weighted_loss;
    } * points; /* (n) of the steps, or of the validations, that have the source */
    size_t n, room;
};
enum { HISTORY_SOURCES_MAX = 64 };

/* What was not a number (null in the file) is NaN; clip_threshold is infinity. Owner of the arrays: the history. */
struct history {
    struct ctx *c;
    struct metrics_step *steps; /* (n_steps) in ascending order of their steps */
    struct metrics_eval *evals; /* (n_evals) likewise; one of step 0 was made before the first update */
    struct metrics_timing *timings;
    size_t n_steps, n_evals, n_timings;
    size_t steps_room, evals_room, timings_room;
    struct history_source *sources, *valid_sources; /* in the order in which they first stand in the file */
    size_t n_sources, n_valid_sources;
    bool torn; /* the last line of metrics.jsonl is incomplete */
};

/* Reads both files of a run folder; timing.jsonl may be missing. E_INPUT naming file and line, E_IO, E_MEMORY; the history
 * is empty then. Undone by history_release. */
enum status history_read(struct ctx *c, const char *run, struct history *h);
void history_release(struct history *h);

/* The same from the text of each file, which `path` names in messages; *h is empty (with its ctx) or has been given the
 * other one. */
enum status history_add_metrics(struct history *h, const char *path, const char *text, size_t n);
enum status history_add_timing(struct history *h, const char *path, const char *text, size_t n);

/* Mean of `loss` over up to n steps that begin at index `from`, each by its trained tokens; NaN where there are none. */
double history_mean_loss(const struct history *h, size_t from, size_t n);

#endif
