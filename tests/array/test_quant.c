/* Every block type against the Python package gguf: the bits that tools/gen_quant_golden.py wrote down, on random blocks,
 * blocks of extreme codes and blocks with strange scales. */
#include "array/codec/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"

#define GOLDEN TEST_DATA "/array/quant.txt"

enum { LINE_BYTES = 4096, BLOCK_BYTES = 256 };

static enum tensor_type find_type(const char *name)
{
    for (int t = 0; t < TENSOR_TYPE_COUNT; t++)
        if (strcmp(tensor_type_info(t)->name, name) == 0) return t;
    fail_msg("%s: no type is called so", name);
    return TENSOR_TYPE_COUNT;
}

static uint32_t canonical_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return isnan(x) ? 0x7fc00000 : bits;
}

/* One block, at an odd address, to bits; the f64 form must agree. */
static void widen(enum tensor_type type, const uint8_t *block, uint32_t *bits)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    uint8_t odd[1 + BLOCK_BYTES];
    float f32[TENSOR_MAX_BLOCK];
    double f64[TENSOR_MAX_BLOCK];
    struct quant_codes codes;
    memcpy(odd + 1, block, (size_t)info->bytes);
    quant_to_f32(type, odd + 1, f32, info->block);
    quant_to_f64(type, odd + 1, f64, info->block);
    quant_decoder(type)(odd + 1, &codes);
    for (int i = 0; i < info->block; i++) {
        bits[i] = canonical_bits(f32[i]);
        float from_f64 = (float)f64[i];
        if (bits[i] != canonical_bits(from_f64)) fail_msg("%s: element %d: f64 and f32 differ", info->name, i);
        bool is_exact = signbit(codes.offset[i / QUANT_GROUP]) && codes.offset[i / QUANT_GROUP] == 0;
        if (is_exact && !isnan(f64[i]) && isfinite(f32[i])) assert_true(f64[i] == (double)f32[i]);
    }
}

static void hash_bits(struct sha256 *s, const uint32_t *bits, int n)
{
    for (int i = 0; i < n; i++)
        sha256_update(s, (uint8_t[]){(uint8_t)bits[i], (uint8_t)(bits[i] >> 8), (uint8_t)(bits[i] >> 16), bits[i] >> 24}, 4);
}

static void check_hash(struct sha256 *s, const char *expected, const char *label)
{
    uint8_t digest[32];
    char hex[65];
    sha256_final(s, digest);
    sha256_hex(digest, hex);
    if (strcmp(hex, expected) != 0) fail_msg("%s: other bits than gguf's", label);
}

static void read_block(const char *hex, enum tensor_type type, uint8_t *block)
{
    assert_int_equal(strlen(hex), 2 * tensor_type_info(type)->bytes);
    for (int i = 0; i < tensor_type_info(type)->bytes; i++) {
        unsigned byte;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        block[i] = (uint8_t)byte;
    }
}

static void check_full(enum tensor_type type, char **save)
{
    uint8_t block[BLOCK_BYTES];
    uint32_t bits[TENSOR_MAX_BLOCK];
    read_block(strtok_r(NULL, " \n", save), type, block);
    widen(type, block, bits);
    for (int i = 0; i < tensor_type_info(type)->block; i++) {
        uint32_t expected = (uint32_t)strtoul(strtok_r(NULL, " \n", save), NULL, 16);
        if (bits[i] != expected)
            fail_msg("%s: element %d: %08x, not %08x", tensor_type_info(type)->name, i, bits[i], expected);
    }
}

static void check_block(enum tensor_type type, char **save)
{
    uint8_t block[BLOCK_BYTES];
    uint32_t bits[TENSOR_MAX_BLOCK];
    struct sha256 s;
    const char *hex = strtok_r(NULL, " \n", save);
    read_block(hex, type, block);
    widen(type, block, bits);
    sha256_init(&s);
    hash_bits(&s, bits, tensor_type_info(type)->block);
    check_hash(&s, strtok_r(NULL, " \n", save), hex);
}

static void check_random(enum tensor_type type, char **save)
{
    const struct tensor_type_info *info = tensor_type_info(type);
    uint32_t x = (uint32_t)strtoul(strtok_r(NULL, " \n", save), NULL, 10), bits[TENSOR_MAX_BLOCK];
    int count = atoi(strtok_r(NULL, " \n", save));
    uint8_t block[BLOCK_BYTES];
    struct sha256 s;
    assert_true(count >= 1000);
    sha256_init(&s);
    for (int n = 0; n < count; n++) {
        for (int i = 0; i < info->bytes; i++) {
            x = x * 1664525u + 1013904223u;
            block[i] = (uint8_t)(x >> 24);
        }
        widen(type, block, bits);
        hash_bits(&s, bits, info->block);
    }
    check_hash(&s, strtok_r(NULL, " \n", save), info->name);
}

static void test_against_gguf(void **state)
{
    (void)state;
    static char line[LINE_BYTES];
    int full[TENSOR_TYPE_COUNT] = {0}, blocks[TENSOR_TYPE_COUNT] = {0}, random[TENSOR_TYPE_COUNT] = {0};
    FILE *f = fopen(GOLDEN, "r");
    if (!f) fail_msg("%s is missing; tools/gen_quant_golden.py writes it", GOLDEN);
    while (fgets(line, sizeof line, f)) {
        char *save, *kind = strtok_r(line, " ", &save);
        enum tensor_type type = find_type(strtok_r(NULL, " ", &save));
        if (strcmp(kind, "full") == 0) check_full(type, &save), full[type]++;
        if (strcmp(kind, "block") == 0) check_block(type, &save), blocks[type]++;
        if (strcmp(kind, "random") == 0) check_random(type, &save), random[type]++;
    }
    fclose(f);
    for (int t = 0; t < TENSOR_TYPE_COUNT; t++) {
        bool in_blocks = quant_decoder(t) != NULL;
        assert_int_equal(in_blocks, tensor_type_info(t)->block > 1);
        if (in_blocks && !(full[t] == 1 && blocks[t] >= 20 && random[t] == 1))
            fail_msg("%s: not in " GOLDEN, tensor_type_info(t)->name);
    }
}

/* Decoders fill whole groups and no more, and a run of blocks is widened like each alone. */
static void test_runs_of_blocks(void **state)
{
    (void)state;
    for (int t = 0; t < TENSOR_TYPE_COUNT; t++) {
        const struct tensor_type_info *info = tensor_type_info(t);
        if (!quant_decoder(t)) continue;
        uint8_t blocks[3 * BLOCK_BYTES];
        float all[3 * TENSOR_MAX_BLOCK + 1], one[TENSOR_MAX_BLOCK];
        assert_int_equal(info->block % QUANT_GROUP, 0);
        assert_true(info->block <= TENSOR_MAX_BLOCK && info->bytes <= BLOCK_BYTES);
        for (int i = 0; i < 3 * info->bytes; i++) blocks[i] = (uint8_t)(i * 37 + i / 7 * 11);
        all[3 * info->block] = 12345;
        quant_to_f32(t, blocks, all, 3 * info->block);
        assert_true(all[3 * info->block] == 12345);
        for (int b = 0; b < 3; b++) {
            quant_to_f32(t, blocks + b * info->bytes, one, info->block);
            assert_memory_equal(one, all + b * info->block, (size_t)info->block * sizeof *one);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_gguf),
        cmocka_unit_test(test_runs_of_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
