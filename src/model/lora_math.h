/* lora_math: adapters scaled, added up, cut to a smaller rank, and measured.
 *
 * What an adapter does to a linear layer is one matrix, D = s B A. The weighted sum of several is w_1 s_1 B_1 A_1 + w_2 s_2
 * B_2 A_2 + ..., which is again a product: of all B side by side and all A one below the other. So the sum is exact, and its
 * rank is the sum of the ranks. Adding the B and the A by themselves, as some programs offer, gives another matrix: it has
 * the products B_1 A_2 and B_2 A_1 in it, which nobody trained. Where a smaller rank is wanted, the nearest product of that
 * rank is taken (singular values, low_rank.h), and how much of D it keeps is reported. */
#ifndef YA_MODEL_LORA_MATH_H
#define YA_MODEL_LORA_MATH_H

#include "model/lora.h"
#include "model/low_rank.h"

enum { LORA_MATH_FACTOR_MAX = 1000000 };
/* E_INPUT unless a factor or weight is a number other than 0, of magnitude 1e-6 to LORA_MATH_FACTOR_MAX. */
enum status lora_math_check_factor(struct ctx *c, double factor);

/* D of every module becomes factor D. The magnitude goes into alpha, so A and B stay what they are bit for bit; a negative
 * factor changes the sign of B. E_INPUT when an alpha would leave (0, 1e6]. */
enum status lora_math_scale(struct lora *l, double factor);

struct lora_part {
    const struct lora *lora;
    double weight;
};
/* The weighted sum of n adapters that fit the model m: one module for each linear layer that any of them has one for. A is
 * copied, B is w s B rounded to f32 once, s is 1 (alpha is the rank). Without dropout. E_INPUT for a rank above 4096. Owner
 * of the result: the caller (lora_free). */
struct lora *lora_math_sum(struct ctx *c, const struct model_config *m, const struct lora_part *parts, size_t n);

/* The adapter with every module cut to `rank`, the nearest one of that rank; modules of a smaller rank are kept as they are.
 * *least becomes the smallest share of the squares of a module's D that was kept. E_NUMERIC naming a module with values that
 * are not finite. Owner of the result: the caller. */
struct lora *lora_math_truncate(struct ctx *c, const struct model_config *m, const struct lora *l, int64_t rank,
                                double *least);

/* Singular values and the rest of module i's D. Release with low_rank_release, also after a failure. E_NUMERIC as above. */
enum status lora_math_measure(const struct lora *l, size_t i, struct low_rank *out);
/* "layers.3.self_attn.q_proj" into name; returns it. */
const char *lora_math_name(const struct lora *l, size_t i, char name[PARAMETER_NAME_BYTES]);

#endif
