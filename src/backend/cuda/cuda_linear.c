/* cuda_linear: products with frozen weights, and the adapters beside them. One call has up to three weights W_i (M_i, K)
 * that share the input x (N, K), such as q, k and v of a block; y (N, sum of M_i) has their results side by side.
 *
 * Forward: y = x W^T, one product for weights that lie one behind the other, then y_i += scale z_i B_i^T with z_i = x
 * A_i^T. Backward: dx = dy W, u_i = dy_i B_i, dx += scale u_i A_i, dA_i += scale u_i^T x, dB_i += scale dy_i^T z_i. A (R,
 * K) and B (M, R) are rounded to bf16 for products; dA and dB are summed in f32. With dropout x in z_i and dA_i is
 * drop_i(x), made again from the counters of array/dropout.c, and the adapter's part of dx goes through the same mask.
 *
 * Without dropout, and for ranks that the kernels have, the adapters of a call form a group: their A lie one below the
 * other, so x is read once for all z_i and once for all dA_i; and their B lie on the diagonal of one matrix, so that one
 * product of all z gives what they add to y. That is written first and the product with W adds to it (beta = 1), which
 * costs a pass of writing but none of reading. Otherwise adapters go one by one, after the product with W. */
#include "array/linear_view.h"
#include "backend/cuda/cuda_backend.h"

/* A bf16 matrix of this many rows and columns, used as it lies. */
static struct cuda_matrix matrix(const void *data, int64_t rows, int64_t cols, int64_t stride)
{
    return (struct cuda_matrix){(CUdeviceptr)data, (int)rows, (int)cols, stride, false, false};
}

/* The same matrix, to be used transposed in a product. */
static struct cuda_matrix transposed(struct cuda_matrix m)
{
    m.transposed = true;
    return m;
}

/* The same `count` columns of all rows, from `first` on. */
static struct cuda_rows columns(struct cuda_rows r, int64_t first, int64_t count)
{
    r.data = (uint16_t *)r.data + first;
    r.cols = (int)count;
    return r;
}

/* Rows of bf16 as the operand of a product. */
static struct cuda_matrix of_rows(struct cuda_rows r)
{
    return matrix(r.data, r.rows, r.cols, r.stride);
}

/* Returns the end of the longest run of weights [i, end) of one code that lie one behind the other in memory, so that
 * their rows together are one matrix; *rows is how many. cuda_weight.c lays weights out in the order in which a model
 * prepares them. */
static int run_of_weights(const struct linear_params *p, int i, int64_t *rows)
{
    int end = i + 1;
    *rows = p->w[i]->rows;
    for (; end < p->n; end++) {
        const struct weight *before = p->w[end - 1], *w = p->w[end];
        if ((const char *)before->data + (size_t)before->rows * before->row_bytes != (const char *)w->data) break;
        if (cuda_weight_code(before) != cuda_weight_code(w)) break;
        *rows += w->rows;
    }
    return end;
}

/* A part of a call's weights as one bf16 matrix: those that lie so, or all compressed ones up to the next that is not,
 * widened into scratch one below the other. */
static int cuda_linear_bf16_part(struct cuda_backend *b, const struct linear_params *p, int i, int64_t *rows,
                                 const void **data)
{
    int end = i;
    *data = p->w[i]->data;
    if (cuda_weight_code(p->w[i]) == CODE_BF16) return run_of_weights(p, i, rows);
    for (*rows = 0; end < p->n && cuda_weight_code(p->w[end]) != CODE_BF16; end++) *rows += p->w[end]->rows;
    bf16_bits *to = cuda_scratch(b, DTYPE_BF16, *rows * p->w[i]->cols);
    *data = to;
    for (; to && i < end; to += p->w[i]->rows * p->w[i]->cols, i++)
        if (cuda_weight_widen(b, p->w[i], NULL, p->w[i]->rows, to) != OK) break;
    return end;
}

/* ---- adapters -------------------------------------------------------------------------------------------------------- */

/* One adapter of a call. */
struct linear_adapter {
    const bf16_bits *a, *b; /* (r, K), (M, r) */
    int64_t rank, rows;     /* r, M */
    float scale, p;
    uint32_t id;
};

