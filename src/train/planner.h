/* planner: what a training needs in memory, by item, before its first step, and what there is. A run that would be killed
 * after an hour, or that would page its weights in and out, is refused at second 1 with what to change.
 *
 * Nothing is estimated. What a step needs is counted by running it without computing (engine_ops.count) on the longest
 * micro-batch of the run; what the program holds already is read from the system. */
#ifndef YA_TRAIN_PLANNER_H
#define YA_TRAIN_PLANNER_H

#include "base/ctx.h"
#include "model/parameter.h"

enum plan_item {
    PLAN_WEIGHTS,   /* base model: forms in memory; what is mapped counts too, as every page is read in every step */
    PLAN_ADAPTER,   /* f32 values of what is trained */
    PLAN_GRADIENTS, /* f32 */
    PLAN_MOMENTS,   /* two of f32 */
    PLAN_LAYOUT,    /* of the base, in the order in which products read them: where memory is plenty */
    PLAN_STEP,      /* forward, backward and update of the longest micro-batch: activations, loss, scratch of kernels, and on
                       a card adapters rounded for products */
    PLAN_PROGRAM,   /* what the program holds beside all that: tokenizer, index of the data, buffers for a checkpoint */
    PLAN_ITEMS
};
extern const char *const plan_item_name[PLAN_ITEMS];

enum plan_checkpoint { PLAN_CHECKPOINT_AUTO, PLAN_CHECKPOINT_ON, PLAN_CHECKPOINT_OFF };

/* Bytes of one step: see struct engine_need. */
struct plan_step {
    size_t held, touched, aside;
};

/* What a plan is a function of. */
struct plan_input {
    /* Counts a step of the longest micro-batch with the first so many blocks recomputed, below 0 with nothing recomputed at
     * all, and the first so many of those offloaded (engine.h). Fewer bytes, or as many, for more blocks. NULL: the engine
     * cannot tell, and steps count as nothing. */
    enum status (*count)(void *user, int64_t recomputed_blocks, int64_t offloaded_blocks, struct plan_step *out);
    void *user;
    struct ctx *c;  /* of `count`: with it, AUTO takes E_MEMORY for a step that does not fit. NULL: E_MEMORY ends the plan */
    bool keeps_all; /* AUTO begins at -1, nothing recomputed at all: where memory passes cost most */
    bool offloads;  /* inputs of recomputed blocks may lie in the host's memory, which is another one */
    size_t host_bytes;               /* of that what is free; SIZE_MAX: unknown */
    int64_t n_blocks;                /* of the model; 0: no blocks can be recomputed */
    int64_t parameters;              /* trained values */
    size_t weights_bytes;            /* of the base, mapped or in memory */
    size_t layout_bytes;             /* of the base laid out for products (engine_ops.lay_out); 0: cannot be */
    size_t program_bytes;            /* held now beside weights, values, gradients and moments, and what saving will take */
    enum plan_checkpoint checkpoint; /* gradient checkpointing: recompute blocks in backward */
    int64_t recomputed_blocks;       /* this many, whatever `checkpoint` says; negative: that decides */
    size_t max_bytes;                /* the user's own limit; 0: none */
    int64_t batch, max_length, rank; /* as the user gave them: for the advice */
};

struct plan {
    size_t bytes[PLAN_ITEMS], total;
    size_t held_step_bytes;    /* for engine_ops.limit */
    bool lays_out;             /* PLAN_LAYOUT is taken: see plan_make */
    int64_t recomputed_blocks; /* AUTO: as few as fit. Never the last one: its backward comes first, when all else is kept.
                                  -1: not even norms and swiglu are computed again */
    int64_t offloaded_blocks;  /* as few as fit, when recomputing alone does not do */
    size_t aside_bytes;        /* of the host's memory, for their inputs */
    size_t free_bytes;         /* SIZE_MAX: unknown */
    bool limited;              /* free_bytes is the user's own limit, which is less */
    bool fits;                 /* total in free_bytes, and aside_bytes in the host's memory */
};

/* Bytes that this process may still take: the least of MemAvailable, of the memory limits of its control groups (v1 and v2)
 * less what they use, page cache that can be dropped not counted, and of its own limits of address space and of data (ulimit
 * -v and -d) less what it has. Of files that are mapped, `mapped_bytes` are not counted as taken. `root` goes before /proc
 * and /sys ("" but in tests). SIZE_MAX when nothing can be read. */
size_t plan_free_bytes(const char *root, size_t mapped_bytes);
/* The same with what the process holds already (plan_used_bytes): what may be taken by all that a plan counts, when
 * `mapped_bytes` of its weights are mapped and the rest of what it has by now is in memory. */
size_t plan_room_bytes(const char *root, size_t mapped_bytes);
/* Anonymous memory that this process has now (RssAnon), in bytes; 0 when it cannot be read. */
size_t plan_used_bytes(const char *root);

/* What saving takes beside: buffers of the writers of a checkpoint, of metrics and of messages, and the largest parameter on
 * its way to the disk. */
size_t plan_saving_bytes(const struct parameters *trained);

/* Fills *out. The base is laid out for products where all of it then takes no more than half of what is free, and nothing
 * is recomputed to save memory. Fails with what `count` fails with. */
enum status plan_make(const struct plan_input *in, size_t free_bytes, struct plan *out);

/* A change of the options that saves memory. */
struct plan_advice {
    char text[96]; /* "--batch 2" */
    size_t saves;  /* bytes */
};
enum { PLAN_ADVICE_MAX = 3 };

/* What the run cannot do without: all but the weights laid out. */
static inline size_t plan_needed_bytes(const struct plan *p)
{
    return p->total - p->bytes[PLAN_LAYOUT];
}

/* Up to PLAN_ADVICE_MAX changes, the cheapest first, into list; *n becomes how many. Fails with what `count` fails with. */
enum status plan_advise(const struct plan_input *in, const struct plan *plan, struct plan_advice *list, int *n);

/* E_FIT with the total, what is free and up to three changes with what each saves; OK when it fits. */
enum status plan_check(struct ctx *c, const struct plan_input *in, const struct plan *plan);

#endif
