/* bench_peak: what this machine can do at most, measured. */
#ifndef YA_BENCH_PEAK_H
#define YA_BENCH_PEAK_H

#include "base/ctx.h"

double bench_seconds(void); /* monotonic clock */
/* From now on bench_seconds is processor time of the process: for one thread on a machine that others use too. */
void bench_use_cpu_time(void);

/* f32 multiply-adds of the widest vectors that the backend uses, on all threads of the ctx, in GFLOP/s. 0 where not known.
 */
double bench_peak_fma(struct ctx *c);
/* Reading memory of `bytes` a thread, in GB/s of all threads. */
double bench_peak_read(struct ctx *c, size_t bytes);

#endif