/* Adapter i of a call, its matrices rounded to bf16 in scratch. */
static enum status linear_adapter_of(struct cuda_backend *b, const struct linear_params *p, int i,
                                     const struct linear_view_slot *s, struct linear_adapter *out)
{
    TRY(cuda_expect(b, OP_LINEAR, s->a, DTYPE_F32));
    *out = (struct linear_adapter){
        cuda_narrow(b, s->a), cuda_narrow(b, s->b), s->a->shape[0], p->w[i]->rows, p->scale[i], p->p[i], p->id[i]};
    return b->backend.c->status;
}

/* to = drop(from), or to += drop(from). */
static enum status drop(struct cuda_backend *b, const struct linear_adapter *l, const struct step_values *step,
                        struct cuda_rows from, struct cuda_rows to, bool add)
{
    uint32_t key[4];
    dropout_key(step, key);
    const struct cuda_dropout_args a = {.from = from.data,
                                        .to = to.data,
                                        .from_stride = from.stride,
                                        .to_stride = to.stride,
                                        .first_token = step->first_token,
                                        .threshold = dropout_threshold(l->p),
                                        .key = {key[0], key[1]},
                                        .slot = l->id,
                                        .rows = (int)from.rows,
                                        .cols = from.cols,
                                        .add = add,
                                        .scale = 1 / (1 - l->p)};
    return cuda_dropout(b->d, &a);
}

/* Contiguous scratch (rows, cols) of bf16. */
static enum status scratch_rows(struct cuda_backend *b, int64_t rows, int64_t cols, struct cuda_rows *out)
{
    *out = (struct cuda_rows){cuda_scratch(b, DTYPE_BF16, rows * cols), rows, cols, (int)cols};
    return b->backend.c->status;
}

/* What the adapter sees of x: x itself without dropout. */
static enum status adapter_input(struct cuda_backend *b, const struct linear_adapter *l, const struct step_values *step,
                                 struct cuda_rows x, struct cuda_rows *out)
{
    *out = x;
    if (l->p <= 0) return OK;
    TRY(scratch_rows(b, x.rows, x.cols, out));
    return drop(b, l, step, x, *out, false);
}

/* y_i += scale z B^T; z goes to `keep` where backward wants it. y NULL: only z. */
static enum status adapter_forward(struct cuda_backend *b, const struct linear_adapter *l, const struct step_values *step,
                                   struct cuda_rows x, const struct array *keep, const struct cuda_rows *y)
{
    struct cuda_rows seen, z;
    TRY(adapter_input(b, l, step, x, &seen));
    if (keep)
        z = (struct cuda_rows){keep->data, x.rows, keep->stride[0], (int)l->rank};
    else
        TRY(scratch_rows(b, x.rows, l->rank, &z));
    struct cuda_matrix mx = of_rows(seen), mz = of_rows(z);
    struct cuda_matrix ma = transposed(matrix(l->a, l->rank, x.cols, x.cols));
    TRY(cuda_gemm(b->d, &mx, &ma, &mz, 1, 0));
    if (!y) return OK;
    struct cuda_matrix mb = transposed(matrix(l->b, l->rows, l->rank, l->rank)), my = of_rows(*y);
    return cuda_gemm(b->d, &mz, &mb, &my, l->scale, 1);
}

/* ---- forward --------------------------------------------------------------------------------------------------------- */

/* y = x W^T for one row of x, or with `add` y += that, from the weights as they lie. */
static enum status frozen_vector(struct cuda_backend *b, const struct linear_params *p, struct cuda_rows x,
                                 struct cuda_rows y, bool add)
{
    int64_t first = 0, rows = 0;
    for (int i = 0, end; i < p->n; i = end, first += rows) {
        end = run_of_weights(p, i, &rows);
        const struct cuda_vector_args a = {.w = p->w[i]->data,
                                           .x = x.data,
                                           .y = (bf16_bits *)y.data + first,
                                           .row_bytes = (int64_t)p->w[i]->row_bytes,
                                           .rows = (int)rows,
                                           .cols = x.cols,
                                           .add = add};
        TRY(cuda_vector(b->d, &a, cuda_weight_code(p->w[i])));
    }
    return OK;
}

