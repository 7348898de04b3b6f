/* row_path: takes PATH:WEIGHT apart. A colon may also belong to a file's name, so what follows the last colon is a weight
 * only if it is a number and no file has the whole name. "rows.jsonl:2" is the file rows.jsonl counted twice, unless a file
 * called "rows.jsonl:2" exists. */
#include "data/row_path.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/records.h"

/* The number behind the colon; NULL when what stands there is none. strtod would take "0x10", "nan" and "inf", and a decimal
 * comma in some locales. */
static const char *find_weight(const char *text, double *weight)
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (!colon || colon == text || !colon[1] || strspn(colon + 1, "0123456789.eE+-") != strlen(colon + 1)) return NULL;
    *weight = str_to_double(colon + 1, &end);
    return *end ? NULL : colon;
}

enum status row_path_parse(struct ctx *c, const char *text, struct row_path *out)
{
    double weight = 1;
    const char *colon = find_weight(text, &weight);
    bool whole = colon && file_exists(text);
    *out = (struct row_path){.weight = 1};
    size_t n = colon && !whole ? (size_t)(colon - text) : strlen(text);
    out->path = mem_strndup(c, text, n);
    if (!out->path) return c->status;
    if (colon && !whole) {
        if (!(weight > 0 && weight <= RECORDS_LOSS_WEIGHT_MAX))
            ctx_fail(c, E_INPUT, "%s: the weight of a file is above 0 and at most %d", text, RECORDS_LOSS_WEIGHT_MAX);
        out->weight = weight;
    } else if (whole) {
        char *other = mem_strndup(c, text, (size_t)(colon - text));
        if (other && file_exists(other))
            ctx_fail(c, E_INPUT,
                     "%s: there is a file of this name and one called %s: which is meant? Give the weight, too (%s:1)", text,
                     other, text);
        mem_free(c, other);
    }
    if (!ctx_ok(c)) row_path_release(c, out);
    return c->status;
}

void row_path_release(struct ctx *c, struct row_path *p)
{
    mem_free(c, p->path);
    p->path = NULL;
}

bool row_path_is_stdin(const struct row_path *p)
{
    return strcmp(p->path, "-") == 0;
}
