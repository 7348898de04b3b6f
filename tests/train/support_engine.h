/* support_engine: a native engine on the tiny model, with an adapter that does something. */
#ifndef YA_TESTS_SUPPORT_ENGINE_H
#define YA_TESTS_SUPPORT_ENGINE_H

#include "engine/engine.h"
#include "model/llama.h"
#include "train/support_tiny.h"

enum { TINY_GRADIENTS = 1 << 16 /* more than the adapter has parameters */ };

struct tiny_engine {
    struct ctx *c;
    struct model *model;
    struct lora *lora;
    struct engine *engine;
};

/* Rank 4 on all linear layers. B is 0 in a new adapter, and so would be the gradients of A: here it is not. */
void tiny_engine_open(struct tiny_engine *t);
void tiny_engine_close(struct tiny_engine *t);

/* All gradients behind one another; returns their number. */
size_t tiny_engine_gradients(const struct tiny_engine *t, float out[TINY_GRADIENTS]);

/* L2 of the difference of two lists over L2 of the second, which is not 0. */
double tiny_relative(const float *a, const float *b, size_t n);

#endif
