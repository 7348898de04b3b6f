/* member_list: names of JSON members that were met and not used, each with its count, so that they can be listed once. */
#ifndef YA_DATA_MEMBER_LIST_H
#define YA_DATA_MEMBER_LIST_H

#include "base/buf.h"

enum { MEMBER_LIST_MAX = 32, MEMBER_NAME_BYTES = 64 };

/* Bounded: names beyond the limit are only counted together, long ones are cut. All zero is the empty list. */
struct member_list {
    struct {
        char name[MEMBER_NAME_BYTES];
        int64_t count;
    } items[MEMBER_LIST_MAX];
    size_t n;
    int64_t others;
};

/* Counts a member of this name. Cannot fail: the list is bounded. */
void member_list_add(struct member_list *l, const char *name);
/* Appends "id (40), url (38)". */
void member_list_print(const struct member_list *l, struct buf *out);

#endif
