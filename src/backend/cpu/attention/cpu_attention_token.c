/* cpu_attention_token: attention of one token over a key-value cache, as generation needs it for every token. The tiles of
 * cpu_attention.c would be nearly empty here: at least 16 columns for the few query heads that share a key head, and as
 * many exponentials.
 *
 * A work item is a slice of the keys, with all key heads: they lie side by side in the cache, which has to come from
 * memory, and reading it is what takes the time. Scores are computed four keys at a time (dot_rows), then a softmax within
 * the slice, then one product of few rows with V where it lies. The slices' results are brought together at the end, in
 * order. With m the largest of their maxima m_s:
 *
 *   o = sum of e^(m_s - m) o_s / sum of e^(m_s - m) l_s      l_s = sum over the slice of e^(score - m_s) */
#include "backend/cpu/attention/cpu_attention_token.h"

#include <float.h>
#include <math.h>

#include "base/threads.h"

/* Keys of a slice: a few items a thread already at a hundred keys, at most some SLICES to join at thousands. */
enum { KEYS = 32, SLICES = 64 };

struct attention_token_work {
    const struct op_call *call;
    const struct cpu_kernels *kernels;
    float scale;
    int threads;
    int64_t heads, groups, share, d, ld;         /* H, G, H / G, D, padded D */
    int64_t first_key, keys, slices, slice_keys; /* keys that are seen */
    float *out;                                  /* (slices, H, ld) o_s */
    float *max, *sum;                            /* (slices, H) */
    float *scratch;                              /* scores (H, slice_keys), copy (slice_keys, ld); a worker */
    int64_t scratch_floats;
};

/* Prefetches rows [first, end) of an (S, G, D) array, all key heads. */
static void prefetch_rows(const struct array *a, int64_t first, int64_t end)
{
    const char *last = (const char *)attention_row(a, end - 1, a->shape[1] - 1) + (size_t)a->shape[2] * sizeof(float);
    for (const char *p = (const char *)attention_row(a, first, 0); p < last; p += 64) __builtin_prefetch(p);
}

/* Scores of every query head against keys [key, key + n): head h's row at scores + h * slice_keys. Rows of V that the
 * product after the softmax will read are prefetched meanwhile. */
static void score(const struct attention_token_work *w, int64_t key, int64_t n, float *scores)
{
    const struct array *q = w->call->in[0], *k = w->call->in[1];
    struct cpu_dot d = {.form = WEIGHT_STORED, .type = TENSOR_F32, .k = w->d};
    for (int64_t j = 0; j < n; j += CPU_DOT_ROWS) {
        int64_t some = cpu_min(CPU_DOT_ROWS, n - j), ahead = cpu_min(j + 2 * CPU_DOT_ROWS, n - 1);
        prefetch_rows(k, key + ahead, key + cpu_min(ahead + CPU_DOT_ROWS, n));
        prefetch_rows(w->call->in[2], key + j, key + j + some);
        for (int64_t h = 0; h < w->heads; h++) {
            float dot[CPU_DOT_ROWS];
            if (h % w->share == 0)
                for (int i = 0; i < CPU_DOT_ROWS; i++)
                    d.row[i] = attention_row(k, key + j + cpu_min(i, some - 1), h / w->share);
            d.x = attention_row(q, 0, h);
            w->kernels->dot_rows(&d, dot);
            for (int64_t i = 0; i < some; i++) scores[h * w->slice_keys + j + i] = w->scale * dot[i];
        }
    }
}

