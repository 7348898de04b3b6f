/* cuda_kernels: grids and shared memory of every launch, of the same sizes by which the kernels index (cuda_args.h). Which
 * axis of a grid goes over what is in the .cu files too: the emulator of the tests stops at a grid that its kernel does not
 * read. */
#include "backend/cuda/cuda_kernels.h"

/* Blocks of `each` items that hold `count` of them. */
static unsigned blocks_for(int64_t count, int64_t each)
{
    return (unsigned)((count + each - 1) / each);
}

/* Kernels read rows by 16 bytes, eight bf16 elements: refuses rows of another length, and those over `most` columns. */
static enum status check_octets(struct cuda *d, const char *what, int cols, int most)
{
    if (cols % 8 == 0 && cols <= most) return d->c->status;
    return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: %s over %d columns: a multiple of 8 and at most %d are supported", what,
                    cols, most);
}

enum { NORM_NARROW = 1024, NORM_WIDTH = 2048, NORM_MOST = 16384, ROWS_OF_GRID = 65535 };

/* The kernel after `warp`, the one for rows of up to 1024 elements: those for up to 2048, 4096, 8192 and 16384 follow. */
static enum status norm_launch(struct cuda *d, enum cuda_kernel warp, int rows, int cols, const void *a)
{
    int variant = 1;
    TRY(check_octets(d, "rms_norm", cols, NORM_MOST));
    if (cols <= NORM_NARROW)
        return cuda_launch(d, warp, (struct cuda_grid){blocks_for(rows, NORM_ROWS), 1, NORM_THREADS, 0}, a);
    while (cols > NORM_WIDTH << (variant - 1)) variant++;
    return cuda_launch(d, warp + (unsigned)variant, (struct cuda_grid){(unsigned)rows, 1, NORM_THREADS, 0}, a);
}

enum status cuda_rms_norm(struct cuda *d, const struct cuda_rms_norm_args *a)
{
    return norm_launch(d, CUDA_rms_norm_warp, a->rows, a->cols, a);
}

enum status cuda_rms_norm_bwd(struct cuda *d, const struct cuda_rms_norm_bwd_args *a)
{
    return norm_launch(d, CUDA_rms_norm_bwd_warp, a->rows, a->cols, a);
}

enum status cuda_rope(struct cuda *d, const struct cuda_rope_args *a)
{
    if (a->dim % 16 || a->dim > 512) {
        return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: rope of heads of %d: a multiple of 16 and at most 512", a->dim);
    }
    return cuda_launch(d, CUDA_rope, (struct cuda_grid){blocks_for(a->rows, ROPE_TOKENS), 1, ROPE_THREADS, 0}, a);
}

/* For kernels whose blocks own `each` elements of a row for each thread and step through rows along y, where a grid has at
 * most 65,535 blocks. */
static struct cuda_grid grid_rows(int64_t rows, int cols, int each)
{
    unsigned y = (unsigned)(rows < ROWS_OF_GRID ? rows : ROWS_OF_GRID);
    return (struct cuda_grid){blocks_for(cols, each * ELEMENT_THREADS), y, ELEMENT_THREADS, 0};
}

/* For kernels whose threads step through all elements: blocks of `threads` that get `each` for each thread, at most `most`
 * for each multiprocessor. */
static struct cuda_grid grid_steps(const struct cuda *d, int64_t count, int threads, int each, int most)
{
    int64_t blocks = (count + (int64_t)threads * each - 1) / ((int64_t)threads * each),
            limit = (int64_t)d->processors * most;
    return (struct cuda_grid){(unsigned)(blocks < limit ? blocks : limit), 1, (unsigned)threads, 0};
}

/* The same for all groups of eight elements of a matrix. */
static struct cuda_grid grid_octets(const struct cuda *d, int64_t rows, int cols)
{
    return grid_steps(d, rows * blocks_for(cols, 8), ELEMENT_THREADS, 1, 16);
}

enum status cuda_swiglu(struct cuda *d, const struct cuda_swiglu_args *a, bool backward)
{
    TRY(check_octets(d, "swiglu", a->cols, 1 << 24));
    return cuda_launch(d, backward ? CUDA_swiglu_bwd : CUDA_swiglu, grid_rows(a->rows, a->cols, 8), a);
}

