/* cpu_attention_bf16: keys and values of a call rounded to bf16 once, in the layouts in which tiles read them, and the
 * products of a tile. The header says why operands are laid out as they are. */
#include "backend/cpu/attention/cpu_attention_bf16.h"

#include "base/threads.h"

/* The rounding of one call's keys and values, as all its work items see it. */
struct round_work {
    const struct attention_bf16 *b;
    const struct cpu_segments *segments;
    const struct array *k, *v;
    float *scratch; /* (D, GROUP) for each worker */
};

/* ---- keys and values ------------------------------------------------------------------------------------------------- */

/* Keys [0, keys) of src, rows ld apart, as columns of `transposed`, GROUP of them: 0 behind the last. */
static void transpose_keys(const struct attention_bf16 *b, const float *src, int64_t ld, int64_t keys, float *scratch,
                           uint32_t *transposed)
{
    for (int64_t i = 0; i < keys; i += b->kernels->nr)
        b->kernels->transpose(scratch + i, BF16_GROUP, src + i * ld, ld, cpu_min(b->kernels->nr, keys - i), b->d, 1.0f);
    for (int64_t r = 0; r < b->d; r++) {
        float *row = scratch + r * BF16_GROUP;
        for (int64_t i = keys; i < BF16_GROUP; i++) row[i] = 0;
        b->q->round((uint16_t *)(transposed + r * b->transposed_steps), row, BF16_GROUP);
    }
}

