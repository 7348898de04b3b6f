/* api_model: the inside of a ya_model and a ya_adapter. */
#ifndef YA_API_API_MODEL_H
#define YA_API_API_MODEL_H

#include "api/api.h"
#include "engine/engine.h"
#include "eval/generate.h"
#include "model/model.h"

struct ya_model {
    struct api_object object;
    struct model *m;             /* owned */
    struct engine *engine;       /* owned; runs m with the adapter that is attached */
    struct tokenizer *tokenizer; /* owned */
    ya_adapter *adapter;         /* attached; NULL: none */
    struct generate_cache kept;  /* of ya_generate; what is in it was computed with this adapter */
};

struct ya_adapter {
    struct api_object object;
    struct lora *lora;         /* owned */
    char *base_name;           /* owned; of the model that it was made for */
    struct model_config shape; /* of that model */
    ya_model *model;           /* that it is attached to; NULL: none */
};

#endif
