/* model_rows: the two options of every command that opens a model to compute with it, and the one list of their choices. */
#ifndef YA_CLI_MODEL_ROWS_H
#define YA_CLI_MODEL_ROWS_H

#include "cli/options.h"

/* In the order of enum base_type and enum compute, whose names these are (tests/cli/test_options.c holds them together). */
#define BASE_CHOICES    "as-is|nf4|int8"
#define COMPUTE_CHOICES "f32|int8x2|int8"

/* S the values struct, B and C its int members: enum base_type, enum compute. */
#define MODEL_ROWS(S, B, C, GROUP)                                                                                          \
    CHOICE_ROW(S, B, "base-type", 0, "as-is", BASE_CHOICES, GROUP,                                                          \
               "form of the frozen weights, made at load; nf4: 4 bits"),                                                    \
        CHOICE_ROW(S, C, "compute", 0, "f32", COMPUTE_CHOICES, GROUP,                                                       \
                   "products with them; int8x2, int8: in integers, on an int8 base")

#endif
