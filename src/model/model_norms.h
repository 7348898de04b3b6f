/* model_norms: a fingerprint of a model that every form of it shares.
 *
 * Quantisers leave the gains of the norms alone (f32, bf16 or f16 in every format), and fine-tuning all weights changes
 * them, so they tell one model from another where the bytes of the files cannot: a folder and the Q4_K_M made of it have the
 * same. */
#ifndef YA_MODEL_MODEL_NORMS_H
#define YA_MODEL_MODEL_NORMS_H

#include "model/model.h"

/* Two times 16 hexadecimal digits, a hyphen between them, and the NUL. */
enum { MODEL_NORMS_BYTES = 34 };

/* The fingerprint of m: SHA-256, cut to 64 bits, of all gains in the order of the layers as bf16, and the same of gains that
 * were rounded to f16 before. Rounding to bf16 gives the same value from f32 and from bf16; two digests, because a copy in
 * f16 of gains that need f32 rounds twice. "" for a model whose gains are all equal (a random one, which they cannot tell
 * from another). E_MEMORY, or what reading from the device gives. */
enum status model_norms_print(struct model *m, char out[MODEL_NORMS_BYTES]);

/* Whether text is a fingerprint; and whether two of them (both are) may be of the same model, which is when any digest of
 * one is any of the other, as either file may hold gains that were rounded to f16 on their way. */
bool model_norms_is(const char *text);
bool model_norms_match(const char *a, const char *b);

#endif
