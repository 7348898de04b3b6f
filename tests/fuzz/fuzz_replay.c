/* fuzz_replay SEEDS [MUTATIONS]: runs a target on every seed of a folder and on mutations of them, always the same ones. It
 * is no replacement for libFuzzer, which is guided by coverage; it keeps past findings found, in every build. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "fuzz/fuzz.h"

enum { SEEDS_MAX = 256, SEED_BYTES_MAX = 1 << 16 };

static struct seed {
    uint8_t *data;
    size_t n;
} seeds[SEEDS_MAX];
static size_t n_seeds;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void load(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct seed *s = &seeds[n_seeds++];
    s->data = malloc(SEED_BYTES_MAX);
    if (!f || !s->data) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }
    s->n = fread(s->data, 1, SEED_BYTES_MAX, f);
    fclose(f);
}

/* Names in order: the mutations must not depend on the order of the folder. */
static void load_all(const char *folder)
{
    char *names[SEEDS_MAX], path[2048];
    size_t n = 0;
    DIR *dir = opendir(folder);
    if (!dir) {
        fprintf(stderr, "missing test data: %s\n", folder);
        exit(2);
    }
    for (struct dirent *e; n < SEEDS_MAX && (e = readdir(dir));) {
        if (e->d_name[0] != '.') names[n++] = strdup(e->d_name);
    }
    closedir(dir);
    qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        load(path);
        free(names[i]);
    }
}

/* One change of the kinds that find parsers' mistakes: bits, interesting numbers, cuts, copies, splices with other seeds. */
static size_t mutate(struct rng *r, uint8_t *p, size_t n, size_t room)
{
    static const uint64_t interesting[] = {0,          1,         0x7f,       0x80,           0xff,
                                           0x7fff,     0xffff,    0x7fffffff, 0xffffffff,     1ull << 32,
                                           1ull << 61, INT64_MAX, 1ull << 63, UINT64_MAX - 7, UINT64_MAX};
    size_t at = n ? (size_t)rng_below(r, n) : 0, length = 1 + (size_t)rng_below(r, 16);
    uint64_t value = interesting[rng_below(r, sizeof interesting / sizeof *interesting)];
    const struct seed *other = &seeds[rng_below(r, n_seeds)];
    switch (n ? rng_below(r, 7) : 6) {
    case 0:
        p[at] ^= (uint8_t)(1 << rng_below(r, 8));
        return n;
    case 1:
        p[at] = (uint8_t)rng_u64(r);
        return n;
    case 2: /* a little-endian number of 4 or 8 bytes */
        length = rng_below(r, 2) ? 8 : 4;
        if (length > n - at) length = n - at;
        memcpy(p + at, &value, length);
        return n;
    case 3:
        return at; /* cut */
    case 4:        /* leave some bytes out */
        if (length > n - at) length = n - at;
        memmove(p + at, p + at + length, n - at - length);
        return n - length;
    case 5: /* repeat some bytes */
        if (length > n - at || n + length > room) return n;
        memmove(p + at + length, p + at, n - at);
        return n + length;
    default: /* the tail of another seed */
        length = other->n ? (size_t)rng_below(r, other->n) : 0;
        if (at + other->n - length > room) return n;
        memcpy(p + at, other->data + length, other->n - length);
        return at + other->n - length;
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s SEEDS [MUTATIONS]\n", argv[0]);
        return 2;
    }
    long mutations = argc > 2 ? atol(argv[2]) : 20000;
    static uint8_t work[2 * SEED_BYTES_MAX];
    struct rng r;
    load_all(argv[1]);
    if (n_seeds == 0) {
        fprintf(stderr, "no seeds in %s\n", argv[1]);
        return 2;
    }
    for (size_t i = 0; i < n_seeds; i++) LLVMFuzzerTestOneInput(seeds[i].data, seeds[i].n);
    rng_init(&r, 1, RNG_INIT, 0);
    for (long i = 0; i < mutations; i++) {
        const struct seed *s = &seeds[rng_below(&r, n_seeds)];
        size_t n = s->n;
        memcpy(work, s->data, n);
        for (uint64_t k = 1 + rng_below(&r, 4); k > 0; k--) n = mutate(&r, work, n, sizeof work);
        LLVMFuzzerTestOneInput(work, n);
    }
    printf("%zu seeds, %ld mutations\n", n_seeds, mutations);
    for (size_t i = 0; i < n_seeds; i++) free(seeds[i].data);
    return 0;
}
