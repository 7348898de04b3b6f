/* model_rows: the options of every command that opens a model to compute with it, and the one list of their choices. */
#ifndef YA_MODEL_MODEL_ROWS_H
#define YA_MODEL_MODEL_ROWS_H

#include "base/options.h"
#include "model/model.h"

/* In the order of enum base_type and enum compute, whose names these are (tests/model/test_options.c holds them together);
 * the last way of computing, MODEL_ROWS_AUTO, is settled before anything else sees it. */
#define BASE_CHOICES    "as-is|nf4|int8"
#define COMPUTE_CHOICES "f32|int8x2|int8|bf16|auto"

/* S the values struct, M its member of type struct model_options. */
#define MODEL_ROWS(S, M, GROUP)                                                                                             \
    CHOICE_ROW(S, M.base, "base-type", 0, "as-is", BASE_CHOICES, GROUP,                                                     \
               "form of the frozen weights, made at load; nf4: 4 bits"),                                                    \
        CHOICE_ROW(S, M.compute, "compute", 0, "auto", COMPUTE_CHOICES, GROUP,                                              \
                   "products with them; auto: int8x2 on an int8 base, bf16 in training with AMX and on cuda, else f32")

/* Where to compute: a member of type const char *, for backend_open. */
#define DEVICE_ROW(S, M, GROUP)                                                                                             \
    STRING_ROW(S, M, "device", 0, "auto", "NAME", GROUP, "cpu, cuda or cuda:N; auto: an NVIDIA card where there is one")

/* For an adapter that was made for another model: a member of type bool, for peft_check_base. */
#define FORCE_ADAPTER_ROW(S, M, GROUP)                                                                                      \
    FLAG_ROW(S, M, "force-adapter", 0, "false", GROUP, "use the adapter although it was made for another model")

enum { MODEL_ROWS_AUTO = COMPUTES };
/* Turns a compute of MODEL_ROWS_AUTO into the way of computing that is fastest on this processor without harm to the base
 * that was asked for: int8x2 on an int8 base is within 0.01 % of f32's loss; rounding the file's own weights to 8 bits is
 * not for us to choose. `training`: so is bf16 (and logged with its reason), whose gradients have a cosine of 0.9998 with
 * f32's; a perplexity or a difference of log-odds that somebody reads is not computed in it unasked. Anything else stays.
 * A card computes in bf16 only: auto is bf16 there.
 *
 * `device` as for backend_open, where the ctx has no backend yet. E_UNSUPPORTED when YA_CPU names no kernels of this
 * processor, or for a way of computing or a form of the base that the device does not have; E_INPUT when the ctx's backend
 * is another device. */
enum status model_rows_settle(struct ctx *c, const char *device, struct model_options *o, bool training);

#endif
