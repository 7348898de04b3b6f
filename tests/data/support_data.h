/* What the data tests share, beside the base tests' scratch folder and failing allocator: a tokenizer whose ids can be read
 * off the text, and files of rows.
 *
 * Ids: a byte is itself; 256 is "ab" (the one merge); <s> 257, </s> 258, <|im_start|> 259, <|im_end|> 260. ChatML. */
#ifndef YA_TESTS_SUPPORT_DATA_H
#define YA_TESTS_SUPPORT_DATA_H

#include "base/support_base.h"

#include "data/dataset.h"

enum { TOKEN_AB = 256, TOKEN_BOS, TOKEN_EOS, TOKEN_IM_START, TOKEN_IM_END };

struct tokenizer_kind {
    bool adds_bos, no_eos, no_template;
    const char *template; /* NULL: ChatML */
};
/* Writes the tokenizer's files into the scratch folder and opens them. */
struct tokenizer *byte_tokenizer(struct ctx *c, struct tokenizer_kind kind);

/* Writes a file of rows and returns its path. */
const char *write_rows(const char *name, const char *rows);

/* Rows -> "cache" -> open dataset, which the caller closes. Options default when NULL, but raw; fails the test on any error.
 */
struct dataset *make_dataset(struct ctx *c, const char *rows, const struct dataset_options *options);

#define DATA_TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)

#endif