static enum status frozen_product(struct cuda_backend *b, const struct linear_params *p, struct cuda_rows x,
                                  struct cuda_rows y, bool add)
{
    int64_t first = 0, rows = 0;
    const void *data = NULL;
    if (x.rows == 1) return frozen_vector(b, p, x, y, add);
    for (int i = 0, end; i < p->n; i = end, first += rows) {
        end = cuda_linear_bf16_part(b, p, i, &rows, &data);
        struct cuda_matrix mx = of_rows(x), my = of_rows(columns(y, first, rows));
        struct cuda_matrix mw = transposed(matrix(data, rows, x.cols, x.cols));
        TRY(cuda_gemm(b->d, &mx, &mw, &my, 1, add));
    }
    return OK;
}

/* y = x W^T + bias, or with `add` y += that. */
static enum status frozen_forward(struct cuda_backend *b, const struct linear_params *p, struct cuda_rows x,
                                  struct cuda_rows y, bool add)
{
    int64_t first = 0;
    TRY(frozen_product(b, p, x, y, add));
    for (int i = 0; i < p->n; first += p->w[i++]->rows) {
        if (!p->w[i]->bias) continue;
        struct cuda_rows part = columns(y, first, p->w[i]->rows);
        const struct cuda_bias_args a = {part.data, p->w[i]->bias->data, part.stride, part.rows, part.cols};
        TRY(cuda_bias(b->d, &a));
    }
    return OK;
}

/* All adapters of a call as one pair of matrices; `have` is false where that cannot be (dropout, or a rank without a
 * kernel). `ranks` is the sum of the adapters' ranks. */
struct linear_group {
    bool have;
    struct cuda_pack_args pack;
    int ranks;
};

/* Whether cuda_pack can read a matrix: it reads 16 bytes at a time. */
static bool fits_pack(const struct array *a)
{
    return array_is_contiguous(a) && ((uintptr_t)a->data & 15) == 0;
}

/* Fills *g; the matrices are packed when what is queued so far is done. Returns OK with `have` false where the adapters go
 * one by one. */
static enum status linear_group_of(struct cuda_backend *b, const struct linear_params *p, const struct linear_view *v,
                                   int64_t cols, struct linear_group *g)
{
    struct cuda_pack_args *k = &g->pack;
    *g = (struct linear_group){.pack = {.parts = p->n, .cols = (int)cols}};
    for (int i = 0; i < p->n; i++) {
        const struct array *ai = v->slot[i].a, *bi = v->slot[i].b;
        int64_t rank = ai ? ai->shape[0] : 0;
        if (ai && (p->p[i] > 0 || rank % 16 != 0 || !fits_pack(ai) || !fits_pack(bi))) return OK;
        k->from_a[i] = ai ? ai->data : NULL;
        k->from_b[i] = ai ? bi->data : NULL;
        k->scale[i] = p->scale[i];
        k->first[i + 1] = k->first[i] + (int)rank;
        k->row[i + 1] = k->row[i] + (int)p->w[i]->rows;
        if (rank > 0) TRY(cuda_expect(b, OP_LINEAR, ai, DTYPE_F32));
        if (rank > 0 && !cuda_thin_has((int)rank, THIN_BY_COLUMNS)) return OK;
    }
    g->ranks = k->first[p->n];
    g->have = g->ranks > 0 && cuda_thin_has(g->ranks, THIN_BY_ROWS);
    return g->have ? cuda_adapters_pack(b, v, k) : OK;
}

/* Where the z_i (N, R_i) go: the tape keeps them as columns of one array, so the first that is kept gives the place of
 * all; where none is kept, scratch. */
static enum status group_z(struct cuda_backend *b, const struct linear_view *v, const struct linear_group *g, int64_t rows,
                           struct cuda_rows *z)
{
    for (int i = 0; i < g->pack.parts; i++) {
        const struct array *h = v->slot[i].h;
        if (!h) continue;
        BUG_ON(b->backend.c, h->stride[0] != g->ranks, "linear: h is %lld apart, not %d", (long long)h->stride[0], g->ranks);
        *z = (struct cuda_rows){(bf16_bits *)h->data - g->pack.first[i], rows, g->ranks, g->ranks};
        return OK;
    }
    return scratch_rows(b, rows, g->ranks, z);
}

