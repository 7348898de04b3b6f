/* support_tokenizer: small tokenizers of tests/data/io/tokenizer, golden cases and folders made on the fly. */
#ifndef YA_TESTS_SUPPORT_TOKENIZER_H
#define YA_TESTS_SUPPORT_TOKENIZER_H

#include "io/json.h"
#include "io/tokenizer/tokenizer.h"

/* Opens a tokenizer and fails the test with the message when that fails. */
struct tokenizer *test_tokenizer(struct ctx *c, const char *path);
/* The one of tests/data/io/tokenizer/<name>. */
struct tokenizer *test_tokenizer_named(struct ctx *c, const char *name);

/* A folder whose tokenizer.json is that of <name>, with the files given as name and text, up to a NULL name. Made anew by
 * each call, under the build folder. */
const char *test_tokenizer_folder(const char *name, const char *const files[][2]);

/* Parses each line of a file of tests/data/io and calls run on it. Returns the number of lines. */
size_t test_each_line(struct ctx *c, const char *file, void (*run)(struct ctx *c, const json_t *row, void *user),
                      void *user);

/* Fails the test, showing both lists, unless the ids are those of a JSON list. */
void test_ids_equal(const struct ids *got, const json_t *want, const char *label);

#endif
