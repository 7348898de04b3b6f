/* jinja_filter: what the filters share. Filters of single values are in jinja_filter.c, of lists in jinja_filter_list.c. */
#ifndef YA_IO_JINJA_FILTER_H
#define YA_IO_JINJA_FILTER_H

#include "io/template/jinja_internal.h"

enum { JINJA_FILTER_ARGUMENTS = 4 };

/* One use of a filter: v | name(a). Filters fill *out, which is none before. */
struct jinja_filter_call {
    struct jinja_run *r;
    struct jinja_string name; /* as the template has it: one function may serve several filters */
    const struct jinja_value *v;
    const struct jinja_arguments *a;                 /* as they were given */
    struct jinja_value args[JINJA_FILTER_ARGUMENTS]; /* bound to the filter's parameters; undefined: not given */
    struct jinja_value *out;
};

struct jinja_filter {
    const char *name;
    enum status (*apply)(struct jinja_filter_call *f);
    const char *parameters[JINJA_FILTER_ARGUMENTS]; /* for jinja_call_bind, up to a NULL */
    bool own; /* the filter reads `a` itself, since it takes any number of arguments; nothing is bound */
};

/* The filters of jinja_filter_list.c. */
extern const struct jinja_filter jinja_filter_lists[];
extern const size_t jinja_filter_n_lists;

/* Whether the template gave this argument. */
static inline bool jinja_filter_given(const struct jinja_value *v)
{
    return v->kind != JINJA_UNDEFINED;
}

/* An argument as bool or int, `otherwise` when it was not given. An int is refused (E_INPUT) as Python does for other types.
 */
bool jinja_filter_flag(const struct jinja_value *v, bool otherwise);
enum status jinja_filter_int(struct jinja_filter_call *f, const struct jinja_value *v, int64_t otherwise, int64_t *out);

#endif
