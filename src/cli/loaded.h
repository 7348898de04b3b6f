/* loaded: what commands that run a model start with: model, tokenizer and, if there is one, the adapter on it. */
#ifndef YA_CLI_LOADED_H
#define YA_CLI_LOADED_H

#include "engine/engine.h"
#include "io/tokenizer/tokenizer.h"
#include "model/model.h"

struct loaded {
    struct ctx *c;
    struct model *model;         /* owned, with the adapter attached */
    struct tokenizer *tokenizer; /* owned */
    struct lora *lora;           /* owned; NULL without an adapter */
    struct engine *engine;       /* owned: runs the model with the adapter */
};

struct loaded_options {
    const char *model, *adapter; /* adapter: a PEFT folder or NULL */
    bool force;                  /* an adapter that was made for another model is only warned of */
    struct model_options form;   /* of the frozen weights and of products with them */
    const char *device;          /* for backend_open */
    enum engine_kind engine;     /* what runs the model */
    int64_t threads;             /* 0: one for each usable core */
};

/* Starts threads, backend and array environment, then opens model, tokenizer and adapter. Where the base weights are not
 * used as the file stores them (--base-type), the log says in which form they are. Compares the adapter with the model
 * (peft_check_base). E_INPUT when the tokenizer has ids that the model lacks. Close with loaded_close, also after a
 * failure. */
enum status loaded_open(struct loaded *l, struct ctx *c, const struct loaded_options *o);
/* Opens model, tokenizer and adapter in an array environment that exists already, and logs nothing. Errors as above. */
enum status loaded_open_files(struct loaded *l, struct ctx *c, const struct loaded_options *o);
/* Frees all of it, the engine first, since it runs the model. */
void loaded_close(struct loaded *l);

#endif
