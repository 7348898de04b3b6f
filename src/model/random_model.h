/* random_model: a Hugging Face folder with random weights of a known model's shapes, for benchmarks, tests and plans where
 * the shapes matter and the values do not. */
#ifndef YA_MODEL_RANDOM_MODEL_H
#define YA_MODEL_RANDOM_MODEL_H

#include "base/ctx.h"
#include "model/known_models.h"

struct random_model {
    const struct known_model *shape;
    uint64_t seed; /* same seed, same bytes, for any number of threads */
    bool hollow;   /* all weights are 0, and a file system that can leaves them out: for plans and speeds of any size */
};

/* Writes config.json, model.safetensors (bf16: matrices N(0, 0.02), norms 1, biases N(0, 0.02)) and a byte-level tokenizer
 * (one token a byte and two special ones) into `dir`, which must be new or empty. E_INPUT when it is not, E_IO. */
enum status random_model_write(struct ctx *c, const char *dir, const struct random_model *what);

#endif
