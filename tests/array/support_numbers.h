/* support_numbers: the numbers that tools/gen_quant_encode.py and tools/gen_mlx_affine.py quantise, made anew bit for bit.
 */
#ifndef YA_TESTS_SUPPORT_NUMBERS_H
#define YA_TESTS_SUPPORT_NUMBERS_H

enum { NUMBERS_COUNT = 64 * 256, NUMBERS_SETS = 7 };
extern const char *const numbers_set[NUMBERS_SETS];

/* Position of a name in the list. */
int numbers_find(const char *name);
/* Fills NUMBERS_COUNT numbers of a set. */
void numbers_make(int set, float *out);

#endif
