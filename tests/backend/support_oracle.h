/* support_oracle: what the forward oracles of test_op_oracles share, and those of the fused and in-place rows. */
#ifndef YA_TESTS_SUPPORT_ORACLE_H
#define YA_TESTS_SUPPORT_ORACLE_H

#include "support_case.h"

enum { ORACLE_MOST = 1024 }; /* elements of an operand or result */

/* How an oracle runs its row. */
struct setting {
    enum dtype dtype;
    enum layout layout;
    double tolerance;
};
typedef void (*oracle)(struct ctx *c, const struct setting *s, enum op op);

/* The elements of operand i in f64, and the buffer that an oracle fills with the expected result. */
extern double oracle_x[8][ORACLE_MOST], oracle_expected[ORACLE_MOST];
/* Draws the elements of operand i and makes it in the setting's dtype and layout. */
struct array *oracle_operand(struct ctx *c, const struct setting *s, int i, int ndim, const int64_t *shape, double lo,
                             double hi);
/* Another ctx, on the reference and without a guard, in which compositions run in f64. */
extern struct ctx *oracle_other;

/* SHAPE_OF(2, 3) as the two arguments ndim, shape. */
#define SHAPE_OF(...)                                                                                                       \
    (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (const int64_t[])                                      \
    {                                                                                                                       \
        __VA_ARGS__                                                                                                         \
    }

void oracle_embed(struct ctx *c, const struct setting *s, enum op op);
void oracle_rms_norm(struct ctx *c, const struct setting *s, enum op op);
void oracle_linear(struct ctx *c, const struct setting *s, enum op op);
void oracle_rope(struct ctx *c, const struct setting *s, enum op op);
void oracle_attention(struct ctx *c, const struct setting *s, enum op op);
void oracle_swiglu(struct ctx *c, const struct setting *s, enum op op);
void oracle_cross_entropy(struct ctx *c, const struct setting *s, enum op op);
void oracle_fill(struct ctx *c, const struct setting *s, enum op op);
void oracle_check_ids(struct ctx *c, const struct setting *s, enum op op);
void oracle_accumulate(struct ctx *c, const struct setting *s, enum op op);
void oracle_sum_squares(struct ctx *c, const struct setting *s, enum op op);
void oracle_adamw(struct ctx *c, const struct setting *s, enum op op);

#endif
