/* data_rows: the options of every command that turns rows into tokens, and of every one that weighs them. */
#ifndef YA_DATA_DATA_ROWS_H
#define YA_DATA_DATA_ROWS_H

#include "base/options.h"
#include "data/objective.h"

/* In the order of the enums that they fill (dataset_long, row_form, chat_choice, chat_train_on, chat_mask). LENGTH is the
 * default of --max-length. S the values struct, M its member of type struct dataset_options. */
#define DATA_ROWS(S, M, LENGTH, GROUP)                                                                                      \
    I64_ROW(S, M.max_length, "max-length", 0, LENGTH, 2, 1 << 24, GROUP, "tokens of a sequence"),                           \
        CHOICE_ROW(S, M.long_documents, "long", 0, "split", "split|truncate", GROUP, "documents longer than that"),         \
        FLAG_ROW(S, M.skip_bad_rows, "skip-bad-rows", 0, "false", GROUP, "count faulty rows instead of stopping"),          \
        CHOICE_ROW(S, M.form, "row-form", 0, "auto", "auto|text|prompt|messages|conversations|instruction", GROUP,          \
                   "form to read of rows that have several"),                                                               \
        FLAG_ROW(S, M.raw, "raw", 0, "false", GROUP, "prompt and completion joined as they stand, without a template"),     \
        CHOICE_ROW(S, M.chat, "template", 0, "auto", "auto|chatml|llama3", GROUP,                                           \
                   "chat template of conversations: auto is the model's own"),                                              \
        STRING_ROW(S, M.date, "date", 0, NULL, "DATE", GROUP,                                                               \
                   "what chat templates take for today: 2024-07-26 unless given"),                                          \
        CHOICE_ROW(S, M.train_on, "train-on", 0, "assistant", "assistant|last|all", GROUP,                                  \
                   "turns of conversations to train"),                                                                      \
        CHOICE_ROW(S, M.mask, "mask", 0, "auto", "auto|exact", GROUP,                                                       \
                   "exact: only what the template's {% generation %} marks")

/* O a member of type struct objective_options; M as above. Negative default scores mean none: data_rows_settle. */
#define OBJECTIVE_ROWS(S, O, M, GROUP)                                                                                      \
    CHOICE_ROW(S, O.mode, "distrust", 0, "monotone", "off|monotone|published|additive", GROUP,                              \
               "how scores of documents become weights"),                                                                   \
        F64_ROW(S, O.lambda, "lambda", 0, "1", 0, 1, GROUP, "strength of the weights; 0: none"),                            \
        F64_ROW(S, O.power, "distrust-power", 0, "2", 0.01, 16, GROUP, "p of softplus(s)^p (monotone)"),                    \
        F64_ROW(S, O.ratio, "distrust-ratio", 0, "32", 1, 1e6, GROUP, "R: largest weight over smallest"),                   \
        F64_ROW(S, O.alpha, "distrust-alpha", 0, "2.7", 2.3, 3, GROUP, "alpha of the published term; in the log only"),     \
        F64_ROW(S, M.default_auth_weight, "default-auth-weight", 0, "-1", -1, 0.99, GROUP,                                  \
                "for rows without; negative: none"),                                                                        \
        F64_ROW(S, M.default_prov_entropy, "default-prov-entropy", 0, "-1", -1, 1e6, GROUP,                                 \
                "bits, for rows without; negative: none")

/* Turns negative default scores into none. */
void data_rows_settle(struct dataset_options *o);

#endif
