/* machine: what this machine can do at most, measured, and the two clocks that everything is compared by. */
#ifndef YA_EVAL_MACHINE_H
#define YA_EVAL_MACHINE_H

#include "base/ctx.h"

/* The monotonic clock, and the processor time of all threads of this process, in seconds. The second is the one to compare
 * on a machine that others use too. */
double machine_seconds(void);
double machine_cpu_seconds(void);
/* What work of all threads that took so much of both clocks takes on a machine that does nothing else: processor time
 * divided among the threads, which wait for each other in loops, so what others take of the clock is not in it. A card is
 * waited for, so there the clock tells, and it does for less than a fiftieth of a second. The ctx computes. */
double machine_quiet_seconds(struct ctx *c, double seconds, double cpu_seconds);

/* f32 multiply-adds of the widest vectors that the backend uses, in GFLOP/s of `threads` threads together (1 to those of the
 * ctx); a multiplication and an addition are two operations. One thread is measured by processor time, several by the clock.
 * 0 where no such loop is written: on processors other than x86-64 with AVX2. */
double machine_fma(struct ctx *c, int threads);
/* The same for 16-bit integers, multiplied and added to 32-bit sums: what products of --compute int8x2 and int8 are made of
 * where there is no VNNI. In Gop/s, a multiplication and an addition are two. */
double machine_int(struct ctx *c, int threads);
/* Reading memory of `bytes` a thread, far more than the caches hold, in GB/s of all threads. 0 with E_MEMORY. */
double machine_read(struct ctx *c, size_t bytes);

#endif