/* A thin product with scratch for its partial sums. */
static enum status thin_product(struct cuda_backend *b, struct cuda_thin_args *a, enum cuda_thin_kind kind)
{
    cuda_thin_plan(b->d, a);
    if (a->partial > 0) a->partial_out = cuda_scratch(b, DTYPE_F32, a->partial);
    if (kind == THIN_GRADIENT) a->partial_db = cuda_scratch(b, DTYPE_F32, (int64_t)a->slices * a->column[a->parts] * a->r);
    return ctx_ok(b->backend.c) ? cuda_thin(b->d, a, kind) : b->backend.c->status;
}

/* y = z_i (scale B_i)^T side by side, or with `backward` dx = sum of u_i A_i, for the product with W to add to. */
static enum status group_spread(struct cuda_backend *b, const struct linear_group *g, struct cuda_rows thin,
                                struct cuda_rows out, bool backward)
{
    const struct cuda_pack_args *k = &g->pack;
    const struct cuda_spread_args a = {.thin = thin.data,
                                       .wide = backward ? k->a : k->b,
                                       .out = out.data,
                                       .thin_stride = thin.stride,
                                       .wide_stride = backward ? k->cols : g->ranks,
                                       .out_stride = out.stride,
                                       .rows = (int)thin.rows,
                                       .cols = out.cols};
    return cuda_spread(b->d, &a, g->ranks, backward);
}

/* All z_i; and y = z_i (scale B_i)^T, side by side, unless only the z_i are wanted (y NULL: backward makes them again). */
static enum status group_forward(struct cuda_backend *b, const struct linear_view *v, const struct linear_group *g,
                                 struct cuda_rows x, const struct cuda_rows *y)
{
    struct cuda_rows z;
    TRY(group_z(b, v, g, x.rows, &z));
    struct cuda_thin_args thin = {.wide = x.data,
                                  .thin = g->pack.a,
                                  .out = z.data,
                                  .wide_stride = x.stride,
                                  .thin_stride = x.cols,
                                  .out_stride = z.stride,
                                  .first = {0, g->ranks},
                                  .column = {0, x.cols},
                                  .rows = (int)x.rows,
                                  .r = g->ranks,
                                  .parts = 1};
    TRY(thin_product(b, &thin, THIN_BY_ROWS));
    return y ? group_spread(b, g, z, *y, false) : OK;
}

/* Adapters one by one, each added to its columns of y. */
static enum status adapters_forward(struct cuda_backend *b, const struct op_call *call, const struct linear_view *v,
                                    struct cuda_rows x, const struct cuda_rows *y)
{
    const struct linear_params *p = call->params;
    int64_t first = 0;
    for (int i = 0; i < p->n; first += p->w[i++]->rows) {
        struct linear_adapter l;
        struct cuda_rows part = {0};
        const struct linear_view_slot *s = &v->slot[i];
        if (!s->a || (!y && !s->h)) continue;
        TRY(linear_adapter_of(b, p, i, s, &l));
        if (y) part = columns(*y, first, l.rows);
        TRY(adapter_forward(b, &l, call->step, x, s->h, y ? &part : NULL));
    }
    return OK;
}

enum status cuda_row_linear(struct cuda_backend *b, const struct op_call *call)
{
    const struct linear_params *p = call->params;
    const struct linear_view v = linear_view_of(call);
    struct cuda_rows x, y = {0};
    struct linear_group g;
    TRY(cuda_expect(b, OP_LINEAR, v.x, DTYPE_BF16));
    TRY(cuda_rows_in(b, v.x, 1, &x));
    TRY(linear_group_of(b, p, &v, x.cols, &g));
    if (v.y) y = (struct cuda_rows){v.y->data, v.y->shape[0], v.y->shape[1], (int)v.y->shape[1]};
    if (g.have) TRY(group_forward(b, &v, &g, x, v.y ? &y : NULL));
    if (v.y) TRY(frozen_forward(b, p, x, y, g.have));
    return g.have ? OK : adapters_forward(b, call, &v, x, v.y ? &y : NULL);
}