/* The segment that a place belongs to. */
static int64_t segment_of_place(const struct attention_bf16 *b, int64_t n_segments, int64_t place)
{
    int64_t low = 0, high = n_segments;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (b->first[middle] <= place)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Rounds the keys [place, place + keys) of one key head: as rows, as columns of the transpose, or both. */
static void round_keys(const struct round_work *w, const struct attention_rounded *to, const struct array *from, int64_t row,
                       int64_t group, int64_t place, int64_t keys, float *scratch)
{
    const struct attention_bf16 *b = w->b;
    const float *src = attention_row(from, row, group);
    if (to->rows)
        bf16_round_rows(b->q, src, from->stride[0], keys, b->d, to->rows + (group * b->places + place) * b->row_steps);
    if (to->transposed)
        transpose_keys(b, src, from->stride[0], keys, scratch,
                       to->transposed + group * b->transposed_rows * b->transposed_steps + place / 2);
}

/* A work item is GROUP places of one key head. */
static void round_item(void *arg, int64_t item, int worker)
{
    const struct round_work *w = arg;
    const struct attention_bf16 *b = w->b;
    int64_t group = item % b->groups, place = item / b->groups * BF16_GROUP;
    int64_t s = segment_of_place(b, w->segments->n, place);
    struct attention_segment g = attention_segment_of(w->segments, s);
    int64_t key = place - b->first[s], keys = cpu_min(BF16_GROUP, g.nk - key);
    float *scratch = w->scratch + worker * b->d * BF16_GROUP;
    round_keys(w, &b->k, w->k, g.k + key, group, place, keys, scratch);
    round_keys(w, &b->v, w->v, g.k + key, group, place, keys, scratch);
}

/* Scratch for the rounded rows of all key heads. */
static uint32_t *attention_bf16_rows_of(struct ctx *c, const struct attention_bf16 *b, bool wanted)
{
    /* tiles read whole groups of mr rows */
    int64_t steps = (b->groups * b->places + b->q->mr) * b->row_steps;
    return wanted ? (uint32_t *)cpu_scratch_f32(c, steps) : NULL;
}

/* Scratch for the rounded transposes of all key heads. */
static uint32_t *transposed_of(struct ctx *c, const struct attention_bf16 *b, bool wanted)
{
    return wanted ? (uint32_t *)cpu_scratch_f32(c, b->groups * b->transposed_rows * b->transposed_steps) : NULL;
}

/* Each segment takes whole groups of places; a work item rounds one group of one key head, its rows and their transpose. */
enum status attention_bf16_open(struct ctx *c, struct attention_bf16 *out, const struct cpu_kernels *kernels,
                                const struct cpu_segments *segments, const struct array *k, const struct array *v,
                                struct attention_bf16_wants wants)
{
    *out = (struct attention_bf16){.kernels = kernels, .q = kernels->bf16, .groups = k->shape[1], .d = k->shape[2]};
    struct attention_bf16 *b = out;
    b->first = cpu_scratch(c, DTYPE_I64, segments->n + 1);
    if (!b->first) return c->status;
    b->first[0] = 0;
    for (int64_t s = 0; s < segments->n; s++)
        b->first[s + 1] = b->first[s] + cpu_round_up(attention_segment_of(segments, s).nk, BF16_GROUP);
    b->places = b->first[segments->n];
    b->row_steps = bf16_row_steps(b->d);
    b->transposed_rows = cpu_round_up(b->d, b->q->mr);
    b->transposed_steps = bf16_row_steps(b->places);
    b->k = (struct attention_rounded){attention_bf16_rows_of(c, b, true), transposed_of(c, b, wants.k_transposed)};
    b->v = (struct attention_rounded){attention_bf16_rows_of(c, b, wants.v_rows), transposed_of(c, b, wants.v_transposed)};
    struct round_work w = {.b = b, .segments = segments, .k = k, .v = v};
    w.scratch = cpu_scratch_f32(c, b->d * BF16_GROUP * threads_count(c));
    if (ctx_ok(c)) threads_run(c, b->places / BF16_GROUP * b->groups, round_item, &w);
    return c->status;
}

/* ---- blocks and tiles ------------------------------------------------------------------------------------------------ */

int64_t attention_bf16_tile_steps(void)
{
    return (ATTENTION_KEYS + BF16_MAX_MR) * bf16_row_steps(ATTENTION_COLUMNS);
}

int64_t attention_bf16_block_steps(const struct attention_bf16 *b)
{
    return ATTENTION_COLUMNS * b->row_steps;
}

int64_t attention_bf16_panel_steps(const struct attention_bf16 *b, int64_t k, int64_t n)
{
    return bf16_steps(k) * cpu_round_up(n, cpu_max(b->kernels->nr, 16));
}

void attention_bf16_pack_block(const struct attention_bf16 *b, const float *block, int64_t ld, int64_t n, uint32_t *rounded,
                               uint32_t *columns, uint32_t *rows)
{
    int64_t nr = b->kernels->nr, stride = bf16_steps(b->d) * nr;
    bf16_round_rows(b->q, block, ld, n, b->d, rounded);
    bf16_pack_rounded(b->kernels, b->q, GEMM_TRANSPOSED, rounded, b->row_steps, b->d, n, columns, stride);
    for (int64_t j = cpu_round_up(n, nr); j < cpu_round_up(n, 16); j += nr)
        memset(columns + j / nr * stride, 0, (size_t)stride * sizeof *columns);
    if (rows)
        bf16_pack_rounded(b->kernels, b->q, GEMM_ROWS, rounded, b->row_steps, n, b->d, rows,
                          bf16_steps(ATTENTION_COLUMNS) * nr);
}

void attention_bf16_scores(const struct attention_bf16 *b, const struct attention_rounded *of, int64_t segment,
                           int64_t group, int64_t key, int64_t keys, const uint32_t *panels, int64_t columns, float *tile)
{
    struct bf16_block g = {.q = b->q,
                           .m = keys,
                           .n = columns,
                           .n_parts = 1,
                           .part = {{.k = b->d,
                                     .a = of->rows + (group * b->places + b->first[segment] + key) * b->row_steps,
                                     .rs = b->row_steps,
                                     .panels = panels,
                                     .panel_stride = bf16_steps(b->d) * b->kernels->nr}},
                           .c = tile,
                           .ldc = ATTENTION_COLUMNS};
    bf16_block(b->kernels, &g);
}

void attention_bf16_add_transposed(const struct attention_bf16 *b, const struct attention_rounded *of, int64_t segment,
                                   int64_t group, int64_t key, int64_t keys, const uint32_t *panels, int64_t columns,
                                   float *transposed)
{
    struct bf16_block g = {
        .q = b->q,
        .m = b->d,
        .n = columns,
        .n_parts = 1,
        .part = {{.k = keys,
                  .a = of->transposed + group * b->transposed_rows * b->transposed_steps + (b->first[segment] + key) / 2,
                  .rs = b->transposed_steps,
                  .panels = panels,
                  .panel_stride = bf16_steps(ATTENTION_KEYS) * b->kernels->nr}},
        .c = transposed,
        .ldc = ATTENTION_COLUMNS,
        .accumulate = true};
    bf16_block(b->kernels, &g);
}
