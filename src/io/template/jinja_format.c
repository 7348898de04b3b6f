/* jinja_format: str.format with plain fields: {}, {0}, {name}, {{ and }}. Fields with a format or a member ({x:>3}, {x.y})
 * are refused: no chat template that is in use needs them. */
#include <string.h>

#include "io/template/jinja_internal.h"

/* The value of a field; `next` is the number of the next {}. */
static enum status field_value(struct jinja_run *r, struct jinja_string field, const struct jinja_arguments *a, size_t *next,
                               struct jinja_value *out)
{
    size_t at = 0;
    bool digits = field.n > 0 && field.n < 4;
    for (size_t i = 0; i < field.n; i++) {
        if (strchr(".[:!", field.s[i])) return jinja_refuse(r, "the field {%.*s} of format", (int)field.n, field.s);
        digits = digits && field.s[i] >= '0' && field.s[i] <= '9';
        if (digits) at = at * 10 + (size_t)(field.s[i] - '0');
    }
    if (field.n == 0) at = (*next)++;
    if (field.n == 0 || digits) {
        if (at >= a->n_positional) return jinja_fail(r, "Replacement index %zu out of range for positional args tuple", at);
        *out = a->values[at];
        return OK;
    }
    for (size_t i = a->n_positional; i < a->n; i++)
        if (a->names[i].n == field.n && memcmp(a->names[i].s, field.s, field.n) == 0) {
            *out = a->values[i];
            return OK;
        }
    return jinja_fail(r, "'%.*s'", (int)field.n, field.s);
}

enum status jinja_format(struct jinja_run *r, struct jinja_string format, const struct jinja_arguments *a,
                         struct jinja_string *out)
{
    struct jinja_builder b = {.a = &r->arena};
    size_t next = 0;
    for (size_t i = 0; i < format.n; i++) {
        char ch = format.s[i];
        bool twice = i + 1 < format.n && format.s[i + 1] == ch;
        TRY(jinja_step(r, 1));
        if ((ch == '{' || ch == '}') && !twice) {
            const char *end = ch == '{' ? memchr(format.s + i, '}', format.n - i) : NULL;
            struct jinja_value v;
            if (!end) return jinja_fail(r, "Single '%c' encountered in format string", ch);
            size_t to = (size_t)(end - format.s);
            TRY(field_value(r, jinja_part(format, i + 1, to), a, &next, &v));
            TRY(jinja_print(r, &v, &b));
            i = to;
            continue;
        }
        if (ch == '{' || ch == '}') i++;
        jinja_builder_append(&b, jinja_part(format, i, i + 1));
    }
    *out = jinja_builder_string(&b);
    return r->c->status;
}