enum status cuda_move(struct cuda *d, const struct cuda_move_args *a, bool from_f32, bool to_f32)
{
    static const enum cuda_kernel KERNELS[2][2] = {{CUDA_move_bf16_bf16, CUDA_move_bf16_f32},
                                                   {CUDA_move_f32_bf16, CUDA_move_f32_f32}};
    return cuda_launch(d, KERNELS[from_f32][to_f32], grid_octets(d, a->rows, a->cols), a);
}

enum status cuda_fill(struct cuda *d, const struct cuda_fill_args *a, int element_bytes)
{
    struct cuda_grid g = grid_steps(d, a->count, ELEMENT_THREADS, 4, 8);
    return cuda_launch(d, element_bytes == 4 ? CUDA_fill_32 : CUDA_fill_16, g, a);
}

enum status cuda_rows(struct cuda *d, const struct cuda_rows_args *a)
{
    TRY(check_octets(d, "rows by index", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_move_rows_by_id, (struct cuda_grid){(unsigned)a->rows, 1, ELEMENT_THREADS, 0}, a);
}

enum status cuda_add(struct cuda *d, const struct cuda_add_args *a)
{
    TRY(check_octets(d, "add", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_add_bf16, grid_octets(d, a->rows, a->cols), a);
}

enum status cuda_dropout(struct cuda *d, const struct cuda_dropout_args *a)
{
    TRY(check_octets(d, "dropout", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_dropout, grid_rows(a->rows, a->cols, 8), a);
}

enum status cuda_rows_sum(struct cuda *d, const struct cuda_rows_sum_args *a)
{
    TRY(check_octets(d, "sums of rows", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_sum_rows_by_id, (struct cuda_grid){(unsigned)a->limit, 1, GENERIC_THREADS, 0}, a);
}

enum status cuda_bias(struct cuda *d, const struct cuda_bias_args *a)
{
    return cuda_launch(d, CUDA_add_bias, grid_rows(a->rows, a->cols, 1), a);
}

enum status cuda_strided(struct cuda *d, const struct cuda_strided_args *a)
{
    int64_t blocks = (a->count + GENERIC_THREADS - 1) / GENERIC_THREADS;
    unsigned x = (unsigned)(blocks < ROWS_OF_GRID ? blocks : ROWS_OF_GRID);
    return cuda_launch(d, CUDA_strided, (struct cuda_grid){x, 1, GENERIC_THREADS, 0}, a);
}

enum status cuda_check_ids(struct cuda *d, const struct cuda_check_ids_args *a)
{
    unsigned x = blocks_for(a->count, GENERIC_THREADS);
    return cuda_launch(d, CUDA_check_ids, (struct cuda_grid){x, 1, GENERIC_THREADS, 0}, a);
}

enum status cuda_sum_squares(struct cuda *d, const struct cuda_sum_squares_args *a)
{
    TRY(cuda_launch(d, CUDA_sum_squares_partial, (struct cuda_grid){CUDA_SUM_BLOCKS, 1, OPTIM_THREADS, 0}, a));
    return cuda_launch(d, CUDA_sum_squares_total, (struct cuda_grid){1, 1, CUDA_SUM_BLOCKS, 0}, a);
}

enum status cuda_adamw(struct cuda *d, const struct cuda_adamw_args *a)
{
    return cuda_launch(d, CUDA_adamw, grid_steps(d, a->count, OPTIM_THREADS, 1, 8), a);
}

/* ---- frozen weights --------------------------------------------------------------------------------------------------- */

enum status cuda_vector(struct cuda *d, const struct cuda_vector_args *a, enum cuda_code code)
{
    enum { MANY_ROWS = 64 /* a processor */ };
    struct cuda_vector_args one = *a;
    TRY(check_octets(d, "a product with one vector", a->cols, 1 << 24));
    one.rows_a_warp = a->rows < MANY_ROWS * d->processors ? 1 : 2;
    struct cuda_grid g = {blocks_for(a->rows, VECTOR_WARPS * one.rows_a_warp), 1, VECTOR_THREADS, 0};
    return cuda_launch(d, CUDA_vector_bf16 + code, g, &one);
}

enum status cuda_widen(struct cuda *d, const struct cuda_widen_args *a, enum cuda_code code)
{
    BUG_ON(d->c, code == CODE_BF16, "bf16 is widened");
    TRY(check_octets(d, "compressed weights", a->cols, 1 << 24));
    int each = code == CODE_NF4 || code == CODE_Q4_K ? 16 : 8; /* columns of a thread */
    struct cuda_grid g = grid_rows(a->rows, a->cols, each);
    unsigned most = blocks_for((int64_t)WIDEN_BLOCKS * d->processors, (int64_t)g.x); /* so that a block has many rows */
    if (each == 16 && g.y > most) g.y = most;
    return cuda_launch(d, CUDA_widen_nf4 + (code - CODE_NF4), g, a);
}

/* ---- adapter gradients: tall products -------------------------------------------------------------------------------- */

/* Position of a rank among the compiled ones: 16, 32, 48, 64, 96. -1: none. */
static int rank_variant(int r)
{
    return r % 16 != 0 || r < 16 ? -1 : r <= 64 ? r / 16 - 1 : r == 96 ? 4 : -1;
}

/* Three blocks for each multiprocessor, all at work at once; no slice is shorter than one step. */
int cuda_tall_slices(const struct cuda *d, int rows, int n)
{
    int columns = (int)blocks_for(n, TALL_COLS), steps = (int)blocks_for(rows, TALL_ROWS);
    int wanted = 3 * d->processors / columns;
    return wanted > steps ? steps : wanted < 1 ? 1 : wanted;
}

/* How many threads share the addition of so many slices. */
static int slices_split(int slices)
{
    return slices >= 64 ? 32 : slices >= 16 ? 8 : 1;
}

enum status cuda_tall_product(struct cuda *d, const struct cuda_tall_args *a)
{
    TRY(check_octets(d, "an adapter's gradient", a->n, 1 << 24));
    int variant = rank_variant(a->r);
    if (variant < 0)
        return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: an adapter's gradient of rank %d: 16, 32, 48, 64 or 96", a->r);
    unsigned shared = 2 * TALL_ROWS * (unsigned)(TALL_COLS + TILE_PAD + a->r + TILE_PAD) * 2;
    struct cuda_grid g = {blocks_for(a->n, TALL_COLS), (unsigned)a->slices, TALL_THREADS, shared};
    struct cuda_tall_args t = *a;
    t.split = slices_split(a->slices);
    struct cuda_grid total = {blocks_for((int64_t)a->n * a->r, 4 * SUM_THREADS / t.split), 1, SUM_THREADS, 0};
    TRY(cuda_launch(d, CUDA_tall_product_16 + variant, g, &t));
    return cuda_launch(d, CUDA_tall_total, total, &t);
}

enum { THIN_FEWEST = 4 /* steps of a slice */ };

bool cuda_thin_has(int r, enum cuda_thin_kind kind)
{
    if (kind == THIN_BY_ROWS) return rank_variant(r) >= 0;
    return r == 16 || r == 32 || (r == 64 && kind == THIN_BY_COLUMNS);
}

/* Two blocks for each multiprocessor, all at work at once. */
void cuda_thin_plan(const struct cuda *d, struct cuda_thin_args *a)
{
    bool several = false;
    for (int i = 0; i < a->parts; i++) {
        int columns = a->column[i + 1] - a->column[i], chunks = (int)blocks_for(columns, THIN_COLS);
        if (a->first[i + 1] == a->first[i]) chunks = 0;
        a->chunk[i + 1] = a->chunk[i] + chunks;
        a->width[i] = chunks ? (int)blocks_for(blocks_for(columns, chunks), 64) * 64 : 0;
        several = several || chunks > 1;
    }
    int chunks = a->chunk[a->parts], most = (int)blocks_for(a->rows, THIN_FEWEST * THIN_TOKENS);
    int wanted = chunks ? 2 * d->processors / chunks : 1;
    a->slices = wanted > most ? most : wanted < 1 ? 1 : wanted;
    a->split = slices_split(a->slices);
    a->partial = several ? (int64_t)chunks * a->rows * a->r : 0;
}

enum status cuda_thin(struct cuda *d, const struct cuda_thin_args *a, enum cuda_thin_kind kind)
{
    BUG_ON(d->c, !cuda_thin_has(a->r, kind) || a->slices < 1, "a thin product of rank %d, %d slices", a->r, a->slices);
    bool gradient = kind == THIN_GRADIENT;
    unsigned stage = THIN_TOKENS * (unsigned)(THIN_COLS + TILE_PAD + (gradient ? a->r + TILE_PAD : 0)) * 2;
    unsigned sums = 2 * THIN_WARPS * THIN_TOKENS * (unsigned)a->r * 4;
    struct cuda_grid g = {(unsigned)a->chunk[a->parts], (unsigned)a->slices, THIN_THREADS, THIN_STAGES * stage + sums};
    enum cuda_kernel columns = a->r == 16 ? CUDA_thin_columns_16 : a->r == 32 ? CUDA_thin_columns_32 : CUDA_thin_columns_64;
    enum cuda_kernel kernel = kind == THIN_BY_ROWS ? CUDA_thin_16 + (unsigned)rank_variant(a->r) : columns;
    if (gradient) kernel = a->r == 16 ? CUDA_thin_gradient_16 : CUDA_thin_gradient_32;
    for (int i = 0; i < a->parts; i++) TRY(check_octets(d, "an adapter's product", a->column[i + 1], 1 << 24));
    TRY(cuda_launch(d, kernel, g, a));
    if (a->partial == 0 && !gradient) return d->c->status;
    unsigned blocks = a->partial ? blocks_for((int64_t)a->rows * a->r / 4, SUM_THREADS) : 1;
    for (int i = 0; i < a->parts && gradient; i++) {
        unsigned of_db = blocks_for((int64_t)(a->column[i + 1] - a->column[i]) * a->r / 4, SUM_THREADS / a->split);
        if (of_db > blocks) blocks = of_db;
    }
    struct cuda_grid total = {blocks, (gradient ? 2 : 1) * (unsigned)a->parts, SUM_THREADS, 0};
    return cuda_launch(d, CUDA_thin_total, total, a);
}

enum status cuda_spread(struct cuda *d, const struct cuda_spread_args *a, int r, bool columns)
{
    BUG_ON(d->c, rank_variant(r) < 0, "a spread product of %d", r);
    int wide = columns ? r * (SPREAD_COLS + TILE_PAD) : SPREAD_COLS * (r + TILE_PAD);
    int stages = SPREAD_WARPS * SPREAD_WARP_ROWS * (SPREAD_WARP_COLS + TILE_PAD);
    unsigned shared = (unsigned)(SPREAD_ROWS * (r + TILE_PAD) + wide + stages) * 2;
    struct cuda_grid g = {blocks_for(a->cols, SPREAD_COLS), blocks_for(a->rows, SPREAD_ROWS), SPREAD_THREADS, shared};
    TRY(check_octets(d, "an adapter's part of a result", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_spread_16 + 2 * (unsigned)rank_variant(r) + columns, g, a);
}

/* Blocks whose threads have eight elements each of both matrices of a group. */
static unsigned pack_blocks(const struct cuda_pack_args *a)
{
    return blocks_for((int64_t)a->first[a->parts] * (a->cols + a->row[a->parts]), 8 * ELEMENT_THREADS);
}

enum status cuda_pack(struct cuda *d, const struct cuda_pack_args *a)
{
    return cuda_launch(d, CUDA_adapter_pack, (struct cuda_grid){pack_blocks(a), 1, ELEMENT_THREADS, 0}, a);
}

enum status cuda_pack_all(struct cuda *d, const struct cuda_pack_args *list, const struct cuda_pack_args *table, int n)
{
    const struct cuda_pack_all_args a = {table};
    unsigned most = 1;
    for (int i = 0; i < n; i++)
        if (pack_blocks(&list[i]) > most) most = pack_blocks(&list[i]);
    return cuda_launch(d, CUDA_adapter_pack_all, (struct cuda_grid){most, (unsigned)n, ELEMENT_THREADS, 0}, &a);
}

/* ---- attention ------------------------------------------------------------------------------------------------------- */

/* Position of a head size among the compiled ones. -1: none. */
static int attention_variant(struct cuda *d, int dim)
{
    static const int DIMS[] = {16, 32, 64, 96, 128};
    for (int i = 0; i < 5; i++) {
        if (DIMS[i] == dim) return i;
    }
    ctx_fail(d->c, E_UNSUPPORTED, "CUDA: attention with heads of %d: 16, 32, 64, 96 or 128 are supported", dim);
    return -1;
}

enum status cuda_attention_bounds(struct cuda *d, const struct cuda_attention_bounds_args *a)
{
    int most = a->queries > a->keys ? a->queries : a->keys;
    unsigned x = blocks_for(most, BOUNDS_THREADS);
    return cuda_launch(d, CUDA_attention_bounds, (struct cuda_grid){x, 1, BOUNDS_THREADS, 0}, a);
}

/* Bytes of `rows` rows of a tile. */
static unsigned tile_bytes(int rows, int dim)
{
    return (unsigned)(rows * (dim + TILE_PAD) * 2);
}

/* Whether the kernels with wgmma and the copy engine run this head size on this card: wgmma exists on compute capability 9.0
 * only. */
static bool attention_bulk_fits(const struct cuda *d, int dim)
{
    return d->major == 9 && (dim == 64 || dim == 128);
}

/* Describes a matrix of bf16 to the copy engine (struct cuda_tile_map). */
static enum status attention_map(struct cuda *d, struct cuda_tile_map *map, const bf16_bits *data, int rows, int cols,
                                 int64_t stride)
{
    const cuuint64_t size[2] = {(cuuint64_t)cols, (cuuint64_t)rows}, bytes[1] = {(cuuint64_t)stride * 2};
    const cuuint32_t box[2] = {64, 64}, steps[2] = {1, 1};
    return cuda_check(d,
                      d->driver.cuTensorMapEncodeTiled((CUtensorMap *)map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, (void *)data,
                                                       size, bytes, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                                                       CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                                                       CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE),
                      "describing a matrix to the copy engine");
}

/* The same for the operands of attention; grad_o only where there is one. */
static enum status attention_maps(struct cuda *d, struct cuda_attention_bulk_args *b)
{
    const struct cuda_attention_args *a = &b->attention;
    TRY(attention_map(d, &b->q, a->q, a->queries, a->heads * a->dim, a->q_stride));
    TRY(attention_map(d, &b->k, a->k, a->keys, a->groups * a->dim, a->k_stride));
    TRY(attention_map(d, &b->v, a->v, a->keys, a->groups * a->dim, a->v_stride));
    if (!a->grad_o) return d->c->status;
    return attention_map(d, &b->grad_o, a->grad_o, a->queries, a->heads * a->dim, a->grad_o_stride);
}

static enum status attention_bulk(struct cuda *d, const struct cuda_attention_args *a)
{
    struct cuda_attention_bulk_args b = {.attention = *a};
    unsigned tiles = (1 + BULK_FORWARD_TILES) * BULK_ROWS * (unsigned)a->dim * 2;
    unsigned shared = tiles + (2 * BULK_FORWARD_TILES + 1) * 8 + BULK_ALIGN;
    struct cuda_grid g = {(unsigned)a->heads, blocks_for(a->queries, BULK_ROWS), BULK_THREADS, shared};
    if (!ctx_ok(d->c) || d->counting) return d->c->status;
    b.attention.grad_o = NULL;
    TRY(attention_maps(d, &b));
    return cuda_launch(d, a->dim == 64 ? CUDA_attention_bulk_64 : CUDA_attention_bulk_128, g, &b);
}

enum status cuda_attention(struct cuda *d, const struct cuda_attention_args *a)
{
    if (attention_bulk_fits(d, a->dim)) return attention_bulk(d, a);
    int variant = attention_variant(d, a->dim);
    if (variant < 0) return d->c->status;
    struct cuda_grid g = {blocks_for(a->queries, ATTENTION_ROWS), (unsigned)a->heads, ATTENTION_THREADS,
                          tile_bytes(ATTENTION_ROWS + 4 * ATTENTION_KEYS, a->dim)};
    return cuda_launch(d, CUDA_attention_16 + variant, g, a);
}

bool cuda_attention_one_fits(const struct cuda *d, struct cuda_attention_one_args *one)
{
    enum { FEWEST_KEYS = 32 };
    const struct cuda_attention_args *a = &one->attention;
    if (a->queries != 1 || (a->dim != 64 && a->dim != 128) || a->heads > ONE_HEADS * a->groups) return false;
    int most = (a->keys + FEWEST_KEYS - 1) / FEWEST_KEYS, wanted = (2 * d->processors + a->groups - 1) / a->groups;
    int pieces = wanted < most ? wanted : most;
    one->piece = (a->keys + pieces - 1) / pieces;
    one->pieces = pieces;
    return true;
}

enum status cuda_attention_one(struct cuda *d, const struct cuda_attention_one_args *one)
{
    const struct cuda_attention_args *a = &one->attention;
    bool wide = a->dim == 128;
    struct cuda_grid g = {(unsigned)one->pieces, (unsigned)a->groups, ONE_THREADS, 0},
                     total = {blocks_for(a->heads, ONE_WARPS), 1, ONE_THREADS, 0};
    TRY(cuda_launch(d, wide ? CUDA_attention_one_128 : CUDA_attention_one_64, g, one));
    return cuda_launch(d, wide ? CUDA_attention_one_total_128 : CUDA_attention_one_total_64, total, one);
}

/* In shared memory behind the tiles lie row values and barriers. */
static enum status attention_bulk_bwd(struct cuda *d, const struct cuda_attention_args *a)
{
    struct cuda_attention_bulk_args b = {.attention = *a};
    unsigned tiles = (unsigned)((2 * BULK_ROWS + BULK_STAGES * 2 * BULK_TILE) * a->dim * 2);
    unsigned shared = tiles + BULK_STAGES * 2 * BULK_TILE * 4 + (2 * BULK_STAGES + 1) * 8 + BULK_ALIGN;
    struct cuda_grid dq = {(unsigned)a->heads, blocks_for(a->queries, BULK_ROWS), BULK_THREADS, shared};
    struct cuda_grid dkv = {(unsigned)a->groups, blocks_for(a->keys, BULK_ROWS), BULK_THREADS, shared};
    if (!ctx_ok(d->c) || d->counting) return d->c->status;
    TRY(attention_maps(d, &b));
    TRY(cuda_launch(d, a->dim == 64 ? CUDA_attention_bulk_dq_64 : CUDA_attention_bulk_dq_128, dq, &b));
    return cuda_launch(d, a->dim == 64 ? CUDA_attention_bulk_dkv_64 : CUDA_attention_bulk_dkv_128, dkv, &b);
}

enum status cuda_attention_bwd(struct cuda *d, const struct cuda_attention_args *a)
{
    int variant = attention_variant(d, a->dim);
    if (variant < 0) return d->c->status;
    unsigned lanes = a->dim <= 16 ? 2 : a->dim <= 32 ? 4 : a->dim <= 64 ? 8 : 16;
    struct cuda_grid delta = {blocks_for((int64_t)a->queries * a->heads, DELTA_THREADS / lanes), 1, DELTA_THREADS, 0};
    struct cuda_grid dq = {blocks_for(a->queries, ATTENTION_ROWS), (unsigned)a->heads, ATTENTION_THREADS,
                           tile_bytes(2 * ATTENTION_ROWS + 4 * DQ_KEYS, a->dim)};
    struct cuda_grid dkv = {blocks_for(a->keys, DKV_ROWS), (unsigned)a->groups, ATTENTION_THREADS,
                            tile_bytes(2 * DKV_ROWS + 4 * DKV_QUERIES, a->dim) + 4 * DKV_QUERIES * (unsigned)sizeof(float)};
    TRY(cuda_launch(d, CUDA_attention_delta, delta, a));
    if (attention_bulk_fits(d, a->dim)) return attention_bulk_bwd(d, a);
    TRY(cuda_launch(d, CUDA_attention_dq_16 + variant, dq, a));
    return cuda_launch(d, CUDA_attention_dkv_16 + variant, dkv, a);
}
