/* What the model tests share: a ctx with the CPU backend and a scratch folder, tiny random models written as a Hugging
 * Face folder and as GGUF with the same numbers, batches, and a forward pass in plain double loops to compare with. */
#ifndef YA_TESTS_SUPPORT_MODEL_H
#define YA_TESTS_SUPPORT_MODEL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/llama.h"

/* ---- fixture --------------------------------------------------------------------------------------------------------- */

struct fixture {
    struct ctx *c;
    char dir[128]; /* fresh, removed at the end */
    char paths[8][512];
    int next_path;
};
/* setup and teardown of cmocka tests: *state is the fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
const char *fixture_path(struct fixture *f, const char *name); /* DIR/name, valid for eight calls */
void fixture_write(struct fixture *f, const char *name, const char *text);

/* The ctx failed with this status and a message that holds `part`; clears it. */
void assert_failed(struct ctx *c, enum status status, const char *part);
void assert_ok(struct ctx *c);

/* ---- tiny models ----------------------------------------------------------------------------------------------------- */

/* One more metadata pair of a GGUF: text not NULL: a string; real: f32; else u32. The architecture is put before
 * ".key". */
struct tiny_key {
    const char *key, *text;
    bool real, flag; /* a float; a boolean */
    double number;
};

struct tiny {
    enum model_family family;
    int64_t layers, hidden, heads, kv, dim, ffn, vocab;
    bool tied, qkv_bias, o_bias, mlp_bias;
    bool no_eps; /* a GGUF without the epsilon of its norms */
    enum qk_norm qk_norm;
    bool fused, norm_after;      /* q, k, v in one matrix and gate, up in one; norms behind attention and MLP */
    int64_t rotated;             /* elements of a head, of a GGUF; 0: all */
    const float *factors[2];     /* (rotated / 2), rope_factors_short and _long of a GGUF; NULL: none */
    const char *extra;           /* more members of config.json, each followed by a comma; NULL: none */
    const float *rope_factors;   /* (dim / 2), written as rope_freqs.weight of a GGUF; NULL: none */
    const struct tiny_key *keys; /* of a GGUF, beside the usual ones */
    int n_keys;
};
extern const struct tiny tiny_llama; /* 2 layers, grouped heads, head_dim != hidden / heads */
/* SmolLM3, Granite, Phi-3 with longrope on a part of each head, and yarn, OLMo-2: `extra` and `keys` say the same. */
enum { TINY_FAMILIES = 5 };
extern const struct tiny tiny_families[TINY_FAMILIES];

/* What a test may change in the list of tensors before it is written. */
struct tiny_edit {
    const char *drop;    /* leaves this tensor out */
    const char *add;     /* adds one of this name, f32 (2, 2) */
    const char *reshape; /* writes this one with one row less */
};
/* Writes DIR/name (a folder, made here) and DIR/name (a .gguf). `edit` may be NULL. Names in `edit` are those of the
 * format. */
void tiny_write_hf(struct fixture *f, const struct tiny *t, const char *name, const struct tiny_edit *edit);
void tiny_write_gguf(struct fixture *f, const struct tiny *t, const char *name, const struct tiny_edit *edit);
/* Writes DIR/adapter, a PEFT folder of rank 3 and alpha 5 on all linear layers of the model in DIR/hf. A is what a training
 * begins with, and an element of B one of the multiples -5 to 5 of `step`: the adapter changes the model's logits. */
void tiny_write_adapter(struct fixture *f, float step);
struct model *tiny_open(struct fixture *f, const struct tiny *t); /* hf, opened, no error */

/* ---- batches --------------------------------------------------------------------------------------------------------- */

enum { BATCH_MAX = 64 };
struct batch_data {
    int32_t tokens[BATCH_MAX], positions[BATCH_MAX], targets[BATCH_MAX], cu[8];
    float weights[BATCH_MAX];
    struct batch batch;
};
/* Random tokens below `vocab`; documents of these lengths; every token but the last of a document trained. */
void batch_make(struct batch_data *b, int64_t vocab, int n_seg, const int *lengths, uint64_t seed);

/* ---- forward passes -------------------------------------------------------------------------------------------------- */

/* Ours: (n, vocab) f32 into `out`. */
void forward_logits(struct model *m, const struct batch *b, const struct forward_options *o, float *out);
/* Plain loops in double, weights and adapters as the model holds them, no cache and no dropout. */
void reference_logits(const struct model *m, const struct batch *b, double *out);

/* ||a - b|| / ||b||. */
double relative_error(const float *a, const double *b, size_t n);
double relative_error_f32(const float *a, const float *b, size_t n);

#endif
