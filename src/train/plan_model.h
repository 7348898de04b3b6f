/* plan_model: what training a known model would take, before it is downloaded. A folder with the model's shapes and no
 * weights is opened in a context that computes nothing, and the planner counts a step of it as it counts that of a run. */
#ifndef YA_TRAIN_PLAN_MODEL_H
#define YA_TRAIN_PLAN_MODEL_H

#include "model/known_models.h"
#include "model/model.h"
#include "train/planner.h"

struct plan_model {
    const struct known_model *model;
    struct model_options form;   /* settled (model_rows_settle) */
    const char *device;          /* of the backend, for backend_open_counting */
    int64_t batch, length, rank; /* sequences of so many tokens in a micro-batch; of an adapter on `targets` */
    int64_t last_layers;         /* that have an adapter; 0: all */
    uint32_t targets;            /* of struct lora_config */
    enum plan_checkpoint checkpoint;
    size_t free_bytes;    /* what the run may take (plan_free_bytes); SIZE_MAX: not known */
    size_t program_bytes; /* what the program holds itself (plan_used_bytes), as the caller read it once for all its plans */
    bool on_card;         /* free_bytes is a card's, where the program holds nothing */
};

/* Fills *out; *parameters becomes how many values are trained. The tokenizer and the index of the data are not counted
 * (some 10 to 100 MiB), as neither is there. Needs a little space in $TMPDIR or /var/tmp. E_IO, E_MEMORY; E_INPUT for a
 * length beyond the model's context or an adapter that it cannot have. */
enum status plan_model_make(struct ctx *c, const struct plan_model *p, struct plan *out, int64_t *parameters);

#endif
