/* emulator: runs the CUDA kernels on the host, so that their indexing and arithmetic are tested where there is no card. The .cu
 * files are compiled as C++ with the headers beside this file in place of CUDA's. Blocks run one after the other; each thread of a
 * block is a fiber that runs until it meets a barrier or an exchange between the lanes of its warp. What this cannot show: races,
 * missing waits, alignment, limits of registers and shared memory, speed. */
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <ucontext.h>

#include "backend/cuda/cuda_attention.cu"
#include "backend/cuda/cuda_attention_bulk.cu"
#include "backend/cuda/cuda_attention_bwd.cu"
#include "backend/cuda/cuda_attention_one.cu"
#include "backend/cuda/cuda_dropout.cu"
#include "backend/cuda/cuda_elementwise.cu"
#include "backend/cuda/cuda_generic.cu"
#include "backend/cuda/cuda_kernel_list.h"
#include "backend/cuda/cuda_lora.cu"
#include "backend/cuda/cuda_loss.cu"
#include "backend/cuda/cuda_optim.cu"
#include "backend/cuda/cuda_rms_norm.cu"
#include "backend/cuda/cuda_rope.cu"
#include "backend/cuda/cuda_spread.cu"
#include "backend/cuda/cuda_swiglu.cu"
#include "backend/cuda/cuda_thin.cu"
#include "backend/cuda/cuda_vector.cu"
#include "backend/cuda/cuda_widen.cu"

enum { MOST_THREADS = 1024, STACK_BYTES = 128 << 10 };

struct fiber {
    emulated_thread thread;
    jmp_buf state;
    bool started, done, waiting;
    int waits_for; /* the turn (of its warp or of the block) that has to come */
    bool of_block;
    const emulated_barrier *barrier; /* what it waits for instead */
    int parity;
};

/* Values that the lanes of a warp exchange, two turns deep: the next exchange may begin while some lanes still read this one. */
struct warp {
    unsigned char values[2][32][64];
    int arrived, lanes, turn;
};

emulated_thread *emulated_current;
emulated_block_index emulated_block;
emulated_index emulated_block_dim, emulated_grid_dim;
unsigned char *emulated_shared;

static fiber fibers[MOST_THREADS];
static warp warps[MOST_THREADS / 32];
static char *stacks;
static jmp_buf scheduler;
static int n_fibers, alive, block_arrived, block_turn;
static void (*kernel_call)(const void *);
static const void *kernel_args;

static void fiber_wait(bool of_block, int turn)
{
    fiber *f = (fiber *)emulated_current; /* its first member */
    f->waiting = true, f->of_block = of_block, f->waits_for = turn;
    if (!_setjmp(f->state)) _longjmp(scheduler, 1);
}

void emulated_barrier_wait(const emulated_barrier *b, int parity)
{
    fiber *f = (fiber *)emulated_current;
    if ((int)(b->phase & 1) != parity) return;
    f->barrier = b, f->parity = parity;
    fiber_wait(false, 0);
    f->barrier = nullptr;
}

void __syncthreads()
{
    int turn = block_turn + 1;
    if (++block_arrived == alive) {
        block_arrived = 0, block_turn = turn;
        return;
    }
    fiber_wait(true, turn);
}

const unsigned char (*emulated_gather(const void *mine, size_t bytes))[64]
{
    warp *w = &warps[emulated_current->warp];
    int turn = w->turn + 1;
    memcpy(w->values[turn & 1][emulated_current->lane], mine, bytes);
    if (++w->arrived == w->lanes) w->arrived = 0, w->turn = turn;
    else fiber_wait(false, turn);
    return w->values[turn & 1];
}

static void fiber_main()
{
    kernel_call(kernel_args);
    fiber *f = (fiber *)emulated_current;
    f->done = true;
    _longjmp(scheduler, 1);
}

static void fiber_start(int i)
{
    ucontext_t context, back;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + (size_t)i * STACK_BYTES;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, fiber_main, 0);
    swapcontext(&back, &context);
}