/* ---- backward -------------------------------------------------------------------------------------------------------- */

/* dx = dy W, or with `add` dx += that. */
static enum status frozen_backward(struct cuda_backend *b, const struct linear_params *p, struct cuda_rows dy,
                                   struct cuda_rows dx, bool add)
{
    int64_t first = 0, rows = 0;
    const void *data = NULL;
    for (int i = 0, end; i < p->n; i = end, first += rows) {
        end = cuda_linear_bf16_part(b, p, i, &rows, &data);
        struct cuda_matrix my = of_rows(columns(dy, first, rows)), mx = of_rows(dx);
        struct cuda_matrix mw = matrix(data, rows, dx.cols, dx.cols);
        TRY(cuda_gemm(b->d, &my, &mw, &mx, 1, add || i > 0));
    }
    return OK;
}

/* out (n, r) += alpha wide^T thin for wide (N, n) and thin (N, r), or with `turn` the transpose (r, n) of that. By the
 * kernel of cuda_lora.cu where it has the rank, else by cuBLASLt. */
static enum status adapter_gradient(struct cuda_backend *b, struct cuda_rows wide, struct cuda_rows thin, bool turn,
                                    float alpha, const struct array *out)
{
    int n = wide.cols, r = thin.cols;
    bool own = cuda_thin_has(r, THIN_BY_ROWS) && n % 8 == 0 && ((uintptr_t)wide.data & 15) == 0 && wide.stride % 8 == 0;
    if (!own) {
        struct cuda_matrix mw = of_rows(wide), mt = of_rows(thin),
                           mo = matrix(out->data, turn ? r : n, turn ? n : r, turn ? n : r);
        mo.f32 = true;
        struct cuda_matrix left = transposed(turn ? mt : mw);
        return cuda_gemm(b->d, &left, turn ? &mw : &mt, &mo, alpha, 1);
    }
    struct cuda_tall_args a = {.a = wide.data,
                               .b = thin.data,
                               .out = {out->data},
                               .a_stride = wide.stride,
                               .b_stride = thin.stride,
                               .out_stride = turn ? n : r,
                               .first = {0, r},
                               .alpha = {alpha},
                               .rows = (int)wide.rows,
                               .n = n,
                               .r = r,
                               .parts = 1,
                               .slices = cuda_tall_slices(b->d, (int)wide.rows, n),
                               .transposed = turn};
    a.partial = cuda_scratch(b, DTYPE_F32, (int64_t)a.slices * n * r);
    return a.partial ? cuda_tall_product(b->d, &a) : b->backend.c->status;
}

/* dx += scale u A, through the adapter's mask. */
static enum status adapter_dx(struct cuda_backend *b, const struct linear_adapter *l, const struct step_values *step,
                              struct cuda_rows u, struct cuda_rows dx)
{
    struct cuda_matrix mu = of_rows(u), ma = matrix(l->a, l->rank, dx.cols, dx.cols), mx = of_rows(dx);
    if (l->p <= 0) return cuda_gemm(b->d, &mu, &ma, &mx, l->scale, 1);
    struct cuda_rows seen;
    TRY(scratch_rows(b, dx.rows, dx.cols, &seen));
    mx = of_rows(seen);
    TRY(cuda_gemm(b->d, &mu, &ma, &mx, l->scale, 0));
    return drop(b, l, step, seen, dx, true);
}

/* Zeros a gradient that this call overwrites instead of adding to. */
static enum status zero_first(struct cuda_backend *b, const struct linear_params *p, const struct array *out)
{
    if (p->accumulate || !out) return OK;
    return cuda_zero(b->d, (CUdeviceptr)out->data, (size_t)array_size(out) * dtype_size(out->dtype));
}

