/* Comma-separated values: quotes, doubled quotes, line ends of every kind in and behind fields, empty fields, and what is
 * refused by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/csv_file.h"
#include "support_scratch.h"

static struct ctx *c;

static struct csv_file *open_bytes(const char *bytes, size_t n)
{
    char path[48];
    int fd = mkstemp(scratch_template(path, sizeof path, "csv"));
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
    struct csv_file *f = csv_file_open(c, path);
    unlink(path);
    return f;
}

/* All rows joined: fields by "|", rows by "/" with their line. */
static const char *flat(const char *text)
{
    static char out[1024];
    struct csv_row row;
    struct csv_file *f = open_bytes(text, strlen(text));
    out[0] = 0;
    while (f && csv_file_next(f, &row)) {
        sprintf(out + strlen(out), "/%d:", (int)row.line);
        for (size_t i = 0; i < row.n; i++) sprintf(out + strlen(out), "%s%s", i ? "|" : "", row.fields[i]);
    }
    csv_file_close(f);
    return out;
}

static void rows(void **state)
{
    (void)state;
    assert_string_equal(flat(""), "");
    assert_string_equal(flat("\n\r\n\n"), "");
    assert_string_equal(flat("a,b\nc"), "/1:a|b/2:c");
    assert_string_equal(flat("a,b\r\n\r\nc,d\r\n"), "/1:a|b/3:c|d");
    assert_string_equal(flat(",\n"), "/1:|");
    assert_string_equal(flat("a,"), "/1:a|");
    assert_string_equal(flat("\"\",\"a\"\n"), "/1:|a");
    assert_string_equal(flat("\"a,\"\"b\"\"\",c\n"), "/1:a,\"b\"|c");
    assert_string_equal(flat("\"two\nlines\",x\ny\n"), "/1:two\nlines|x/3:y");
    assert_string_equal(flat("say \"x\",y\n"), "/1:say \"x\"|y"); /* a quote inside a plain field is a letter */
    assert_string_equal(flat("\xef\xbb\xbf\"a\",b\n"), "/1:a|b");
    assert_string_equal(flat("\"\"\"\"\n"), "/1:\"");
    assert_true(ctx_ok(c));
}

static void refused(const char *bytes, size_t n, const char *says)
{
    struct csv_row row;
    struct csv_file *f = open_bytes(bytes, n);
    while (f && csv_file_next(f, &row)) {
    }
    csv_file_close(f);
    assert_int_equal(c->status, E_INPUT);
    if (!strstr(c->message, says)) fail_msg("'%s' lacks '%s'", c->message, says);
    ctx_clear(c);
}

static void refusals(void **state)
{
    (void)state;
    refused("a\n\"b", 4, ":2: a quote is not closed");
    refused("\"", 1, ":1: a quote is not closed");
    refused("\"a\"b\n", 5, ":1: text behind");
    refused("a\xff", 2, "UTF-8");
    refused("a\0b", 3, "NUL");
    char many[2 * CSV_FIELDS_MAX + 1];
    memset(many, ',', sizeof(many));
    refused(many, sizeof(many), ":1: more than 256 fields");
    assert_int_equal(c->alloc_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows), cmocka_unit_test(refusals)};
    c = ctx_new(NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ctx_free(c);
    return failed;
}
