/* processor: what the program says of this processor, beside what the kernel lists in /proc/cpuinfo; each asks the
 * processor by itself. The kernel lists an instruction set only if it saves its registers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/processor.h"
#include "base/support_base.h"

#ifdef __x86_64__
static const char list[] = "\nflags";
#else
static const char list[] = "\nFeatures";
#endif

/* The words of the kernel's list, with a space on both sides; NULL where there is none: an emulator shows that of the
 * processor that it runs on. */
static char *read_flags(struct ctx *c)
{
    size_t n;
    char *text = file_read(c, "/proc/cpuinfo", 1 << 26, &n), *line = text ? strstr(text, list) : NULL;
    char *colon = line ? strchr(line, ':') : NULL, *flags = NULL;
    if (colon) {
        colon[strcspn(colon, "\n")] = '\0';
        flags = mem_printf(c, "%s ", colon + 1);
    }
    mem_free(c, text);
    return flags;
}

/* Whether all of some words, such as "avx2 fma", are listed. */
static bool are_listed(const char *flags, const char *words)
{
    char word[32], copy[128], *rest = copy;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w; (w = strsep(&rest, " ")) != NULL;) {
        snprintf(word, sizeof word, " %s ", w);
        if (!strstr(flags, word)) return false;
    }
    return true;
}

static void features(void **state)
{
    (void)state;
    static const char *const words[PROCESSOR_FEATURES] = {
        [PROCESSOR_SHA] = "sha_ni ssse3 sse4_1",
        [PROCESSOR_AVX2] = "avx avx2 fma f16c",
        [PROCESSOR_AVX512] = "avx2 fma f16c avx512f avx512bw avx512dq avx512vl",
        [PROCESSOR_AVX512VNNI] = "avx512f avx512bw avx512dq avx512vl avx512_vnni",
        [PROCESSOR_AVX512BF16] = "avx512f avx512bw avx512dq avx512vl avx512_vnni avx512_bf16",
        [PROCESSOR_AMX] = "avx512f avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16",
        [PROCESSOR_NEON_DOT] = "asimddp",
    };
    struct ctx *c = ctx_new(NULL);
    char *flags = read_flags(c);
    if (!flags) print_message("no list of this processor's instruction sets to compare with\n");
    for (int f = 0; flags && f < PROCESSOR_FEATURES; f++)
        if (processor_has((enum processor_feature)f) != are_listed(flags, words[f]))
            fail_msg("feature %d: the kernel lists %s: %s", f, words[f], are_listed(flags, words[f]) ? "yes" : "no");
#ifdef __x86_64__
    assert_false(processor_has(PROCESSOR_NEON_DOT));
#else
    assert_false(processor_has(PROCESSOR_AVX2));
#endif
    mem_free(c, flags);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(features)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