/* Backward of adapter i alone: its gradients, and its part of dx where dx is not NULL. */
static enum status adapter_backward(struct cuda_backend *b, const struct op_call *call, const struct linear_view_slot *s,
                                    int i, struct cuda_rows dy, struct cuda_rows x, const struct cuda_rows *dx)
{
    const struct linear_params *p = call->params;
    struct linear_adapter l;
    struct cuda_rows u, seen;
    TRY(linear_adapter_of(b, p, i, s, &l));
    TRY(zero_first(b, p, s->da));
    TRY(zero_first(b, p, s->db));
    if (s->db) {
        struct cuda_rows z = {s->h->data, dy.rows, s->h->stride[0], (int)l.rank};
        TRY(adapter_gradient(b, dy, z, false, l.scale, s->db));
    }
    if (!s->da && !dx) return OK;
    TRY(scratch_rows(b, dy.rows, l.rank, &u));
    struct cuda_matrix my = of_rows(dy), mb = matrix(l.b, l.rows, l.rank, l.rank), mu = of_rows(u);
    TRY(cuda_gemm(b->d, &my, &mb, &mu, 1, 0));
    if (s->da) {
        TRY(adapter_input(b, &l, call->step, x, &seen));
        TRY(adapter_gradient(b, seen, u, true, l.scale, s->da));
    }
    return dx ? adapter_dx(b, &l, call->step, u, *dx) : OK;
}

/* The u_i = scale dy_i B_i side by side. */
static enum status group_u(struct cuda_backend *b, const struct linear_group *g, struct cuda_rows dy, struct cuda_rows *u)
{
    const struct cuda_pack_args *k = &g->pack;
    TRY(scratch_rows(b, dy.rows, g->ranks, u));
    for (int i = 0; i < k->parts; i++) {
        int rank = k->first[i + 1] - k->first[i];
        struct cuda_thin_args thin = {.wide = (const bf16_bits *)dy.data + k->row[i],
                                      .thin = k->b + (int64_t)k->row[i] * g->ranks + k->first[i],
                                      .out = (bf16_bits *)u->data + k->first[i],
                                      .wide_stride = dy.stride,
                                      .thin_stride = g->ranks,
                                      .out_stride = g->ranks,
                                      .first = {0, rank},
                                      .column = {0, k->row[i + 1] - k->row[i]},
                                      .rows = (int)dy.rows,
                                      .r = rank,
                                      .parts = 1};
        if (rank > 0) TRY(thin_product(b, &thin, THIN_BY_COLUMNS));
    }
    return OK;
}

/* dA_i += u_i^T x, in one pass over x; the scale is in u. Those that are not wanted get none. */
static enum status group_da(struct cuda_backend *b, const struct linear_view *v, const struct linear_group *g,
                            struct cuda_rows x, struct cuda_rows u)
{
    const struct cuda_pack_args *k = &g->pack;
    struct cuda_tall_args a = {.a = x.data,
                               .b = u.data,
                               .a_stride = x.stride,
                               .b_stride = u.stride,
                               .out_stride = x.cols,
                               .rows = (int)x.rows,
                               .n = x.cols,
                               .r = g->ranks,
                               .parts = k->parts,
                               .slices = cuda_tall_slices(b->d, (int)x.rows, x.cols),
                               .transposed = true};
    for (int i = 0; i < k->parts; i++) {
        a.out[i] = v->slot[i].da ? v->slot[i].da->data : NULL;
        a.alpha[i] = 1;
        a.first[i + 1] = k->first[i + 1];
    }
    a.partial = cuda_scratch(b, DTYPE_F32, (int64_t)a.slices * a.n * a.r);
    return a.partial ? cuda_tall_product(b->d, &a) : b->backend.c->status;
}

/* Whether any dA is wanted: nothing else reads x. */
static bool wants_da(const struct linear_view *v)
{
    bool any = false;
    for (int i = 0; i < LINEAR_MAX; i++) any = any || v->slot[i].da;
    return any;
}

/* Whether u and dB of the group can be made in one pass over dy: adapters of one rank that the kernel has, and gradients of
 * B. */
static bool group_in_one_pass(const struct linear_view *v, const struct linear_group *g)
{
    int rank = 0;
    bool wanted = false;
    for (int i = 0; i < g->pack.parts; i++) {
        int r = g->pack.first[i + 1] - g->pack.first[i];
        if (r > 0 && rank > 0 && r != rank) return false;
        if (r > 0) rank = r;
        wanted = wanted || v->slot[i].db;
    }
    return wanted && cuda_thin_has(rank, THIN_GRADIENT);
}

