/* planner: what a training needs in memory, by item, before its first step, and what there is. A run that would be killed
 * after an hour, or that would page its weights in and out, is refused at second 1 with what to change. */
#ifndef YA_TRAIN_PLANNER_H
#define YA_TRAIN_PLANNER_H

#include "base/ctx.h"
#include "model/lora.h"

enum plan_item {
    PLAN_WEIGHTS,     /* base model: made forms in memory; what is mapped counts too, as every page is read in every step */
    PLAN_ADAPTER,     /* f32 masters */
    PLAN_GRADIENTS,   /* f32 */
    PLAN_MOMENTS,     /* two of f32 */
    PLAN_ACTIVATIONS, /* what the tape keeps for the longest micro-batch, and backward's own working set */
    PLAN_LOGITS,      /* the loss's chunk of logits and its gradient of the hidden states */
    PLAN_PROGRAM,     /* what the program holds already beside the adapter: tokenizer, index of the data */
    PLAN_SAVE,        /* a checkpoint on its way to the disk: adapter and moments in the page cache */
    PLAN_ITEMS
};
extern const char *const plan_item_name[PLAN_ITEMS];

enum plan_checkpoint { PLAN_CHECKPOINT_AUTO, PLAN_CHECKPOINT_ON, PLAN_CHECKPOINT_OFF };

/* The numbers a plan is a function of. */
struct plan_input {
    const struct model_config *model; /* NULL, as is lora: activations are the engine's own and not planned */
    const struct lora *lora;
    int64_t parameters; /* trained numbers */
    size_t weights_bytes;
    size_t program_bytes;   /* live allocations when the plan is made, without adapter, its gradients, moments, made forms */
    int64_t longest_tokens; /* of the longest micro-batch of training and validation */
    enum plan_checkpoint checkpoint;
    int64_t recomputed_blocks;       /* this many, whatever `checkpoint` says; negative: that decides */
    size_t max_bytes;                /* the user's own limit; 0: none */
    int64_t batch, max_length, rank; /* as the user gave them: for the advice */
};

struct plan {
    size_t bytes[PLAN_ITEMS], total;
    int64_t recomputed_blocks; /* AUTO: as few as fit. Never the last one: its backward comes first, when all else is kept */
    size_t free_bytes;         /* SIZE_MAX: unknown */
    bool limited;              /* free_bytes is the user's own limit, which is less */
};

/* Bytes that this process may still take: the least of MemAvailable and of the memory limits of its control groups (v1 and
 * v2) less what they use, page cache that can be dropped not counted. `root` goes before /proc and /sys ("" but in tests).
 * SIZE_MAX when nothing can be read. */
size_t plan_free_bytes(const char *root);

struct plan plan_make(const struct plan_input *in, size_t free_bytes);

/* E_FIT with the total, what is free and up to three changes with what each saves; OK when it fits. */
enum status plan_check(struct ctx *c, const struct plan_input *in, const struct plan *plan);

#endif
