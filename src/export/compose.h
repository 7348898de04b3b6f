/* compose: an adapter made of others: of several with weights, or of one times a factor (model/lora_math.h), ready to be
 * written by the formats of export.h, with a card that says what it was made of. */
#ifndef YA_EXPORT_COMPOSE_H
#define YA_EXPORT_COMPOSE_H

#include "export/export.h"

/* One adapter beside the source's own, and what is multiplied with each. */
struct compose_options {
    const char *const
        *operands;         /* all adapters, the source's own first: runs, folders or files, as export_open takes them */
    const double *weights; /* one for each */
    size_t n;
    int64_t rank; /* to which every module is cut; 0: the sum is kept as it is, exact */
    bool force;   /* adapters of another model are only warned of */
};

/* s was opened with operands[0]. Its adapter becomes the weighted sum of all, cut to the rank; *least becomes the smallest
 * share of a module's squares that the cut kept, 1 without a cut. What the source's run was trained on is no longer said of
 * it. E_INPUT for adapters of another model or of other shapes, and for weights as of lora_math_check_factor. */
enum status compose_merge(struct export_source *s, const struct compose_options *o, double *least);

/* Its adapter becomes factor times itself. */
enum status compose_scale(struct export_source *s, double factor);

#endif
