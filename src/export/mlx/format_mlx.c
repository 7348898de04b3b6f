/* format_mlx: the model with the adapter merged in, quantised in MLX's own form, as a folder for mlx-lm. Matrices whose
 * columns groups of 64 fill are packed into three tensors, NAME.weight (words), NAME.scales and NAME.biases; everything else
 * is bf16. mlx-lm sees by the scales which are packed. (Unquantised folders: mlx-lm loads those of `safetensors`.)
 *
 * The check compares matrices and not logits: every one is widened from the file again and compared with what was merged.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array/codec/mlx_affine.h"
#include "array/dtype.h"
#include "base/file.h"
#include "base/mem.h"
#include "export/formats.h"
#include "export/hf/hf_folder.h"
#include "io/safetensors.h"

enum { CONFIG_MAX_BYTES = 4 << 20, NAME_BYTES = 160 };
enum part { PART_WORDS, PART_SCALES, PART_BIASES, PART_PLAIN };
static const float largest = 3e38f; /* just below the largest bf16, 3.39e38: scales and biases are bf16 */

/* One tensor of the file: a part of one of the list. */
struct mlx_item {
    char name[NAME_BYTES];
    const struct merged_tensor *t;
    enum part part;
};

struct mlx_plan {
    const struct export_source *s;
    int bits;
    struct merged *list;               /* owned */
    struct mlx_item *items;            /* owned */
    struct safetensors_entry *entries; /* owned */
    size_t n;
};

static int bits_of(const char *type)
{
    return type[0] == '8' ? 8 : 4;
}

static bool is_packed(const struct merged_tensor *t)
{
    return t->weight && t->cols % MLX_GROUP == 0;
}

/* ---- the list of tensors --------------------------------------------------------------------------------------------- */

static void mlx_add_item(struct mlx_plan *p, const struct merged_tensor *t, enum part part)
{
    static const char *const ends[] = {".weight", ".scales", ".biases", ""};
    struct mlx_item *item = &p->items[p->n];
    size_t n = strlen(t->name) - (part == PART_PLAIN ? 0 : strlen(".weight"));
    snprintf(item->name, sizeof item->name, "%.*s%s", (int)n, t->name, ends[part]);
    item->t = t;
    item->part = part;
    struct safetensors_entry *e = &p->entries[p->n++];
    /* a word of 32 bits holds 32 / bits values; a group of 64 values has one scale and one bias */
    int64_t cols = part == PART_PLAIN ? t->cols : part == PART_WORDS ? t->cols * p->bits / 32 : t->cols / MLX_GROUP;
    *e = (struct safetensors_entry){.name = item->name, .type = part == PART_WORDS ? TENSOR_U32 : TENSOR_BF16};
    e->ndim = t->weight ? 2 : 1;
    e->shape[0] = t->weight ? t->rows : cols;
    if (t->weight) e->shape[1] = cols;
}

/* Lists the tensors of the file. Words (4 bytes an element) come before all bf16 (2 bytes), so that everything is aligned.
 */
static enum status plan_open(struct mlx_plan *p, const struct export_source *s, const char *type)
{
    *p = (struct mlx_plan){.s = s, .bits = bits_of(type), .list = merged_open(s->model)};
    size_t n = p->list ? 3 * merged_count(p->list) : 0;
    p->items = mem_alloc(s->c, n, sizeof *p->items);
    p->entries = mem_alloc(s->c, n, sizeof *p->entries);
    if (!ctx_ok(s->c)) return s->c->status;
    for (size_t i = 0; i < merged_count(p->list); i++)
        if (is_packed(merged_at(p->list, i))) mlx_add_item(p, merged_at(p->list, i), PART_WORDS);
    for (size_t i = 0; i < merged_count(p->list); i++) {
        const struct merged_tensor *t = merged_at(p->list, i);
        if (is_packed(t)) {
            mlx_add_item(p, t, PART_SCALES);
            mlx_add_item(p, t, PART_BIASES);
        } else {
            mlx_add_item(p, t, PART_PLAIN);
        }
    }
    return OK;
}

