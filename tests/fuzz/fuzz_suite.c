/* Files of prompts with checks, and the judging of answers by what was read. */
#include "eval/suite.h"

#include <string.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"

/* mutations: 4000 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    const char *path = fuzz_file(data, size);
    struct suite *s = suite_open(c, &path, 1);
    for (size_t i = 0; s && i < s->n && i < 8; i++) {
        char *fixed = suite_fixed(s, s->items[i].suite);
        for (int k = 0; fixed && k < SUITE_CONTROLS; k++) {
            struct suite_score r = suite_judge(&s->items[i], suite_control_text((enum suite_control)k, &s->items[i], fixed));
            if (!(r.score >= 0 && r.score <= 1 + 1e-9)) __builtin_trap();
        }
        mem_free(c, fixed);
    }
    suite_close(s);
    fuzz_check(c, size, 64, 1 << 20);
    ctx_free(c);
    return 0;
}
