/* samples: what the model answers to a few prompts of a run before and after its training, as RUN/samples.json:
 *
 *   {"version": 1, "tokens": 32, "step": 120, "samples": [{"row": "/rows.jsonl:3", "prompt": "...", "expected": "...",
 *    "before": "...", "after": "..."}]}
 *
 * step is that of the adapter that "after" was made with. Until the training is done there is no step, and "after" is null.
 * Prompts are ids and answers are greedy, so the same run gives the same bytes. */
#ifndef YA_RUNS_SAMPLES_H
#define YA_RUNS_SAMPLES_H

#include "base/ctx.h"

enum { SAMPLES_MAX = 16, SAMPLES_TOKENS = 32, SAMPLES_TEXT_BYTES = 1 << 16 };

struct sample_answer {
    char *row, *prompt, *expected, *before; /* owned, UTF-8 as far as the model's tokens are; never NULL */
    char *after;                            /* owned; NULL: the training is not done */
};

struct samples {
    struct ctx *c;
    struct sample_answer list[SAMPLES_MAX];
    size_t n;
    int64_t step; /* of `after`; 0: not done */
};

/* Reads RUN/samples.json, or n bytes of one; without the file there are none, and all is well. E_INPUT naming the member
 * that samples_write does not write, E_IO, E_MEMORY. Released with samples_release, also after a failure. */
enum status samples_read(struct ctx *c, const char *run, struct samples *s);
enum status samples_parse(struct ctx *c, const char *what, const char *text, size_t n, struct samples *s);
void samples_release(struct samples *s);

/* Writes the file, in the place of one that is there. E_IO, E_MEMORY. */
enum status samples_write(const struct samples *s, const char *run);

#endif
