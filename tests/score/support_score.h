/* support_score: documents and rules for the tests of the scorers. */
#ifndef YA_TESTS_SUPPORT_SCORE_H
#define YA_TESTS_SUPPORT_SCORE_H

#include <string.h>

#include "base/mem.h"
#include "score/score_common.h"

/* The built-in rules of a scorer, and counts for them. */
struct support_rules {
    struct ctx *c;
    struct rules *r;
    struct matcher_count *counts;
};
struct support_rules support_rules_open(struct ctx *c, bool original, enum scorer scorer);
void support_rules_close(struct support_rules *s);

/* A document without other members, and values of members. */
struct score_input support_input(const char *text);
struct score_value support_string(const char *text);
struct score_value support_integer(int64_t value);

#endif
