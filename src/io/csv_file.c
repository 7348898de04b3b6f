/* csv_file: see csv_file.h. Fields are taken apart in place: a field is never longer than its bytes in the file. */
#include "io/csv_file.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/utf8.h"

struct csv_file {
    struct ctx *c;
    char *path, *text; /* owned */
    char *p, *end;     /* what is left; *end is NUL */
    int64_t line;
};

struct csv_file *csv_file_open(struct ctx *c, const char *path)
{
    struct csv_file *f = mem_alloc(c, 1, sizeof(*f));
    size_t n = 0;
    if (!f) return NULL;
    f->c = c;
    f->line = 1;
    f->path = mem_strdup(c, path);
    f->text = file_read(c, path, CSV_FILE_CAP_BYTES, &n);
    if (f->text && utf8_check(f->text, n) != n)
        ctx_fail(c, E_INPUT, "%s: is not UTF-8 (byte %zu)", path, utf8_check(f->text, n));
    if (f->text && ctx_ok(c) && memchr(f->text, 0, n)) ctx_fail(c, E_INPUT, "%s: holds a NUL byte", path);
    if (!f->text || !f->path || !ctx_ok(c)) {
        csv_file_close(f);
        return NULL;
    }
    f->p = f->text;
    f->end = f->text + n;
    if (n >= 3 && memcmp(f->p, "\xef\xbb\xbf", 3) == 0) f->p += 3;
    return f;
}

void csv_file_close(struct csv_file *f)
{
    if (!f) return;
    mem_free(f->c, f->path);
    mem_free(f->c, f->text);
    mem_free(f->c, f);
}

/* A quoted field, f->p behind its first quote: *start is its text and *stop the end of it. */
static enum status read_quoted(struct csv_file *f, char **start, char **stop)
{
    int64_t line = f->line;
    *start = *stop = f->p;
    for (; f->p < f->end; f->p++) {
        if (*f->p == '\n') f->line++;
        if (*f->p == '"' && f->p[1] != '"') break;
        if (*f->p == '"') f->p++;
        *(*stop)++ = *f->p;
    }
    if (f->p == f->end) return ctx_fail(f->c, E_INPUT, "%s:%lld: a quote is not closed", f->path, (long long)line);
    f->p++;
    if (f->p < f->end && !strchr(",\r\n", *f->p))
        return ctx_fail(f->c, E_INPUT, "%s:%lld: text behind the closing quote of a field", f->path, (long long)f->line);
    return OK;
}

static void csv_file_read_plain(struct csv_file *f, char **start, char **stop)
{
    *start = f->p;
    f->p += strcspn(f->p, ",\r\n");
    *stop = f->p;
}

/* Passes over one line end, "\n", "\r\n" or "\r". */
static void pass_line_end(struct csv_file *f)
{
    if (*f->p == '\r') f->p++;
    if (*f->p == '\n') f->p++;
    f->line++;
}

/* Whether a field follows: true behind a comma. The end of the last field is overwritten with NUL only now, as it may be the
 * comma or line end itself. */
static bool end_field(struct csv_file *f, char *stop)
{
    bool more = f->p < f->end && *f->p == ',';
    if (more)
        f->p++;
    else if (f->p < f->end)
        pass_line_end(f);
    *stop = 0;
    return more;
}

bool csv_file_next(struct csv_file *f, struct csv_row *out)
{
    while (f->p < f->end && (*f->p == '\r' || *f->p == '\n')) pass_line_end(f);
    if (f->p == f->end || !ctx_ok(f->c)) return false;
    out->n = 0;
    out->line = f->line;
    for (bool more = true; more;) {
        char *start, *stop;
        if (out->n == CSV_FIELDS_MAX) {
            ctx_fail(f->c, E_INPUT, "%s:%lld: more than %d fields", f->path, (long long)out->line, CSV_FIELDS_MAX);
            return false;
        }
        if (f->p < f->end && *f->p == '"') {
            f->p++;
            if (read_quoted(f, &start, &stop) != OK) return false;
        } else {
            csv_file_read_plain(f, &start, &stop);
        }
        more = end_field(f, stop);
        out->fields[out->n++] = start;
    }
    return true;
}
