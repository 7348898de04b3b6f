/* support_cpu: judges the tuned rows by the reference in f64. Every operand exists twice, as f32 and as f64 with the same
 * values; a check runs the reference on the doubles and every table of inner loops on the floats, with 1, 2, 3 and 7
 * threads. Results must be close to the first, and the same bytes for every number of threads. Arrays are those of
 * support_ref.h: guards around and between rows. */
#ifndef YA_TESTS_SUPPORT_CPU_H
#define YA_TESTS_SUPPORT_CPU_H

#include "backend/cpu/cpu_kernels.h"
#include "support_ref.h"

struct twin {
    struct array *single, *twice; /* f32 and f64; the same array for i32 */
};

struct cpu_fixture {
    struct ref_fixture f;
    double tolerance; /* of |difference| / (|reference| + floor sqrt(elements)), per result */
    double floor;     /* size of what cancels in a result that may be 0; default 0 */
    int threads;      /* one more number of threads to compute with; default 0: none */
    int n_blobs;      /* weights' memory */
    void *blobs[16];
};

void cpu_open(struct cpu_fixture *t);
void cpu_close(struct cpu_fixture *t);

/* Noise in (-scale, scale); rows `pad` elements apart beyond their length. */
struct twin cpu_noise(struct cpu_fixture *t, int64_t pad, double scale, uint64_t seed, int ndim, const int64_t *shape);
struct twin cpu_ints(struct cpu_fixture *t, int64_t n, const int32_t *values);
/* Undefined elements (NaN), contiguous but for `pad`. The second: an f64 result in both (statistics). */
struct twin cpu_empty(struct cpu_fixture *t, int64_t pad, int ndim, const int64_t *shape);
struct twin cpu_empty_f64(struct cpu_fixture *t, int64_t n);

/* A weight of noise in the given stored type; rows shuffled in memory behind a row map when `mapped`; memory ends where the
 * last row ends, so ASan sees a read past it; it starts at an odd address when `odd`. */
struct weight *cpu_weight(struct cpu_fixture *t, enum tensor_type type, int64_t rows, int64_t cols, bool mapped, bool odd);

/* Puts one of these into a made form, in memory that ends where its last row ends. */
void cpu_weight_to_form(struct cpu_fixture *t, struct weight *w, enum weight_form form);

/* The tables of inner loops to judge: all that this processor runs, by the dispatcher's word. YA_TEST_TABLE in the
 * environment names one that is to be judged alone, and then has to run, with 1 and 3 threads: for emulators
 * (scripts/emulate-avx512.sh). Returns how many. */
struct cpu_table {
    const char *name; /* YA_CPU's */
    const struct cpu_kernels *kernels;
};
enum { CPU_TABLES = 6 };
int cpu_tables(struct cpu_table tables[CPU_TABLES]);

/* One call: twins as operands and results; NULL members where the row has none. */
struct cpu_call {
    enum op op;
    struct twin in[OP_MAX_IN], out[OP_MAX_OUT];
    const void *params;
    const struct step_values *step;
    int in_place; /* the first n operands are results too */
};
void cpu_check(struct cpu_fixture *t, const struct cpu_call *call, const char *what);

#endif
