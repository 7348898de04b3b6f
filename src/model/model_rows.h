/* model_rows: the options of every command that opens a model to compute with it, and the one list of their choices. */
#ifndef YA_MODEL_MODEL_ROWS_H
#define YA_MODEL_MODEL_ROWS_H

#include "base/options.h"
#include "model/model.h"

/* In the order of enum base_type and enum compute, whose names these are (tests/model/test_options.c compares them). The
 * last choice, MODEL_ROWS_AUTO, is replaced by one of the others before anything else sees it. */
#define BASE_CHOICES    "as-is|nf4|int8"
#define COMPUTE_CHOICES "f32|int8x2|int8|bf16|auto"

/* S the values struct, M its member of type struct model_options. */
#define MODEL_ROWS(S, M, GROUP)                                                                                             \
    CHOICE_ROW(S, M.base, "base-type", 0, "as-is", BASE_CHOICES, GROUP,                                                     \
               "form of the frozen weights in memory; nf4 (4 bits) and int8 are made when the model is loaded"),            \
        CHOICE_ROW(S, M.compute, "compute", 0, "auto", COMPUTE_CHOICES, GROUP,                                              \
                   "arithmetic of products with the frozen weights; auto: int8x2 on an int8 base, bf16 on a card and in "   \
                   "training on processors with AMX or AVX512_BF16, else f32")

/* Where to compute: a member of type const char *, for backend_open. */
#define DEVICE_ROW(S, M, GROUP)                                                                                             \
    STRING_ROW(S, M, "device", 0, "auto", "NAME", GROUP,                                                                    \
               "where to compute: cpu, cuda or cuda:N; auto: an NVIDIA card if there is one, else the CPU")

/* For an adapter that was made for another model: a member of type bool, for peft_check_base. */
#define FORCE_ADAPTER_ROW(S, M, GROUP)                                                                                      \
    FLAG_ROW(S, M, "force-adapter", 0, "false", GROUP, "use the adapter although it was made for another model")

enum { MODEL_ROWS_AUTO = COMPUTES };
/* Turns a compute of MODEL_ROWS_AUTO into the one that is fastest on this device without changing the base that was asked
 * for; any other compute stays. On the CPU that is int8x2 for an int8 base, whose loss is within 0.01 % of f32's; weights
 * as stored are never rounded to 8 bits unasked. With `training` it is bf16 where the processor multiplies it fastest:
 * gradients have a cosine of 0.9998 with f32's, and the choice is logged with its reason. Without `training` bf16 is not
 * chosen: a perplexity or a difference of log-odds is something that somebody reads. Otherwise f32. A card computes in
 * bf16 only: auto is bf16 there.
 *
 * `device` as for backend_open, where the ctx has no backend yet. E_UNSUPPORTED when YA_CPU names no kernels of this
 * processor, or for a compute or a base type that the device does not have; E_INPUT when the ctx's backend is another
 * device. */
enum status model_rows_settle(struct ctx *c, const char *device, struct model_options *o, bool training);

#endif