/* The u_i = scale dy_i B_i side by side, and dB_i += scale dy_i^T z_i, in one pass over dy. */
static enum status group_pass(struct cuda_backend *b, const struct linear_params *p, const struct linear_view *v,
                              const struct linear_group *g, struct cuda_rows dy, struct cuda_rows *u)
{
    const struct cuda_pack_args *k = &g->pack;
    TRY(scratch_rows(b, dy.rows, g->ranks, u));
    struct cuda_thin_args a = {.wide = dy.data,
                               .thin = k->b,
                               .out = u->data,
                               .wide_stride = dy.stride,
                               .thin_stride = g->ranks,
                               .out_stride = g->ranks,
                               .rows = (int)dy.rows,
                               .parts = k->parts};
    for (int i = 0; i < k->parts; i++) {
        const struct array *db = v->slot[i].db, *h = v->slot[i].h;
        a.first[i + 1] = k->first[i + 1];
        a.column[i + 1] = k->row[i + 1];
        if (k->first[i + 1] > k->first[i]) a.r = k->first[i + 1] - k->first[i];
        if (!db) continue;
        a.db[i] = db->data, a.z[i] = h->data, a.z_stride = h->stride[0], a.alpha[i] = p->scale[i];
    }
    return thin_product(b, &a, THIN_GRADIENT);
}

/* Backward of all adapters of a group. */
static enum status group_backward(struct cuda_backend *b, const struct linear_params *p, const struct linear_view *v,
                                  const struct linear_group *g, struct cuda_rows dy, struct cuda_rows x,
                                  const struct cuda_rows *dx)
{
    const struct cuda_pack_args *k = &g->pack;
    struct cuda_rows u = {0};
    bool wanted = wants_da(v), one_pass = (dx || wanted) && group_in_one_pass(v, g);
    for (int i = 0; i < k->parts; i++) {
        TRY(zero_first(b, p, v->slot[i].da));
        TRY(zero_first(b, p, v->slot[i].db));
    }
    if (one_pass)
        TRY(group_pass(b, p, v, g, dy, &u));
    else if (dx || wanted)
        TRY(group_u(b, g, dy, &u));
    if (dx) TRY(group_spread(b, g, u, *dx, true));
    for (int i = 0; i < k->parts && !one_pass; i++) {
        const struct array *db = v->slot[i].db, *h = v->slot[i].h;
        if (!db) continue;
        struct cuda_rows z = {h->data, dy.rows, h->stride[0], k->first[i + 1] - k->first[i]};
        TRY(adapter_gradient(b, columns(dy, k->row[i], k->row[i + 1] - k->row[i]), z, false, p->scale[i], db));
    }
    return wanted ? group_da(b, v, g, x, u) : OK;
}

enum status cuda_row_linear_bwd(struct cuda_backend *b, const struct op_call *call)
{
    const struct linear_params *p = call->params;
    const struct linear_view v = linear_view_of(call);
    const struct array *out = v.dx;
    struct cuda_rows dy, x, dx = {0};
    struct linear_group g;
    int64_t first = 0;
    TRY(cuda_expect(b, OP_LINEAR_BWD, v.dy, DTYPE_BF16));
    TRY(cuda_rows_in(b, v.dy, 1, &dy));
    cuda_rows_fit(v.x, 1, &x); /* zeros on one row when it is not needed */
    if (wants_da(&v)) TRY(cuda_rows_in(b, v.x, 1, &x));
    if (out) dx = (struct cuda_rows){out->data, out->shape[0], out->shape[1], (int)out->shape[1]};
    TRY(linear_group_of(b, p, &v, v.x->shape[1], &g));
    if (g.have) TRY(group_backward(b, p, &v, &g, dy, x, out ? &dx : NULL));
    if (out) TRY(frozen_backward(b, p, dy, dx, g.have));
    for (int i = 0; i < p->n && !g.have; first += p->w[i++]->rows) {
        if (!v.slot[i].a) continue;
        struct cuda_rows part = columns(dy, first, p->w[i]->rows);
        TRY(adapter_backward(b, call, &v.slot[i], i, part, x, out ? &dx : NULL));
    }
    return OK;
}
