/* options_json: the values of an option table (base/options.h) as a JSON object and back: the config.json of a run. */
#ifndef YA_IO_OPTIONS_JSON_H
#define YA_IO_OPTIONS_JSON_H

#include "base/options.h"
#include "io/json.h"

/* All values as a JSON object, keys the option names, in table order. Owner the caller (json_decref); NULL with E_INPUT
 * naming an option whose text is not UTF-8, or E_MEMORY. */
json_t *options_to_json(struct ctx *c, const struct option_table *table, const void *values);

/* The way back, with the same checks. Keys that are no option and missing ones are E_INPUT naming `what`: a config of
 * another version must not be half understood. Strings point into `doc`, which must outlive the values. */
enum status options_from_json(struct ctx *c, const struct option_table *table, const char *what, const json_t *doc,
                              void *values);

#endif
