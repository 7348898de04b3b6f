/* choice_text: how the benchmarks of choice.h put their texts together, as lm-evaluation-harness does. */
#ifndef YA_EVAL_CHOICE_TEXT_H
#define YA_EVAL_CHOICE_TEXT_H

#include "base/buf.h"

/* HellaSwag's cleaning: white space at both ends goes, " [title]" becomes ". ", what stands in brackets goes, and of two
 * spaces one stays (one pass from the left). Appends to *out. */
void choice_clean(const char *text, struct buf *out);

/* Python's str.capitalize: the first character as a title's, all others in lower case, character by character. Appends. */
void choice_capitalize(const char *text, struct buf *out);

/* Python's str.strip: the range of `text` without white space at its ends. */
void choice_strip(const char *text, size_t n, size_t *start, size_t *stop);

extern const char choice_truthfulqa_primer[]; /* the six questions in front of every question of TruthfulQA */

#endif
