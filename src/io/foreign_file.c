/* foreign_file: see foreign_file.h. Formats are known by the numbers that they begin with, tables of text by a first line of
 * column names among which is one that training rows have. */
#include "io/foreign_file.h"

#include <ctype.h>
#include <string.h>

#include "io/lfs_pointer.h"

/* What a kind of file begins with, and what to say of it. */
static const struct signature {
    size_t at, n;
    const char *bytes;
    const char *what; /* "is WHAT" */
} signatures[] = {
    {0, 4, "\xff\xfe\0\0", "UTF-32 text: convert it with iconv -f UTF-32 -t UTF-8"},
    {0, 4, "\0\0\xfe\xff", "UTF-32 text: convert it with iconv -f UTF-32 -t UTF-8"},
    {0, 2, "\xff\xfe", "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8"},
    {0, 2, "\xfe\xff", "UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8"},
    {0, 2, "{\0", "UTF-16 text: convert it with iconv -f UTF-16LE -t UTF-8"},
    {0, 2, "[\0", "UTF-16 text: convert it with iconv -f UTF-16LE -t UTF-8"},
    {0, 2, "\0{", "UTF-16 text: convert it with iconv -f UTF-16BE -t UTF-8"},
    {0, 2, "\0[", "UTF-16 text: convert it with iconv -f UTF-16BE -t UTF-8"},
    {0, 4, "PK\3\4", "a ZIP archive (or a spreadsheet, which is one): unpack it and give the JSON Lines file in it"},
    {257, 5, "ustar", "a tar archive: unpack it and give the files of rows in it"},
    {0, 3, "BZh", "packed by bzip2: unpack it with bunzip2, or pipe it (bzcat FILE | your_ai ... -d -)"},
    {0, 6,
     "\xfd"
     "7zXZ\0",
     "packed by xz: unpack it with unxz, or pipe it (xzcat FILE | your_ai ... -d -)"},
    {0, 6, "7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it and give the JSON Lines file in it"},
    {0, 4, "\x04\x22\x4d\x18", "packed by lz4: unpack it with unlz4, or pipe it (lz4cat FILE | your_ai ... -d -)"},
    {0, 6, "ARROW1", "an Arrow (Feather) file: save the table as JSON Lines or Parquet"},
    {0, 4, "\xff\xff\xff\xff", "an Arrow stream: save the table as JSON Lines or Parquet"},
    {0, 4, "PARE", "an encrypted Parquet file, which is not read here: save it without encryption"},
    {0, 4, "ORC", "an ORC file: save the table as JSON Lines or Parquet"},
    {0, 4, "Obj\1", "an Avro file: save the table as JSON Lines or Parquet"},
    {0, 15, "SQLite format 3", "an SQLite database: export the rows as JSON Lines"},
    {0, 4, "\x89HDF", "an HDF5 file: save the rows as JSON Lines"},
    {0, 5, "%PDF-", "a PDF document: training rows are JSON Lines or plain text (a file called *.txt)"},
    {0, 4, "GGUF", "a GGUF model: models are given by -m"},
    {0, 9, "<!DOCTYPE", "a web page, perhaps an error page that was saved in the place of the file: download it again"},
    {0, 9, "<!doctype", "a web page, perhaps an error page that was saved in the place of the file: download it again"},
    {0, 5, "<html", "a web page, perhaps an error page that was saved in the place of the file: download it again"},
    {6, 3, "\0\0{", "a safetensors file: models are given by -m, adapters by --adapter"},
    {0, 2, "\x1f\x8b", "packed twice: unpack it once (gunzip)"},
    {0, 4, "\x28\xb5\x2f\xfd", "packed twice: unpack it once (unzstd)"},
    {0, 2, "\x80\2", "a Python pickle, which can carry code and is not read: save the rows as JSON Lines"},
    {0, 2, "\x80\3", "a Python pickle, which can carry code and is not read: save the rows as JSON Lines"},
    {0, 2, "\x80\4", "a Python pickle, which can carry code and is not read: save the rows as JSON Lines"},
    {0, 2, "\x80\5", "a Python pickle, which can carry code and is not read: save the rows as JSON Lines"},
    {0, 6, "\x93NUMPY", "a NumPy array: training rows are JSON Lines, Parquet or plain text"},
    {0, 5, "<?xml", "an XML document: training rows are JSON Lines"},
};

/* ---- tables of text ---- */

/* The name of a column, without quotes; false when it could not be one. */
static bool is_column_name(const char *at, size_t n)
{
    if (n == 0 || n > 64) return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)at[i]) && !strchr("_- .\"", at[i])) return false;
    return true;
}

