/* sources: what a file's name says about its rows, which member of a raw row is its text, and where the original system took
 * its rows from: data/prepare/sources.json, built into the program. Nothing is fetched. */
#ifndef YA_PREPARE_SOURCES_H
#define YA_PREPARE_SOURCES_H

#include "io/json.h"

enum { SOURCES_MAX_BYTES = 1 << 20, SOURCES_FIELDS_MAX = 64 };

/* The built-in file, byte for byte. */
extern const char sources_text[];

struct sources {
    json_t *doc;                            /* all strings lie in it */
    const char *fields[SOURCES_FIELDS_MAX]; /* members that may hold a row's text, the first that does wins */
    size_t n_fields;
};

/* The file, or the built-in one for NULL. E_INPUT for one that says anything else than it may, E_UNSUPPORTED for another
 * "format", and the errors of json_parse_file. *s is to be released in any case. */
enum status sources_open(struct sources *s, struct ctx *c, const char *path);
/* Frees the document, and with it all strings. A zeroed one may be released. */
void sources_release(struct sources *s);

/* The source_type of the first rule one of whose words is in the file's name (its last part, in any case), or NULL. */
const char *sources_kind(const struct sources *s, const char *path);

#endif
