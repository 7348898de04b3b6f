/* cpu_loss: what LINEAR_CROSS_ENTROPY's frame (cpu_loss.c) and its three methods of computing (f32, integers, bf16) share.
 *
 * A word is a token of the vocabulary, a row W_v of the weight; a row is one of h, a token of the micro-batch. The frame
 * cuts the work: a work item (struct loss_item) is some blocks of rows of h against a slice of the vocabulary. The method
 * carries it out, one tile of logits (rows x words) after the other, and leaves the running softmax of the slice: its
 * maximum, the sum of e^(logit - max), and when a gradient is wanted the sum of e^(logit - max) W_v. The frame then joins
 * the slices. */
#ifndef YA_BACKEND_CPU_CPU_LOSS_H
#define YA_BACKEND_CPU_CPU_LOSS_H

#include "array/backend.h"
#include "backend/cpu/cpu_kernels.h"

struct loss_work {
    const struct op_call *call;
    const struct loss_method *method;
    const struct cpu_kernels *kernels;
    const struct weight *w;
    int64_t n, width, ld;        /* rows that count; C; padded C */
    int64_t slices, slice_words; /* of the vocabulary; words of each but the last, a multiple of method->words */
    int64_t group;               /* blocks of rows that a work item has: a tile of words is packed once for all of them */
    int64_t pass, pass_words;    /* words of each slice that work items go through now, and how many: see loss_method */
    int64_t shared_words; /* words of each slice that a method which shares packs at a time, and at whose ends its tiles end,
                             also where nothing is packed: sums depend on it */
    float *panels, *h;    /* of methods that share: the words of the pass, packed; h, rounded */
    int64_t *row;         /* (n) where they are */
    float *dh;            /* (slices, n, ld) or NULL: sum over the slice of e^(logit - max) W_v */
    double *sum;          /* (slices, n): of e^(logit - max) */
    float *max;           /* (slices, n) */
    float *target;        /* (n) logit of the target */
    double *nll;          /* (n) */
    float *scratch;
    int64_t scratch_floats;
};

enum { LOSS_MOST_BLOCKS = 4 };

struct loss_item {
    int64_t slice;
    int64_t first, n;  /* rows [first, first + n) of the compacted, at most group * method->rows */
    int64_t word, end; /* of the vocabulary; word is a multiple of method->words */
    float *max;        /* (n): to be written, as are sum and dh */
    double *sum;
    float *dh; /* (n, ld) or NULL; columns past width are undefined */
    float *scratch;
};

/* Most methods pack the words of a tile for themselves, and a work item has a whole slice. One that shares what it packs
 * goes through the slices in passes of pass_words: all threads pack the words of a pass, then multiply all rows with them.
 * Its work items have one block of rows, and find in max, sum and dh what the passes before have left. Where the words are
 * packed already there is one pass. */
struct loss_method {
    int64_t rows, words;                                  /* a tile of logits: of a block of rows and some words */
    int64_t (*scratch_floats)(const struct loss_work *w); /* what loss_item.scratch must hold */
    /* Also notes the logits of the targets that lie in the slice. */
    void (*run)(const struct loss_work *w, const struct loss_item *item);
    const struct loss_sharing *sharing; /* NULL: shares nothing */
};

struct loss_sharing {
    int64_t most_slices, words;                              /* slices at most; words of a pass, of all slices together */
    int64_t (*panel_floats)(const struct loss_work *w);      /* of loss_work.panels */
    int64_t (*h_floats)(const struct loss_work *w);          /* of loss_work.h */
    bool (*packed)(const struct loss_work *w);               /* whether all words are packed already */
    int64_t (*pack_items)(const struct loss_work *w);        /* work items that pack a pass */
    void (*pack_item)(void *work, int64_t item, int worker); /* work: the struct loss_work */
    void (*h_item)(void *work, int64_t block, int worker);   /* rounds a block of rows of h, before the first pass */
};
extern const struct loss_method loss_method_f32, loss_method_int, loss_method_bf16;

/* The words of a slice that the pass goes through: how many, from *word on. 0 where the last slice is shorter. */
int64_t loss_pass_words(const struct loss_work *w, int64_t slice, int64_t *word);

/* For methods whose tiles of logits have rows down and words across, `ld` apart. Rows [at, at + n) of the item against
 * words [word, word + words): notes the logits of the targets among them, makes p = e^(logit - max) of the logits, and
 * scales down what the rows have so far, sum and dh, where the maximum rose. */
struct loss_tile {
    int64_t at, n, word, words;
    float *logits;
    int64_t ld;
};
void loss_softmax_rows(const struct loss_work *w, const struct loss_item *item, const struct loss_tile *t);

/* A part of a work item's scratch: where its address goes, and how many floats it has. */
struct loss_part {
    float **start;
    int64_t floats;
};
/* Lays n parts out one after the other from `scratch` on, each at a multiple of 16 floats; returns their end. */
float *loss_lay_out(const struct loss_part *parts, size_t n, float *scratch);

/* The targets of all rows of the call, not only of those that count. */
static inline const int32_t *loss_targets(const struct loss_work *w)
{
    return w->call->in[1]->data;
}

#endif
