/* spill: arrays that grow beyond what a command may hold in memory. They share a budget; an array that would exceed it moves
 * to a temporary file without a name (temporary.h) and is from there on a mapping of it: its pages are the
 * system's, which writes them out when memory is wanted for something else. Space on the disk is taken before it is used, so
 * a full disk is an error of the call that grows an array and never a fault of a store. */
#ifndef YA_BASE_SPILL_H
#define YA_BASE_SPILL_H

#include "base/ctx.h"

struct spill_budget {
    size_t left; /* bytes of memory that arrays may still take; 0 from the start: all of them are files */
};

struct spill; /* one array; opaque */

/* An empty array. Both must outlive it. Owner: the caller. NULL with E_MEMORY. */
struct spill *spill_new(struct ctx *c, struct spill_budget *budget);
void spill_free(struct spill *s); /* accepts NULL */

/* Makes room for count elements of `size` bytes; those behind the former end are zeroed, and the array may move. Never makes
 * it smaller. Returns the first element; NULL with E_IO (no space, no folder), E_MEMORY or E_INPUT, the array as it was. */
void *spill_resize(struct spill *s, size_t count, size_t size);
/* Whether the array is a file by now. */
bool spill_is_file(const struct spill *s);

#endif
