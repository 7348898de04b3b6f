/* support_base: the failing allocator, the scratch folder and the assertions that support_base.h declares. */
#include "support_base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "support_scratch.h"

static char folder[256];

const char *scratch_begin(void)
{
    assert_non_null(mkdtemp(scratch_template(folder, sizeof folder, "base")));
    return folder;
}

void scratch_end(void)
{
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(dir_remove(c, folder), OK);
    ctx_free(c);
}

const char *scratch_path(const char *name)
{
    static char paths[64][512];
    static unsigned turn;
    char *path = paths[turn++ % 64];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void scratch_write(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(scratch_path(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void assert_failed(struct ctx *c, enum status status, const char *part)
{
    if (c->status != status || !strstr(c->message, part))
        fail_msg("wanted %s with \"%s\", got %s with \"%s\"", status_name(status), part, status_name(c->status), c->message);
    ctx_clear(c);
}

int scratch_setup(void **state)
{
    scratch_begin();
    *state = ctx_new(NULL);
    return 0;
}

int scratch_teardown(void **state)
{
    struct ctx *c = *state;
    size_t live = c->alloc_bytes;
    if (live != 0) print_error("%zu bytes are still allocated\n", live);
    ctx_free(c);
    scratch_end();
    return live == 0 ? 0 : -1;
}
