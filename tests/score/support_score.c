#include "score/support_score.h"

#include <stdio.h>
#include <stdlib.h>

struct support_rules support_rules_open(struct ctx *c, bool original, enum scorer scorer)
{
    struct support_rules s = {.c = c, .r = rules_open(c, NULL, original, scorer)};
    if (!s.r) {
        fprintf(stderr, "built-in rules: %s\n", c->message);
        abort();
    }
    s.counts = score_counts_new(c, s.r);
    return s;
}

void support_rules_close(struct support_rules *s)
{
    mem_free(s->c, s->counts);
    rules_free(s->c, s->r);
}

struct score_input support_input(const char *text)
{
    return (struct score_input){.text = text, .n = strlen(text)};
}

struct score_value support_string(const char *text)
{
    return (struct score_value){.kind = VALUE_STRING, .text = text, .n = strlen(text)};
}

struct score_value support_integer(int64_t value)
{
    static char literal[24];
    snprintf(literal, sizeof literal, "%lld", (long long)value);
    return (struct score_value){.kind = VALUE_INTEGER, .integer = value, .text = literal, .n = strlen(literal)};
}