/* Lets one fiber run until it waits or ends. */
static void fiber_resume(int i)
{
    fiber *f = &fibers[i];
    emulated_current = &f->thread;
    if (_setjmp(scheduler)) return;
    f->waiting = false;
    if (f->started) _longjmp(f->state, 1);
    f->started = true;
    fiber_start(i);
}

static bool fiber_ready(const fiber *f)
{
    if (f->done) return false;
    if (f->waiting && f->barrier) return (int)(f->barrier->phase & 1) != f->parity;
    return !f->waiting || (f->of_block ? block_turn : warps[f->thread.warp].turn) >= f->waits_for;
}

/* A thread that has ended takes part in no barrier any more. */
static void fiber_ended(const fiber *f)
{
    alive--;
    warps[f->thread.warp].lanes--;
    if (alive > 0 && block_arrived == alive) block_arrived = 0, block_turn++;
}

static void run_block()
{
    alive = n_fibers, block_arrived = 0, block_turn = 0;
    memset(warps, 0, sizeof(warps));
    for (int i = 0; i < n_fibers; i++) {
        fibers[i] = fiber{};
        fibers[i].thread = {{(unsigned)i, 0}, i % 32, i / 32};
        warps[i / 32].lanes++;
    }
    while (alive > 0) {
        bool progress = false;
        for (int i = 0; i < n_fibers; i++) {
            if (!fiber_ready(&fibers[i])) continue;
            fiber_resume(i);
            progress = true;
            if (fibers[i].done) fiber_ended(&fibers[i]);
        }
        if (!progress) {
            fprintf(stderr, "emulator: every thread waits: a barrier that some of them do not reach\n");
            abort();
        }
    }
}

template <typename ARGS, void (*KERNEL)(const ARGS)> static void call_kernel(const void *args)
{
    KERNEL(*(const ARGS *)args);
}
template <typename ARGS> ARGS args_of(void (*)(ARGS));

struct named_kernel {
    const char *name;
    void (*call)(const void *);
    size_t args_bytes;
};
static const named_kernel KERNELS[] = {
#define EMULATED(name, file) {#name, call_kernel<decltype(args_of(name)), name>, sizeof(decltype(args_of(name)))},
    CUDA_KERNELS(EMULATED)
#undef EMULATED
};

/* Blocks that a kernel does not tell apart each make the whole result: right where it is only written, but work done many times,
 * and wrong where it is added to. A kernel that asks for neither index has ended before its work (adamw that refuses a norm). */
static void check_grid(const char *kernel, unsigned x, unsigned y)
{
    const emulated_block_index &b = emulated_block;
    if ((x == 1 || b.x.read || !b.y.read) && (y == 1 || b.y.read || !b.x.read)) return;
    fprintf(stderr, "emulator: %s has a grid of %u x %u blocks and never reads blockIdx.%s: cuda_kernels.c makes the grid of another kernel\n",
            kernel, x, y, b.x.read ? "y" : "x");
    abort();
}

extern "C" size_t emulator_args_bytes(int kernel)
{
    return KERNELS[kernel].args_bytes;
}

extern "C" void emulator_launch(int kernel, unsigned x, unsigned y, unsigned threads, unsigned shared, const void *args)
{
    if (!stacks) stacks = (char *)malloc((size_t)MOST_THREADS * STACK_BYTES);
    /* A little more than was asked for would hide an overrun: exactly that, and poisoned. */
    emulated_shared = (unsigned char *)aligned_alloc(16, (shared + 15) / 16 * 16 + 16);
    memset(emulated_shared, 0xff, shared);
    n_fibers = (int)threads;
    emulated_block_dim = {threads, 1}, emulated_grid_dim = {x, y};
    kernel_call = KERNELS[kernel].call, kernel_args = args;
    emulated_block = {};
    for (unsigned i = 0; i < y; i++) {
        for (unsigned j = 0; j < x; j++) {
            emulated_block.x.value = j, emulated_block.y.value = i;
            run_block();
        }
    }
    check_grid(KERNELS[kernel].name, x, y);
    free(emulated_shared);
}
