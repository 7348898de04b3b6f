/* resource: a doubly linked list of what a ctx has to give back (descriptors, mappings, temporaries) when a panic ends it.
 * An owner that ends in the ordinary way takes its resource off the list and releases it itself. */
#include "base/resource.h"

void resource_hold(struct ctx *c, struct resource *r, void (*release)(struct resource *r))
{
    *r = (struct resource){.next = c->resources, .release = release};
    if (r->next) r->next->previous = r;
    c->resources = r;
}

void resource_drop(struct ctx *c, struct resource *r)
{
    if (r->previous)
        r->previous->next = r->next;
    else
        c->resources = r->next;
    if (r->next) r->next->previous = r->previous;
}

void resource_release_all(struct ctx *c)
{
    for (struct resource *r = c->resources, *next; r; r = next) {
        next = r->next;
        r->release(r);
    }
    c->resources = NULL;
}