/* Whether a column has a name that tables of training rows use. */
static bool is_known_name(const char *at, size_t n)
{
    static const char *const known[] = {"text",     "prompt",   "completion",    "messages", "instruction", "input",
                                        "output",   "response", "conversations", "question", "answer",      "content",
                                        "response", "label",    "auth_weight",   "title",    "id"};
    if (n > 1 && at[0] == '"' && at[n - 1] == '"') {
        at++;
        n -= 2;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i]) == n && memcmp(known[i], at, n) == 0) return true;
    return false;
}

/* Whether a line is a header: at least two names between separators, one of them known. */
static bool is_header(const char *line, size_t n, char separator)
{
    bool known = false;
    size_t names = 0;
    for (size_t from = 0; from <= n; names++) {
        const char *end = memchr(line + from, separator, n - from);
        size_t k = end ? (size_t)(end - line) - from : n - from;
        if (!is_column_name(line + from, k)) return false;
        known |= is_known_name(line + from, k);
        from += k + 1;
    }
    return known && names >= 2;
}

/* CSV and TSV have no magic number, but their first line names columns. */
static bool refuse_table(struct ctx *c, const char *name, const char *bytes, size_t n)
{
    static const struct {
        char separator;
        const char *kind, *option;
    } kinds[] = {{',', "CSV", "--icsv"}, {'\t', "TSV", "--itsv"}, {';', "CSV", "--icsv --ifs semicolon"}};
    const char *end = memchr(bytes, '\n', n);
    size_t line = end ? (size_t)(end - bytes) : n;
    if (line > 0 && bytes[line - 1] == '\r') line--;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (!is_header(bytes, line, kinds[i].separator)) continue;
        ctx_fail(
            c, E_INPUT,
            "%s: is a %s table, whose first line names the columns: convert it to JSON Lines (with Miller: mlr %s --ojsonl "
            "cat FILE) or Parquet",
            name, kinds[i].kind, kinds[i].option);
        return true;
    }
    return false;
}

/* ---- what is asked --------------------------------------------------------------------------------------------------- */

/* Whether a format is known by bytes that no text has. Of the others a plain text may begin with the name. */
static bool is_binary(const struct signature *s)
{
    for (size_t i = 0; i < s->n; i++)
        if ((unsigned char)s->bytes[i] < 9 || (unsigned char)s->bytes[i] > 126) return true;
    return false;
}

/* Refuses what begins like one of the formats, or of those that are binary. */
static bool refuse_signature(struct ctx *c, const char *name, const char *bytes, size_t n, bool binary_only)
{
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        const struct signature *s = &signatures[i];
        if (n < s->at + s->n || memcmp(bytes + s->at, s->bytes, s->n) != 0 || (binary_only && !is_binary(s))) continue;
        ctx_fail(c, E_INPUT, "%s: is %s", name, s->what);
        return true;
    }
    return false;
}

bool foreign_file_refuse(struct ctx *c, const char *name, const char *bytes, size_t n)
{
    return lfs_pointer_refuse(c, name, bytes, n) || refuse_signature(c, name, bytes, n, false) ||
           refuse_table(c, name, bytes, n);
}

bool foreign_file_refuse_text(struct ctx *c, const char *name, const char *bytes, size_t n)
{
    return lfs_pointer_refuse(c, name, bytes, n) || refuse_signature(c, name, bytes, n, true);
}

/* The first byte behind white space, from `at` on; 0 at the end. */
static char next_mark(const char *bytes, size_t n, size_t *at)
{
    while (*at < n && strchr(" \t\r\n", bytes[*at]) && bytes[*at]) ++*at;
    return *at < n ? bytes[(*at)++] : '\0';
}

bool foreign_file_holds_rows(const char *bytes, size_t n)
{
    size_t at = 0;
    char mark = next_mark(bytes, n, &at);
    if (mark == '[') mark = next_mark(bytes, n, &at);
    return mark == '{' && next_mark(bytes, n, &at) == '"';
}

void foreign_row_explain(struct ctx *c, const char *what, const char *bytes, size_t n)
{
    size_t at = 0;
    char mark = next_mark(bytes, n, &at);
    if (c->status != E_INPUT || mark == '{' || mark < '!' || mark > '~') return;
    ctx_clear(c);
    if (mark == ',')
        ctx_fail(c, E_INPUT, "%s: a comma between two rows: JSON Lines have none, and an array stands between [ and ]",
                 what);
    else if (mark == '[')
        ctx_fail(c, E_INPUT,
                 "%s: a row must be a JSON object, {...}, and this one is a list: a conversation is {\"messages\": [...]}",
                 what);
    else
        ctx_fail(c, E_INPUT,
                 "%s: a row must be a JSON object, {...}, and this one begins with '%c': a text is {\"text\": \"...\"}, or "
                 "a file of "
                 "its own whose name ends in .txt",
                 what, mark);
}
