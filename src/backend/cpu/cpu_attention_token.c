/* cpu_attention_token: attention of one token over a cache. The tiles of cpu_attention.c would be nearly empty: 16 columns
 * and more for the few heads that share a key head, and as many exponentials.
 *
 * A job is one key head and a slice of the keys: scores four keys at a time (dot_rows), softmax within the slice, and one
 * product of few rows with V where it lies. Slices meet at the end, in order: with m the largest of their maxima m_s,
 *
 *   o = sum of e^(m_s - m) o_s / sum of e^(m_s - m) l_s      l_s = sum over the slice of e^(score - m_s) */
#include "backend/cpu/cpu_attention_token.h"

#include <float.h>
#include <math.h>

#include "base/threads.h"

enum { KEYS = 128 /* of a slice: a few jobs a thread already at some hundred keys, few slices to join at thousands */ };

struct work {
    const struct op_call *call;
    const struct cpu_kernels *kernels;
    float scale;
    int64_t heads, share, d, ld;     /* H, H / G, D, padded D */
    int64_t first_key, keys, slices; /* keys that are seen */
    float *out;                      /* (slices, H, ld) o_s */
    float *max, *sum;                /* (slices, H) */
    float *scratch;                  /* scores (share, KEYS), copy (KEYS, ld); a worker */
    int64_t scratch_floats;
};

/* Scores of every head of the group for keys [key, key + n): row h at scores + h * KEYS. */
static void score(const struct work *w, int64_t group, int64_t key, int64_t n, float *scores)
{
    const struct array *q = w->call->in[0], *k = w->call->in[1];
    struct cpu_dot d = {.form = WEIGHT_STORED, .type = TENSOR_F32, .k = w->d};
    for (int64_t j = 0; j < n; j += CPU_DOT_ROWS) {
        for (int i = 0; i < CPU_DOT_ROWS; i++) d.row[i] = attention_row(k, key + cpu_min(j + i, n - 1), group);
        for (int64_t h = 0; h < w->share; h++) {
            float dot[CPU_DOT_ROWS];
            d.x = attention_row(q, 0, group * w->share + h);
            w->kernels->dot_rows(&d, dot);
            for (int64_t i = 0; i < cpu_min(CPU_DOT_ROWS, n - j); i++) scores[h * KEYS + j + i] = w->scale * dot[i];
        }
    }
}

/* Scores as e^(score - max). */
static void soften(const struct work *w, float *scores, int64_t n, float *max, float *sum)
{
    float largest = -FLT_MAX, part[4] = {0};
    for (int64_t j = 0; j < n; j++) largest = scores[j] > largest ? scores[j] : largest;
    for (int64_t j = 0; j < n; j++) scores[j] -= largest;
    w->kernels->exp(scores, scores, n);
    for (int64_t j = 0; j < n; j++) part[j % 4] += scores[j];
    *max = largest;
    *sum = (part[0] + part[1]) + (part[2] + part[3]);
}

static void slice_job(void *arg, int64_t job, int worker)
{
    const struct work *w = arg;
    const struct array *v = w->call->in[2];
    int64_t group = job / w->slices, slice = job % w->slices, head = slice * w->heads + group * w->share;
    int64_t key = w->first_key + slice * KEYS, n = cpu_min(KEYS, w->first_key + w->keys - key), v_ld = v->stride[0];
    float *scores = w->scratch + worker * w->scratch_floats, *copy = scores + w->share * KEYS;
    score(w, group, key, n, scores);
    for (int64_t h = 0; h < w->share; h++) soften(w, scores + h * KEYS, n, &w->max[head + h], &w->sum[head + h]);
    const float *values = attention_row(v, key, group);
    if (w->d % w->kernels->nr != 0) values = gemm_direct_rows(w->kernels, values, &v_ld, n, w->d, copy);
    struct gemm_block product = {.m = w->share,
                                 .n = w->d,
                                 .k = n,
                                 .a = scores,
                                 .rs = KEYS,
                                 .cs = 1,
                                 .b = values,
                                 .panel_stride = w->kernels->nr,
                                 .ldb = v_ld,
                                 .c = w->out + head * w->ld,
                                 .ldc = w->ld};
    gemm_block(w->kernels, &product);
}

static void join_slices(const struct work *w)
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
    const struct attention_params *p = call->params;
    return kernels->dot_rows && call->in[0]->shape[0] == 1 && p->n_seg == 1 && p->cu_q[1] - p->cu_q[0] == 1;
}

enum status cpu_attention_token(struct ctx *c, const struct op_call *call, const struct cpu_kernels *kernels)
{
    const struct attention_params *p = call->params;
    const struct array *q = call->in[0], *k = call->in[1];
    struct attention_segment seg = attention_segment_of(p, 0);
    struct work w = {.call = call,
                     .kernels = kernels,
                     .scale = (float)p->scale,
                     .heads = q->shape[1],
                     .share = q->shape[1] / k->shape[1],
                     .d = q->shape[2],
                     .ld = gemm_direct_ld(q->shape[2])};
    w.first_key = seg.k + attention_first_key(&seg, 0);
    w.keys = seg.k + attention_end_key(&seg, 0) - w.first_key;
    w.slices = cpu_div_up(w.keys, KEYS);
    int mark = scope_open(c);
    w.scratch_floats = cpu_round_up(w.share * KEYS + KEYS * w.ld, 16);
    w.scratch = cpu_scratch_f32(c, w.scratch_floats * threads_count(c));
    w.out = cpu_scratch_f32(c, w.slices * w.heads * w.ld);
    w.max = cpu_scratch_f32(c, w.slices * w.heads);
    w.sum = cpu_scratch_f32(c, w.slices * w.heads);
    if (ctx_ok(c)) {
        threads_run(c, w.slices * k->shape[1], slice_job, &w);
        join_slices(&w);
    }
    scope_close(c, mark);
    return c->status;
}
