/* common_rows: options that several commands have, each written down once. S is the values struct, M its member. */
#ifndef YA_CLI_COMMON_ROWS_H
#define YA_CLI_COMMON_ROWS_H

#include "base/options.h"
#include "model/model_rows.h"

/* The model, as a path or a name that command.c looks up; WHAT is "model" or "base model". */
#define MODEL_ROW(S, M, WHAT, GROUP)                                                                                        \
    REQUIRED_ROW(S, M, "model", 'm', "MODEL", GROUP,                                                                        \
                 "folder, .gguf file, or owner/name of a " WHAT " in the Hugging Face cache")

/* A model with its adapter: S has the members model, adapter, force and form, as struct loaded_options. */
#define ADAPTED_MODEL_ROWS(S, GROUP)                                                                                        \
    MODEL_ROW(S, model, "model", GROUP),                                                                                    \
        STRING_ROW(S, adapter, "adapter", 0, NULL, "DIR", GROUP, "PEFT adapter to use with the model"),                     \
        FORCE_ADAPTER_ROW(S, force, GROUP), MODEL_ROWS(S, form, GROUP)

/* How a token is chosen: S has the members temperature, top_k and top_p; the defaults of the first and the last are text. */
#define SAMPLE_ROWS(S, TEMPERATURE, TOP_P, GROUP)                                                                           \
    F64_ROW(S, temperature, "temperature", 0, TEMPERATURE, 0, 100, GROUP,                                                   \
            "divides the logits before the softmax; 0: always take the most probable token"),                               \
        I64_ROW(S, top_k, "top-k", 0, "0", 0, 1 << 24, GROUP,                                                               \
                "choose among the N most probable tokens only; 0: among all"),                                              \
        F64_ROW(S, top_p, "top-p", 0, TOP_P, 1e-6, 1, GROUP,                                                                \
                "choose among the most probable tokens that together have this probability; 1: among all")

/* A member of type int64_t, for ctx_set_threads. */
#define THREADS_ROW(S, M, GROUP)                                                                                            \
    I64_ROW(S, M, "threads", 't', "0", 0, 1024, GROUP, "number of threads; 0: one for each usable core")

#endif
