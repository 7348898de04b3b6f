/* member_list: see member_list.h. Rows of a file have few different members, so a list searched from its start does. */
#include "data/member_list.h"

#include <stdio.h>
#include <string.h>

void member_list_add(struct member_list *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++) {
        if (strncmp(l->items[i].name, name, MEMBER_NAME_BYTES - 1) != 0) continue;
        l->items[i].count++;
        return;
    }
    if (l->n == MEMBER_LIST_MAX) {
        l->others++;
        return;
    }
    snprintf(l->items[l->n].name, MEMBER_NAME_BYTES, "%s", name);
    l->items[l->n++].count = 1;
}

void member_list_print(const struct member_list *l, struct buf *out)
{
    for (size_t i = 0; i < l->n; i++)
        buf_printf(out, "%s%s (%lld)", i ? ", " : "", l->items[i].name, (long long)l->items[i].count);
    if (l->others) buf_printf(out, ", and others (%lld)", (long long)l->others);
}
