/* support_numbers: makes the values that the goldens of the quantisers were made from, bit for bit as the generators in
 * Python do. */
#include "support_numbers.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

const char *const numbers_set[NUMBERS_SETS] = {"sum", "cube", "positive", "scaled", "sparse", "zeros", "repeated"};

int numbers_find(const char *name)
{
    int i = 0;
    while (i < NUMBERS_SETS && strcmp(numbers_set[i], name) != 0) i++;
    assert_true(i < NUMBERS_SETS);
    return i;
}

static float numbers_next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int64_t)(*state >> 40) / 8388608 - 1;
}

/* numbers() of the script. */
void numbers_make(int set, float *out)
{
    uint64_t state = (uint64_t)set + 1;
    volatile float scale = 1, u; /* each product and sum rounded by itself */
    for (int i = 0; i < NUMBERS_COUNT; i++) {
        u = numbers_next(&state);
        if (set == 0) {
            for (int k = 0; k < 3; k++) u = u + numbers_next(&state);
            u = u / 64;
        } else if (set == 1) {
            volatile float square = u * u;
            u = square * u;
        } else if (set == 2) {
            u = u * 0.25f;
            u = u + 0.75f;
        } else if (set == 3) {
            if (i % 32 == 0) scale = ldexpf(1, (int)(numbers_next(&state) * 12));
            u = u * scale;
        } else if (set == 4) {
            u = numbers_next(&state) > 0.875f ? u : 0;
        } else if (set == 5) {
            u = 0;
        } else {
            if (i % 256 == 0) scale = u;
            u = scale;
        }
        out[i] = u;
    }
}