static void plan_close(struct mlx_plan *p)
{
    merged_close(p->list);
    mem_free(p->s->c, p->items);
    mem_free(p->s->c, p->entries);
}

static uint64_t format_mlx_bytes(const struct export_source *s, const char *type)
{
    struct mlx_plan p;
    uint64_t bytes = 0;
    size_t n;
    if (plan_open(&p, s, type) == OK)
        for (size_t i = 0; i < p.n; i++)
            bytes += tensor_bytes(p.entries[i].type, p.entries[i].ndim, p.entries[i].shape, &n) ? n : 0;
    plan_close(&p);
    return bytes;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* What a sink's functions get. */
struct format_mlx_stream {
    int bits;
    enum part part;
    struct safetensors_writer *out;
};

static void encode_part(const void *user, const float *row, int64_t cols, void *out)
{
    const struct format_mlx_stream *m = user;
    mlx_affine_quantise(row, cols, m->bits, m->part == PART_WORDS ? out : NULL, m->part == PART_SCALES ? out : NULL,
                        m->part == PART_BIASES ? out : NULL);
}

static void mlx_write_bytes(void *user, const void *bytes, size_t n)
{
    safetensors_write(((struct format_mlx_stream *)user)->out, bytes, n);
}

static enum status write_item(struct mlx_plan *p, size_t i, struct safetensors_writer *out)
{
    const struct mlx_item *item = &p->items[i];
    struct format_mlx_stream stream = {p->bits, item->part, out};
    struct merged_sink sink = {.write = mlx_write_bytes, .user = &stream};
    if (item->part == PART_PLAIN) {
        merged_plain_sink(&sink, TENSOR_BF16, item->t->cols);
    } else {
        sink.row_bytes = (size_t)p->entries[i].shape[1] * (item->part == PART_WORDS ? 4 : 2);
        sink.limit = largest;
        sink.encode = encode_part;
    }
    return merged_stream(p->list, item->t, &sink);
}

static enum status mlx_write_tensors(struct mlx_plan *p, const char *dir)
{
    struct ctx *c = p->s->c;
    char *path = path_join(c, dir, "model.safetensors");
    struct safetensors_writer *out = path ? safetensors_create(c, path, p->entries, p->n, NULL, 0) : NULL;
    mem_free(c, path);
    for (size_t i = 0; out && ctx_ok(c) && i < p->n; i++) write_item(p, i, out);
    if (out && ctx_ok(c)) return safetensors_commit(out);
    safetensors_abort(out);
    return c->status;
}

/* config.json as of a merged folder, and how its matrices are packed. */
static enum status add_quantization(const struct export_source *s, const char *dir, int bits)
{
    char *path = path_join(s->c, dir, "config.json");
    json_t *doc = path ? json_parse_file(s->c, path, CONFIG_MAX_BYTES) : NULL, *how = json_object();
    json_object_set_new(how, "group_size", json_integer(MLX_GROUP));
    json_object_set_new(how, "bits", json_integer(bits));
    if (doc) json_object_set(doc, "quantization", how);
    if (doc) hf_folder_write_json(s->c, dir, "config.json", doc);
    json_decref(how);
    json_decref(doc);
    mem_free(s->c, path);
    return s->c->status;
}

static enum status format_mlx_write(const struct export_source *s, const char *dir, const char *type)
{
    struct mlx_plan p;
    TRY(hf_folder_check(s->model));
    if (plan_open(&p, s, type) == OK) {
        merged_set_progress(p.list, s->report, s->report_user);
        if (mlx_write_tensors(&p, dir) == OK && hf_folder_write(s->model, dir, TENSOR_BF16) == OK)
            add_quantization(s, dir, p.bits);
    }
    plan_close(&p);
    return s->c->status;
}

/* ---- the check ------------------------------------------------------------------------------------------------------- */

/* The written parts of a matrix, and what comparing came to. */
struct mlx_compare {
    struct mlx_affine_matrix written;
    int64_t cols, row;
    float *widened; /* (cols) scratch */
    double squares, all;
};

static void keep_f32(const void *user, const float *row, int64_t cols, void *out)
{
    (void)user;
    memcpy(out, row, (size_t)cols * sizeof *row);
}

static void compare_rows(void *user, const void *bytes, size_t n)
{
    struct mlx_compare *k = user;
    const float *want = bytes;
    for (size_t rows = n / ((size_t)k->cols * sizeof *want); rows > 0; rows--, k->row++, want += k->cols) {
        mlx_affine_row_f32(&k->written, k->row, k->cols, k->widened);
        for (int64_t j = 0; j < k->cols; j++) {
            double e = (double)k->widened[j] - (double)want[j];
            k->squares += e * e;
            k->all += (double)want[j] * (double)want[j];
        }
    }
}

/* Streams the merged matrix once more, as f32, past the written one: compare_rows widens each row and adds up the
 * differences. */
static enum status compare_matrix(struct mlx_plan *p, const struct safetensors *file, const struct merged_tensor *t,
                                  struct mlx_compare *k)
{
    static const char *const ends[] = {"weight", "scales", "biases"};
    const struct tensor_view *parts[3];
    struct merged_sink sink = {
        .row_bytes = (size_t)t->cols * sizeof(float), .encode = keep_f32, .write = compare_rows, .user = k};
    char name[NAME_BYTES];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%.*s%s", (int)(strlen(t->name) - strlen("weight")), t->name, ends[i]);
        parts[i] = safetensors_find(file, name);
        if (!parts[i] || !tensor_is_aligned(parts[i]))
            return ctx_fail(p->s->c, E_NUMERIC, "tensor %s is missing or not aligned in what was written", name);
    }
    *k = (struct mlx_compare){
        .written = {parts[0]->data, parts[1]->data, parts[2]->data, TENSOR_BF16, p->bits, MLX_GROUP},
        .cols = t->cols,
        .widened = k->widened,
        .squares = k->squares,
        .all = k->all,
    };
    return merged_stream(p->list, t, &sink);
}

