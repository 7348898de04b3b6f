/* Models with what transformers and PEFT compute for them: folders under tests/data made by tools/gen_golden.py and
 * tools/gen_golden_families.py. */
#ifndef YA_TESTS_SUPPORT_GOLDEN_H
#define YA_TESTS_SUPPORT_GOLDEN_H

#include "io/safetensors.h"
#include "support_model.h"

struct golden {
    struct fixture *f;
    const char *family; /* folder under tests/data: "golden/llama2" */
    struct model *model;
    struct lora *lora; /* with gradients; not attached */
    struct safetensors *values;
    struct batch_data batch;
};

void golden_open(struct golden *g, struct fixture *f, const char *family);
void golden_open_with(struct golden *g, struct fixture *f, const char *family, const struct model_options *options);
void golden_close(struct golden *g);
/* A tensor of golden.safetensors; fails the test when it is not there. */
const struct tensor_view *golden_value(struct golden *g, const char *name);

/* The mean loss, and backward into the adapter's gradients; with `some` the last layer sees only the rows that count. */
double golden_train_step_on(struct golden *g, int64_t recomputed_blocks, bool some);
double golden_train_step(struct golden *g, int64_t recomputed_blocks);

/* Logits with and without the adapter and the loss within 1e-4, every gradient within 1e-3. */
void golden_check(struct fixture *f, const char *family, size_t n_modules);

#endif
