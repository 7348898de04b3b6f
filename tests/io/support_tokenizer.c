#include "support_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "support_file.h"

struct tokenizer *test_tokenizer(struct ctx *c, const char *path)
{
    struct tokenizer *t = tokenizer_open(c, path);
    if (!t) fail_msg("cannot open test data %s: %s", path, c->message);
    return t;
}

struct tokenizer *test_tokenizer_named(struct ctx *c, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/io/tokenizer/%s", TEST_DATA, name);
    return test_tokenizer(c, path);
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

const char *test_tokenizer_folder(const char *name, const char *const files[][2])
{
    static char folder[512];
    char path[1024], target[1024];
    struct ctx *c = ctx_new(NULL);
    snprintf(folder, sizeof folder, "%s/tokenizer_folder.%d", BUILD_DIR, (int)getpid());
    if (dir_exists(folder)) assert_int_equal(dir_remove(c, folder), OK);
    assert_int_equal(dir_make(c, folder), OK);
    ctx_free(c);
    snprintf(target, sizeof target, "%s/io/tokenizer/%s/tokenizer.json", TEST_DATA, name);
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    assert_int_equal(symlink(target, path), 0);
    for (size_t i = 0; files[i][0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i][0]);
        write_text(path, files[i][1]);
    }
    return folder;
}

size_t test_each_line(struct ctx *c, const char *file, void (*run)(struct ctx *c, const json_t *row, void *user), void *user)
{
    char path[512];
    size_t n, lines = 0;
    snprintf(path, sizeof path, "%s/io/%s", TEST_DATA, file);
    char *bytes = test_load(path, &n);
    for (char *at = bytes; *at;) {
        char *end = strchr(at, '\n');
        assert_non_null(end);
        json_t *row = json_parse(c, path, at, (size_t)(end - at));
        if (!row) fail_msg("%s", c->message);
        run(c, row, user);
        json_decref(row);
        lines++;
        at = end + 1;
    }
    free(bytes);
    return lines;
}

static void print_ids(const char *what, const struct ids *ids)
{
    print_error("%s:", what);
    for (size_t i = 0; i < ids->n; i++) print_error(" %d", ids->data[i]);
    print_error("\n");
}

void test_ids_equal(const struct ids *got, const json_t *want, const char *label)
{
    bool equal = got->n == json_array_size(want);
    for (size_t i = 0; equal && i < got->n; i++) equal = got->data[i] == json_integer_value(json_array_get(want, i));
    if (equal) return;
    char *text = json_dumps(want, 0);
    print_error("want: %s\n", text);
    free(text);
    print_ids("got", got);
    fail_msg("ids differ: %s", label);
}
