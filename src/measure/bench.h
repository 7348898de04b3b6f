/* bench: what a model does on this machine beside what the machine can do. Results are plain numbers; the program prints
 * them. All times are of the fastest of some runs, because other work on a machine only ever makes one slower; processor
 * time is that of the same run. */
#ifndef YA_EVAL_BENCH_H
#define YA_EVAL_BENCH_H

#include "backend/profile.h"
#include "io/tokenizer/tokenizer.h"
#include "model/model.h"

enum { BENCH_MAX_KERNELS = 24 };

struct bench_options {
    int64_t documents, length; /* of a training step: micro-batch of `documents` of `length` tokens */
    int64_t rank;              /* of the adapter on all linear layers */
    int64_t new_tokens;        /* that generation adds, >= 2 */
    int64_t runs;              /* >= 1 */
};

struct bench_machine {
    int threads;
    double fma_one, fma;     /* GFLOP/s in f32, of one thread and of all; 0: not known */
    double int_one, integer; /* Gop/s of 16-bit multiply-adds, likewise */
    double read;             /* GB/s */
};

/* One kernel of a training step, with the weights of block 0 as they are stored. */
struct bench_kernel {
    const char *name;
    double flops, bytes; /* of a call: operations, a multiply-add being two; operands, results and weights, each once */
    int64_t times;       /* a step has it */
    double seconds;      /* of the fastest call */
};

/* A part of the work, with the time of each primitive in it. */
struct bench_phase {
    int64_t tokens;                   /* that went through the model in it */
    double seconds, cpu_seconds;      /* by the clock; processor time of all threads */
    struct profile_row row[OP_COUNT]; /* by enum op */
};

struct bench {
    struct bench_machine machine;
    struct bench_kernel kernel[BENCH_MAX_KERNELS];
    int n_kernels;
    struct bench_phase step;           /* forward, backward, norm and update; tokens 0: not measured */
    double loss, grad_norm;            /* of the first step */
    struct bench_phase prompt, decode; /* the pass of the prompt; each token after it */
    double decode_bytes;               /* of weights that one token reads */
    struct ids generated;              /* owned by the caller: ids_release */
};

/* Measures the ceilings of the machine (machine.h) into b->machine, on one thread and on all of the ctx. E_MEMORY. */
enum status bench_machine_run(struct ctx *c, struct bench *b);
/* Runs each kernel of a training step alone, on operands of noise at the model's shapes, into b->kernel. E_INPUT when a
 * document is longer than the model's context. */
enum status bench_kernels_run(struct model *m, const struct bench_options *o, struct bench *b);
/* Training steps of a new adapter on `text`, repeated to the documents' length. The ctx computes on p->backend. */
enum status bench_step_run(struct model *m, struct profile *p, const struct bench_options *o, const struct ids *text,
                           struct bench *b);
/* Greedy generation behind `prompt`; stop tokens do not stop it. The ctx computes on p->backend. */
enum status bench_generate_run(struct model *m, struct profile *p, const struct bench_options *o, const struct ids *prompt,
                               struct bench *b);

#endif
