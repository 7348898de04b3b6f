/* cuda_kernels: grids and shared memory of every launch. The constants here (rows of a tile, threads of a block) repeat
 * those of the .cu files, which the C compiler cannot read: a change there needs one here. */
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

enum { NORM_NARROW = 1024, NORM_ROWS = 8, NORM_WIDTH = 2048, NORM_MOST = 16384, ROWS_OF_GRID = 65535 };

/* The kernel after `warp`, the one for rows of up to 1024 elements: those for up to 2048, 4096, 8192 and 16384 follow. */
static enum status norm_launch(struct cuda *d, enum cuda_kernel warp, int rows, int cols, const void *a)
{
    int variant = 1;
    TRY(check_octets(d, "rms_norm", cols, NORM_MOST));
    if (cols <= NORM_NARROW) return cuda_launch(d, warp, (struct cuda_grid){blocks_for(rows, NORM_ROWS), 1, 256, 0}, a);
    while (cols > NORM_WIDTH << (variant - 1)) variant++;
    return cuda_launch(d, warp + (unsigned)variant, (struct cuda_grid){(unsigned)rows, 1, 256, 0}, a);
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
    const int64_t TOKENS = 8; /* a block */
    return cuda_launch(d, CUDA_rope, (struct cuda_grid){blocks_for(a->rows, TOKENS), 1, 256, 0}, a);
}

/* Blocks along y for kernels whose blocks step through rows; a grid has at most 65,535 along y. */
static unsigned grid_rows(int64_t rows)
{
    return (unsigned)(rows < ROWS_OF_GRID ? rows : ROWS_OF_GRID);
}

enum status cuda_swiglu(struct cuda *d, const struct cuda_swiglu_args *a, bool backward)
{
    TRY(check_octets(d, "swiglu", a->cols, 1 << 24));
    struct cuda_grid g = {blocks_for(a->cols, 8 * 256), grid_rows(a->rows), 256, 0};
    return cuda_launch(d, backward ? CUDA_swiglu_bwd : CUDA_swiglu, g, a);
}

enum status cuda_move(struct cuda *d, const struct cuda_move_args *a, bool from_f32, bool to_f32)
{
    static const enum cuda_kernel KERNELS[2][2] = {{CUDA_move_bf16_bf16, CUDA_move_bf16_f32},
                                                   {CUDA_move_f32_bf16, CUDA_move_f32_f32}};
    struct cuda_grid g = {blocks_for(a->cols, 8 * 256), grid_rows(a->rows), 256, 0};
    return cuda_launch(d, KERNELS[from_f32][to_f32], g, a);
}

enum status cuda_fill(struct cuda *d, const struct cuda_fill_args *a, int element_bytes)
{
    unsigned blocks = blocks_for(a->count, 256 * 4), most = (unsigned)d->processors * 8;
    struct cuda_grid g = {blocks < most ? blocks : most, 1, 256, 0};
    return cuda_launch(d, element_bytes == 4 ? CUDA_fill_32 : CUDA_fill_16, g, a);
}

