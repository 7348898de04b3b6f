/* loaded: what commands that run a model start with: model, tokenizer and, if there is one, the adapter on it. */
#ifndef YA_CLI_LOADED_H
#define YA_CLI_LOADED_H

#include "io/tokenizer.h"
#include "model/llama.h"

struct loaded {
    struct ctx *c;
    struct model *model;         /* owned, with the adapter attached */
    struct tokenizer *tokenizer; /* owned */
    struct lora *lora;           /* owned; NULL without an adapter */
};

/* Starts threads (0: one a usable core), backend and array environment, then opens the three; adapter (a PEFT folder) may be
 * NULL. E_INPUT when the tokenizer has ids that the model lacks. Close with loaded_close, also after a failure. */
enum status loaded_open(struct loaded *l, struct ctx *c, const char *model, const char *adapter, int64_t threads);
void loaded_close(struct loaded *l);

#endif