/* One slice: scores, softmax, and o_s (H, D) = softmax numerators times V, left undivided with its maximum and its sum. */
static void slice_item(void *arg, int64_t item, int worker)
{
    const struct attention_token_work *w = arg;
    int64_t slice = threads_stretch(item, w->slices, w->threads);
    const struct array *v = w->call->in[2];
    int64_t key = w->first_key + slice * w->slice_keys, n = cpu_min(w->slice_keys, w->first_key + w->keys - key);
    float *scores = w->scratch + worker * w->scratch_floats, *copy = scores + w->heads * w->slice_keys;
    score(w, key, n, scores);
    for (int64_t h = 0; h < w->heads; h++) {
        float *max = &w->max[slice * w->heads + h];
        *max = -FLT_MAX;
        w->kernels->row_softmax(scores + h * w->slice_keys, n, max, &w->sum[slice * w->heads + h]);
    }
    for (int64_t group = 0; group < w->groups; group++) {
        const float *values = attention_row(v, key, group);
        int64_t head = group * w->share, ldv = v->stride[0];
        if (w->d % w->kernels->nr != 0) values = gemm_direct_rows(w->kernels, values, &ldv, n, w->d, copy);
        struct gemm_block product = {.m = w->share,
                                     .n = w->d,
                                     .k = n,
                                     .a = scores + head * w->slice_keys,
                                     .rs = w->slice_keys,
                                     .cs = 1,
                                     .b = values,
                                     .panel_stride = w->kernels->nr,
                                     .ldb = ldv,
                                     .c = w->out + (slice * w->heads + head) * w->ld,
                                     .ldc = w->ld};
        gemm_block(w->kernels, &product);
    }
}

/* The formula at the head of this file, for every head; also lse = m + log of the sum, which training's backward would
 * read. */
static void join_slices(const struct attention_token_work *w)
{
    for (int64_t h = 0; h < w->heads; h++) {
        float *o = attention_row(w->call->out[0], 0, h), max = -FLT_MAX, sum = 0;
        for (int64_t s = 0; s < w->slices; s++) max = fmaxf(max, w->max[s * w->heads + h]);
        for (int64_t s = 0; s < w->slices; s++) {
            int64_t at = s * w->heads + h;
            float share = expf(w->max[at] - max);
            sum += share * w->sum[at];
            if (s == 0)
                w->kernels->scale(o, share, w->out + at * w->ld, w->d);
            else
                w->kernels->axpy(o, share, w->out + at * w->ld, w->d);
        }
        w->kernels->scale(o, 1.0f / sum, o, w->d);
        ((float *)w->call->out[1]->data)[h] = max + logf(sum);
    }
}

bool cpu_attention_token_fits(const struct op_call *call, const struct cpu_kernels *kernels)
{
    return kernels->dot_rows && call->in[0]->shape[0] == 1 && call->in[3]->shape[0] == 2;
}

/* The keys that the one query sees, all but those before its window, are cut into at most SLICES slices of whole KEYS: by
 * their number alone, so that the bits do not depend on the threads. */
enum status cpu_attention_token(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct attention_params *p = call->params;
    const struct array *q = call->in[0], *k = call->in[1];
    struct cpu_segments segments = cpu_segments_of(p, call->in[3], call->in[4]);
    struct attention_segment seg = attention_segment_of(&segments, 0);
    struct attention_token_work w = {.call = call,
                                     .kernels = kernels,
                                     .scale = (float)p->scale,
                                     .threads = threads_count(c),
                                     .heads = q->shape[1],
                                     .groups = k->shape[1],
                                     .share = q->shape[1] / k->shape[1],
                                     .d = q->shape[2],
                                     .ld = gemm_direct_ld(q->shape[2])};
    w.first_key = seg.k + attention_first_key(&seg, 0);
    w.keys = seg.k + attention_end_key(&seg, 0) - w.first_key;
    w.slice_keys = cpu_round_up(cpu_div_up(w.keys, SLICES), KEYS);
    w.slices = cpu_div_up(w.keys, w.slice_keys);
    int mark = scope_open(c);
    w.scratch_floats = cpu_round_up(w.slice_keys * (w.heads + w.ld), 16);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    w.out = cpu_scratch_f32(c, w.slices * w.heads * w.ld);
    w.max = cpu_scratch_f32(c, w.slices * w.heads);
    w.sum = cpu_scratch_f32(c, w.slices * w.heads);
    if (ctx_ok(c)) {
        threads_run(c, w.slices, slice_item, &w);
        join_slices(&w);
    }
    scope_close(c, mark);
    return c->status;
}
