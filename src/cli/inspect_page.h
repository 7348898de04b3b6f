/* inspect_page: what `inspect` found out, collected first and printed afterwards, so that a bad file gives one line of error
 * and no half a page. Text from files is never printed raw: a name must not move the cursor of a terminal. */
#ifndef YA_CLI_INSPECT_PAGE_H
#define YA_CLI_INSPECT_PAGE_H

#include "base/buf.h"
#include "io/json.h"
#include "io/tensor.h"

/* One named fact. As JSON: the literal `json`; in the table the same, strings without their quotes. */
struct inspect_fact {
    char *name, *json; /* owned */
};

/* A list of tensors, read through `at`. */
struct inspect_tensors {
    const char *title; /* file name; "" when the page is about one file */
    size_t n;
    const struct tensor_view *(*at)(const void *owner, size_t i);
    const void *owner; /* borrowed until the page is printed */
};

enum { INSPECT_MAX_LISTS = 4 };

struct inspect_page {
    struct ctx *c;
    const char *path, *kind;
    struct inspect_fact *facts; /* owned */
    size_t n_facts, room;
    struct inspect_tensors lists[INSPECT_MAX_LISTS];
    size_t n_lists;
};

/* An empty page about `path`, which is borrowed until the page is printed. Undone by inspect_page_release. */
void inspect_page_init(struct inspect_page *p, struct ctx *c, const char *path);
void inspect_page_release(struct inspect_page *p);

/* Add a fact: a string of n bytes, a number, or any JSON node. Failures stay in the ctx. */
void inspect_page_string(struct inspect_page *p, const char *name, const char *s, size_t n);
void inspect_page_i64(struct inspect_page *p, const char *name, int64_t v);
void inspect_page_f64(struct inspect_page *p, const char *name, double v);
void inspect_page_json(struct inspect_page *p, const char *name, const json_t *v);
void inspect_page_literal(struct inspect_page *p, const char *name, const char *json);

/* Prints everything to stdout, as a table or as one JSON document. */
enum status inspect_page_print(const struct inspect_page *p, bool json);

#endif
