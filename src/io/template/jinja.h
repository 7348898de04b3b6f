/* jinja: runs a chat template, a program in the Jinja language that comes with a model, on one conversation. The text equals
 * that of transformers' apply_chat_template (jinja2 with trim_blocks and lstrip_blocks in an immutable sandbox). A template
 * reaches nothing but the variables that it is given, and its steps, nesting, memory and output are limited; what this
 * interpreter does not know is refused with its line. A template is immutable once it is open. */
#ifndef YA_IO_JINJA_H
#define YA_IO_JINJA_H

#include <jansson.h>
#include <time.h>

#include "base/ctx.h"

struct jinja_template; /* opaque */

enum { JINJA_SOURCE_MAX_BYTES = 256 << 10 };

/* Reads a template; `name` stands in front of messages. Errors: E_INPUT for what is no Jinja, E_UNSUPPORTED for a construct
 * that is Jinja and not supported here, each with its line; E_MEMORY. NULL on failure. */
struct jinja_template *jinja_open(struct ctx *c, const char *name, const char *source, size_t n);
void jinja_free(struct jinja_template *t); /* accepts NULL */
/* Whether the template marks what the assistant writes ({% generation %}). */
bool jinja_marks_generation(const struct jinja_template *t);
/* Whether the template reads the clock. */
bool jinja_reads_clock(const struct jinja_template *t);
/* Whether the template mentions a name anywhere: as a variable, an attribute or a string constant. */
bool jinja_mentions(const struct jinja_template *t, const char *name);

/* What a template sees. Both are JSON objects, name to value, or NULL; a member of `row` hides one of `fixed`. Text of `row`
 * comes from outside: the output says which of its bytes do. `now` is what strftime_now formats. */
struct jinja_input {
    const json_t *row, *fixed;
    struct tm now;
};

struct jinja_range {
    size_t start, end;
};

/* n bytes of UTF-8, and for each 1 if it came from a string of the row and 0 if the template wrote it; `marks` are the
 * places of the {% generation %} blocks, in the order in which they ended; `marks_lost`: one was inside of a macro or of a
 * captured block, where its place is not known. All owned: jinja_output_release. */
struct jinja_output {
    char *text;
    uint8_t *outside;
    size_t n;
    struct jinja_range *marks;
    size_t n_marks;
    bool marks_lost;
};

/* Renders into *out, which must be zeroed. E_INPUT when the template itself refuses (raise_exception), does what Python
 * would refuse, or exceeds a limit; E_UNSUPPORTED for what is not supported; each with the line. Nothing is left in *out
 * then. */
enum status jinja_render(struct ctx *c, const struct jinja_template *t, const struct jinja_input *in,
                         struct jinja_output *out);
void jinja_output_release(struct ctx *c, struct jinja_output *out);

#endif