enum status cuda_rows(struct cuda *d, const struct cuda_rows_args *a)
{
    TRY(check_octets(d, "rows by index", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_move_rows_by_id, (struct cuda_grid){(unsigned)a->rows, 1, 256, 0}, a);
}

enum status cuda_add(struct cuda *d, const struct cuda_add_args *a)
{
    TRY(check_octets(d, "add", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_add_bf16, (struct cuda_grid){blocks_for(a->cols, 8 * 256), grid_rows(a->rows), 256, 0}, a);
}

enum status cuda_dropout(struct cuda *d, const struct cuda_dropout_args *a)
{
    TRY(check_octets(d, "dropout", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_dropout, (struct cuda_grid){blocks_for(a->cols, 8 * 256), grid_rows(a->rows), 256, 0}, a);
}

enum status cuda_rows_sum(struct cuda *d, const struct cuda_rows_sum_args *a)
{
    TRY(check_octets(d, "sums of rows", a->cols, 1 << 24));
    return cuda_launch(d, CUDA_sum_rows_by_id, (struct cuda_grid){(unsigned)a->limit, 1, 256, 0}, a);
}

enum status cuda_bias(struct cuda *d, const struct cuda_bias_args *a)
{
    return cuda_launch(d, CUDA_add_bias, (struct cuda_grid){blocks_for(a->cols, 256), grid_rows(a->rows), 256, 0}, a);
}

enum status cuda_strided(struct cuda *d, const struct cuda_strided_args *a)
{
    int64_t blocks = (a->count + 255) / 256;
    return cuda_launch(d, CUDA_strided, (struct cuda_grid){(unsigned)(blocks < 65535 ? blocks : 65535), 1, 256, 0}, a);
}

enum status cuda_check_ids(struct cuda *d, const struct cuda_check_ids_args *a)
{
    return cuda_launch(d, CUDA_check_ids, (struct cuda_grid){blocks_for(a->count, 256), 1, 256, 0}, a);
}

enum status cuda_sum_squares(struct cuda *d, const struct cuda_sum_squares_args *a)
{
    TRY(cuda_launch(d, CUDA_sum_squares_partial, (struct cuda_grid){CUDA_SUM_BLOCKS, 1, 256, 0}, a));
    return cuda_launch(d, CUDA_sum_squares_total, (struct cuda_grid){1, 1, CUDA_SUM_BLOCKS, 0}, a);
}

enum status cuda_adamw(struct cuda *d, const struct cuda_adamw_args *a)
{
    unsigned blocks = blocks_for(a->count, 256), most = (unsigned)d->processors * 8;
    return cuda_launch(d, CUDA_adamw, (struct cuda_grid){blocks < most ? blocks : most, 1, 256, 0}, a);
}

/* ---- frozen weights --------------------------------------------------------------------------------------------------- */

enum status cuda_vector(struct cuda *d, const struct cuda_vector_args *a, enum cuda_code code)
{
    enum { WARPS = 4, MANY_ROWS = 64 /* a processor */ };
    struct cuda_vector_args one = *a;
    TRY(check_octets(d, "a product with one vector", a->cols, 1 << 24));
    one.rows_a_warp = a->rows < MANY_ROWS * d->processors ? 1 : 2;
    struct cuda_grid g = {blocks_for(a->rows, WARPS * one.rows_a_warp), 1, 32 * WARPS, 0};
    return cuda_launch(d, CUDA_vector_bf16 + code, g, &one);
}

enum status cuda_widen(struct cuda *d, const struct cuda_widen_args *a, enum cuda_code code)
{
    BUG_ON(d->c, code == CODE_BF16, "bf16 is widened");
    TRY(check_octets(d, "compressed weights", a->cols, 1 << 24));
    struct cuda_grid g = {blocks_for(a->cols, 8 * 256), grid_rows(a->rows), 256, 0};
    return cuda_launch(d, CUDA_widen_nf4 + (code - CODE_NF4), g, a);
}

/* ---- adapter gradients: tall products -------------------------------------------------------------------------------- */

enum { TALL_WIDTH = 128, TALL_STEP = 64, THIN_ROWS = 32, THIN_DEPTH = 128, THIN_STAGES = 4, ROW_PAD = 8 };

/* Position of a rank among the compiled ones: 16, 32, 48, 64, 96. -1: none. */
static int rank_variant(int r)
{
    return r % 16 != 0 || r < 16 ? -1 : r <= 64 ? r / 16 - 1 : r == 96 ? 4 : -1;
}

/* Four blocks for each multiprocessor, so that the last ones to finish leave little idle; no slice is shorter than one
 * step. */
int cuda_tall_slices(const struct cuda *d, int rows, int n)
{
    int columns = (int)blocks_for(n, TALL_WIDTH), steps = (int)blocks_for(rows, TALL_STEP);
    int wanted = (4 * d->processors + columns - 1) / columns;
    return wanted < steps ? wanted : steps;
}

enum status cuda_tall_product(struct cuda *d, const struct cuda_tall_args *a)
{
    TRY(check_octets(d, "an adapter's gradient", a->n, 1 << 24));
    int variant = rank_variant(a->r);
    if (variant < 0)
        return ctx_fail(d->c, E_UNSUPPORTED, "CUDA: an adapter's gradient of rank %d: 16, 32, 48, 64 or 96", a->r);
    unsigned shared = 2 * TALL_STEP * (unsigned)(TALL_WIDTH + ROW_PAD + a->r + ROW_PAD) * 2;
    struct cuda_grid g = {blocks_for(a->n, TALL_WIDTH), (unsigned)a->slices, 256, shared};
    TRY(cuda_launch(d, CUDA_tall_product_16 + variant, g, a));
    return cuda_launch(d, CUDA_tall_total, (struct cuda_grid){blocks_for((int64_t)a->n * a->r, 256), 1, 256, 0}, a);
}

bool cuda_thin_has(int r, bool columns)
{
    return columns ? r == 16 || r == 32 || r == 64 : rank_variant(r) >= 0;
}

enum status cuda_thin(struct cuda *d, const struct cuda_thin_args *a, int r, bool columns)
{
    BUG_ON(d->c, !cuda_thin_has(r, columns), "a thin product of %d", r);
    int thin = columns ? THIN_DEPTH * (r + ROW_PAD) : r * (THIN_DEPTH + ROW_PAD);
    unsigned shared = (unsigned)(THIN_STAGES * (THIN_ROWS * (THIN_DEPTH + ROW_PAD) + thin) * 2);
    struct cuda_grid g = {blocks_for(a->rows, THIN_ROWS), 1, 128, shared};
    TRY(check_octets(d, "an adapter's product", a->depth, 1 << 24));
    if (!columns) return cuda_launch(d, CUDA_thin_16 + rank_variant(r), g, a);
    return cuda_launch(d, r == 16 ? CUDA_thin_columns_16 : r == 32 ? CUDA_thin_columns_32 : CUDA_thin_columns_64, g, a);
}

enum status cuda_pack(struct cuda *d, const struct cuda_pack_args *a)
{
    int64_t r = a->first[a->parts], count = r * a->cols + r * a->row[a->parts];
    return cuda_launch(d, CUDA_adapter_pack, (struct cuda_grid){blocks_for(count, 512), 1, 256, 0}, a);
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
    return cuda_launch(d, CUDA_attention_bounds, (struct cuda_grid){blocks_for(most, 256), 1, 256, 0}, a);
}

/* Bytes of `rows` rows of a tile: each is padded by 8 elements (cuda_mma.cuh). */
static unsigned tile_bytes(int rows, int dim)
{
    return (unsigned)(rows * (dim + 8) * 2);
}

/* Sizes of cuda_attention_wide.cu: rows that a block owns, rows of the tiles that it walks over in forward and in
 * backward, and the alignment in bytes that the 128-byte swizzle of wgmma needs. */
enum { WIDE_ROWS = 128, WIDE_COLUMNS = 128, WIDE_COLUMNS_BWD = 64, WIDE_ALIGN = 1024 };

/* Whether the wgmma kernels run this head size on this card: the instruction exists on compute capability 9.0 only. */
static bool attention_wide(const struct cuda *d, int dim)
{
    return d->major == 9 && (dim == 64 || dim == 128);
}

/* Shared memory of a wgmma block: `tiles` tiles that it owns (q; or q and dO), and two tiles that it walks over (k and v),
 * each twice, so that the next is copied while one is multiplied. */
static unsigned wide_bytes(int tiles, int columns, int dim)
{
    return (unsigned)((tiles * WIDE_ROWS + 4 * columns) * dim * 2 + WIDE_ALIGN);
}

enum status cuda_attention(struct cuda *d, const struct cuda_attention_args *a)
{
    struct cuda_grid wide = {blocks_for(a->queries, WIDE_ROWS), (unsigned)a->heads, 256,
                             wide_bytes(1, WIDE_COLUMNS, a->dim)};
    if (attention_wide(d, a->dim))
        return cuda_launch(d, a->dim == 64 ? CUDA_attention_wide_64 : CUDA_attention_wide_128, wide, a);
    enum { ROWS = 128, COLUMNS = 64 };
    int variant = attention_variant(d, a->dim);
    if (variant < 0) return d->c->status;
    struct cuda_grid g = {blocks_for(a->queries, ROWS), (unsigned)a->heads, 128, tile_bytes(ROWS + 4 * COLUMNS, a->dim)};
    return cuda_launch(d, CUDA_attention_16 + variant, g, a);
}

bool cuda_attention_one_fits(const struct cuda *d, struct cuda_attention_one_args *one)
{
    enum { FEWEST_KEYS = 32, MOST_HEADS = 8 };
    const struct cuda_attention_args *a = &one->attention;
    if (a->queries != 1 || (a->dim != 64 && a->dim != 128) || a->heads > MOST_HEADS * a->groups) return false;
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
    struct cuda_grid g = {(unsigned)one->pieces, (unsigned)a->groups, 128, 0}, total = {blocks_for(a->heads, 4), 1, 128, 0};
    TRY(cuda_launch(d, wide ? CUDA_attention_one_128 : CUDA_attention_one_64, g, one));
    return cuda_launch(d, wide ? CUDA_attention_one_total_128 : CUDA_attention_one_total_64, total, one);
}

static enum status attention_wide_bwd(struct cuda *d, const struct cuda_attention_args *a)
{
    unsigned shared = wide_bytes(2, WIDE_COLUMNS_BWD, a->dim), values = 4 * WIDE_COLUMNS_BWD * (unsigned)sizeof(float);
    struct cuda_grid dq = {blocks_for(a->queries, WIDE_ROWS), (unsigned)a->heads, 256, shared};
    struct cuda_grid dkv = {blocks_for(a->keys, WIDE_ROWS), (unsigned)a->groups, 256, shared + values};
    TRY(cuda_launch(d, a->dim == 64 ? CUDA_attention_wide_dq_64 : CUDA_attention_wide_dq_128, dq, a));
    return cuda_launch(d, a->dim == 64 ? CUDA_attention_wide_dkv_64 : CUDA_attention_wide_dkv_128, dkv, a);
}

enum status cuda_attention_bwd(struct cuda *d, const struct cuda_attention_args *a)
{
    enum { ROWS = 128, COLUMNS = 32, KEY_ROWS = 64, QUERY_COLUMNS = 64 };
    int variant = attention_variant(d, a->dim);
    if (variant < 0) return d->c->status;
    struct cuda_grid delta = {blocks_for((int64_t)a->queries * a->heads, 4), 1, 128, 0};
    struct cuda_grid dq = {blocks_for(a->queries, ROWS), (unsigned)a->heads, 128,
                           tile_bytes(2 * ROWS + 4 * COLUMNS, a->dim)};
    struct cuda_grid dkv = {blocks_for(a->keys, KEY_ROWS), (unsigned)a->groups, 128,
                            tile_bytes(2 * KEY_ROWS + 4 * QUERY_COLUMNS, a->dim) +
                                4 * QUERY_COLUMNS * (unsigned)sizeof(float)};
    TRY(cuda_launch(d, CUDA_attention_delta, delta, a));
    if (attention_wide(d, a->dim)) return attention_wide_bwd(d, a);
    TRY(cuda_launch(d, CUDA_attention_dq_16 + variant, dq, a));
    return cuda_launch(d, CUDA_attention_dkv_16 + variant, dkv, a);
}
