/* A split model of two parts: four bytes say how long the first is, little-endian; the second is what follows it. Part 1 is
 * opened when the lowest bit of the input's last byte is 0, else part 2. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "io/gguf_set.h"
#include "support_scratch.h"

static char dir[48], paths[2][80];
static int files[2];

static void remove_links(void)
{
    for (int i = 0; i < 2; i++) unlink(paths[i]);
    rmdir(dir);
}

/* Parts are memory under the names that parts have. */
static void make_links(void)
{
    if (!mkdtemp(scratch_template(dir, sizeof dir, "fuzz"))) abort();
    atexit(remove_links);
    for (int i = 0; i < 2; i++) {
        char memory[64];
        files[i] = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(memory, sizeof memory, "/proc/self/fd/%d", files[i]);
        snprintf(paths[i], sizeof paths[i], "%s/m-%05d-of-00002.gguf", dir, i + 1);
        if (files[i] < 0 || symlink(memory, paths[i]) != 0) abort();
    }
}

static void write_part(int part, const uint8_t *data, size_t n)
{
    if (ftruncate(files[part], (off_t)n) != 0 || pwrite(files[part], data, n, 0) != (ssize_t)n) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4) return 0;
    size_t rest = size - 4, first = (size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
    if (!paths[0][0]) make_links();
    if (first > rest) first = rest;
    write_part(0, data + 4, first);
    write_part(1, data + 4 + first, rest - first);
    struct ctx *c = ctx_new(NULL);
    struct gguf_set *s = gguf_set_open(c, paths[data[size - 1] & 1]);
    for (size_t i = 0; s && i < gguf_set_tensor_count(s); i++) {
        const struct tensor_view *t = gguf_set_tensor(s, i);
        if (gguf_set_find(s, t->name) != t) __builtin_trap();
        fuzz_read(t->data, t->bytes);
    }
    if (s && (gguf_set_parts(s) > 2 || gguf_set_check(c, s) != OK)) __builtin_trap();
    gguf_set_close(s);
    fuzz_check(c, size, 24, 131072);
    ctx_free(c);
    return 0;
}
