/* random_model: a Hugging Face folder with random weights of a known model's shapes, for benchmarks, tests and plans where
 * the shapes matter and the values do not. */
#ifndef YA_EXPORT_RANDOM_MODEL_H
#define YA_EXPORT_RANDOM_MODEL_H

#include "base/ctx.h"

/* "llama-3.1-8b|llama-3.2-1b|...": the known shapes, as a choice list for an option. */
#define RANDOM_MODEL_CHOICES "llama-3.1-8b|llama-3.2-1b|llama-3.2-3b|tinyllama|smollm2-135m|qwen2.5-1.5b|tiny"

struct random_model {
    int shape;     /* position in RANDOM_MODEL_CHOICES */
    uint64_t seed; /* same seed, same bytes, for any number of threads */
};

/* Bytes of the weights, as bf16. */
uint64_t random_model_bytes(int shape);

/* Writes config.json, model.safetensors (bf16: matrices N(0, 0.02), norms 1, biases N(0, 0.02)) and a byte-level tokenizer
 * (one token a byte and two special ones) into `dir`, which must be new or empty. E_INPUT when it is not, E_IO. */
enum status random_model_write(struct ctx *c, const char *dir, const struct random_model *what);

#endif
