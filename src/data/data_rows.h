/* data_rows: the options of every command that turns rows into tokens, and of every one that weighs them. */
#ifndef YA_DATA_DATA_ROWS_H
#define YA_DATA_DATA_ROWS_H

#include "base/options.h"
#include "data/objective.h"

/* In the order of the enums that they fill (dataset_long, row_form, chat_choice, chat_train_on, chat_mask). LENGTH is the
 * default of --max-length. S the values struct, M its member of type struct dataset_options. */
#define DATA_ROWS(S, M, LENGTH, GROUP)                                                                                      \
    I64_ROW(S, M.max_length, "max-length", 0, LENGTH, 2, 1 << 24, GROUP, "largest number of tokens in a sequence"),         \
        CHOICE_ROW(S, M.long_documents, "long", 0, "split", "split|truncate", GROUP,                                        \
                   "what to do with documents that are longer"),                                                            \
        FLAG_ROW(S, M.skip_bad_rows, "skip-bad-rows", 0, "false", GROUP,                                                    \
                 "leave faulty rows out and count them, instead of failing"),                                               \
        CHOICE_ROW(S, M.form, "row-form", 0, "auto", "auto|text|prompt|messages|conversations|instruction", GROUP,          \
                   "which form to read where a row has several"),                                                           \
        FLAG_ROW(S, M.raw, "raw", 0, "false", GROUP,                                                                        \
                 "join prompt and completion as they stand, without the chat template"),                                    \
        CHOICE_ROW(S, M.chat, "template", 0, "auto", "auto|chatml|llama3", GROUP,                                           \
                   "chat template for conversations; auto: the one that comes with the model"),                             \
        STRING_ROW(S, M.date, "date", 0, NULL, "DATE", GROUP,                                                               \
                   "date that chat templates take for today; without it 2024-07-26, so that runs can be repeated"),         \
        CHOICE_ROW(S, M.train_on, "train-on", 0, "assistant", "assistant|last|all", GROUP,                                  \
                   "which turns of a conversation are trained"),                                                            \
        CHOICE_ROW(S, M.mask, "mask", 0, "auto", "auto|exact", GROUP,                                                       \
                   "which tokens of such a turn are trained; exact: only those that the template marks with "               \
                   "{% generation %}; auto: the token that ends the turn too")

/* O a member of type struct objective_options; M as above. Negative default scores mean none: data_rows_settle. */
#define OBJECTIVE_ROWS(S, O, M, GROUP)                                                                                      \
    CHOICE_ROW(S, O.mode, "distrust", 0, "monotone", "off|monotone|published|additive", GROUP,                              \
               "how the scores of documents become weights in the loss"),                                                   \
        F64_ROW(S, O.lambda, "lambda", 0, "1", 0, 1, GROUP, "strength of the weights; 0: all weights are 1"),               \
        F64_ROW(S, O.power, "distrust-power", 0, "2", 0.01, 16, GROUP, "exponent p of g = softplus(s)^p (monotone)"),       \
        F64_ROW(S, O.ratio, "distrust-ratio", 0, "32", 1, 1e6, GROUP, "largest ratio R that two weights may have"),         \
        F64_ROW(S, O.alpha, "distrust-alpha", 0, "2.7", 2.3, 3, GROUP,                                                      \
                "factor alpha of the published term D, which is reported and has no effect on training"),                   \
        F64_ROW(S, M.default_auth_weight, "default-auth-weight", 0, "-1", -1, 0.99, GROUP,                                  \
                "auth_weight of rows that have none; negative: leave them without"),                                        \
        F64_ROW(S, M.default_prov_entropy, "default-prov-entropy", 0, "-1", -1, 1e6, GROUP,                                 \
                "prov_entropy, in bits, of rows that have none; negative: leave them without")

/* Turns negative default scores into none. */
void data_rows_settle(struct dataset_options *o);

#endif