static enum status mlx_compare_all(struct mlx_plan *p, const struct safetensors *file, double *relative)
{
    struct mlx_compare k = {.squares = 0};
    for (size_t i = 0; i < merged_count(p->list); i++) {
        const struct merged_tensor *t = merged_at(p->list, i);
        if (!is_packed(t)) continue;
        k.widened = mem_alloc(p->s->c, (size_t)t->cols, sizeof *k.widened);
        if (k.widened) compare_matrix(p, file, t, &k);
        mem_free(p->s->c, k.widened);
        TRY(p->s->c->status);
    }
    *relative = k.all > 0 ? sqrt(k.squares / k.all) : 0;
    return OK;
}

static enum status format_mlx_check(const struct export_source *s, const char *dir, const char *type,
                                    struct export_difference *out)
{
    struct mlx_plan p;
    struct safetensors *file = safetensors_open_dir(s->c, dir);
    *out = (struct export_difference){.weights = true};
    if (plan_open(&p, s, type) == OK && file) mlx_compare_all(&p, file, &out->relative);
    plan_close(&p);
    safetensors_close(file);
    return s->c->status;
}

/* Relative L2 of the weights' differences. Measured: 0.095 for 4 bits (docs/export.md); three times that is a fault. */
static double format_mlx_limit(const char *type)
{
    return bits_of(type) == 8 ? 0.02 : 0.3;
}

const struct export_format format_mlx = {
    .name = "mlx",
    .library = "mlx",
    .holds = "a folder in MLX's own packing, for mlx-lm",
    .types = "4bit|8bit",
    .bytes = format_mlx_bytes,
    .write = format_mlx_write,
    .opens = format_opens_folder,
    .limit = format_mlx_limit,
    .check = format_mlx_check,
    .usage = {.command = "mlx_lm.generate --model %s -p Hello"},
};
