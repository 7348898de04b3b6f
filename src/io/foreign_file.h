/* foreign_file: what a file is that was given in the place of a file of rows, so that the message says that, and what to do,
 * instead of where a JSON parser stopped. */
#ifndef YA_IO_FOREIGN_FILE_H
#define YA_IO_FOREIGN_FILE_H

#include "base/ctx.h"

/* `bytes` are the first n of the file (some hundred, or all). True when they are known to be something else than rows; then
 * E_INPUT or E_UNSUPPORTED "NAME: is ...: what to do" is recorded. */
bool foreign_file_refuse(struct ctx *c, const char *name, const char *bytes, size_t n);
/* The same for a file that its name makes a plain text: it may be a table, a web page or any other text, but not binary. */
bool foreign_file_refuse_text(struct ctx *c, const char *name, const char *bytes, size_t n);
/* Whether the first n bytes of a text are those of JSON rows: an object with a member, or a list of such. */
bool foreign_file_holds_rows(const char *bytes, size_t n);
/* After a row was refused: where its first byte shows that it was never a JSON object, the error becomes E_INPUT "WHAT: ..."
 * with what it begins with and how rows and texts are written. Other errors, and rows that begin with a byte that is no
 * printable character, stay as they are. */
void foreign_row_explain(struct ctx *c, const char *what, const char *bytes, size_t n);

#endif
