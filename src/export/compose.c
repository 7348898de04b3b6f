/* compose: see compose.h. */
#include "export/compose.h"

#include <string.h>

#include "base/file.h"
#include "base/hash_cache.h"
#include "base/mem.h"
#include "export/card.h"
#include "model/lora_math.h"

enum { CARD_PART_BYTES = 1 << 20 };

/* A row of the card: what the adapter is called, its weight and rank, and the SHA-256 of its tensors. The row does not begin
 * as those of the base's files do, which peft_check_base looks for. */
static enum status append_part(struct ctx *c, struct buf *b, const char *path, double weight, const struct lora *l)
{
    static const char *const files[] = {"adapter_model.safetensors", "adapters.safetensors"};
    const char *slash = strrchr(path, '/');
    char hex[65] = "", *file = NULL;
    uint64_t bytes;
    for (size_t i = 0; i < 2 && !file && dir_exists(path) && ctx_ok(c); i++) {
        file = path_join(c, path, files[i]);
        if (file && !file_exists(file)) {
            mem_free(c, file);
            file = NULL;
        }
    }
    if (file || file_exists(path)) hash_cache_sha256(c, file ? file : path, hex, &bytes);
    mem_free(c, file);
    path = slash && slash[1] ? slash + 1 : path;
    buf_append_str(b, "| adapter `");
    card_append_plain(b, path, strlen(path));
    buf_printf(b, "` | %g | %lld | `%s` |\n", weight, (long long)l->config.rank, hex);
    return c->status;
}

static void begin_table(struct ctx *c, struct buf *b, const char *what)
{
    buf_init(b, c, CARD_PART_BYTES);
    buf_printf(b, "%s\n\n| of | weight | rank | SHA-256 of its tensors |\n|---|---|---|---|\n", what);
}

/* Keeps the table for the card. */
static enum status end_table(struct export_source *s, struct buf *b)
{
    buf_append_char(b, '\n');
    if (ctx_ok(s->c) && buf_ok(b)) {
        mem_free(s->c, s->made_of);
        s->made_of = mem_strdup(s->c, buf_str(b));
    }
    buf_release(b);
    return s->c->status;
}

/* The source's adapter gives way to another one. */
static void take_lora(struct export_source *s, struct lora *l)
{
    model_attach_lora(s->model, NULL);
    lora_free(s->lora);
    s->lora = l;
    model_attach_lora(s->model, l);
}

/* Opens all adapters but the first, which is the source's, and writes their rows. */
static enum status open_parts(struct export_source *s, const struct compose_options *o, struct lora_part *parts,
                              struct lora **owned, struct buf *table)
{
    for (size_t i = 0; i < o->n && ctx_ok(s->c); i++) {
        char *path = NULL;
        if (i > 0) owned[i] = export_open_adapter(s, o->operands[i], o->force, &path);
        parts[i] = (struct lora_part){i > 0 ? owned[i] : s->lora, o->weights[i]};
        if (ctx_ok(s->c)) append_part(s->c, table, i > 0 ? path : s->adapter, o->weights[i], parts[i].lora);
        mem_free(s->c, path);
    }
    return s->c->status;
}

static struct lora *sum_and_cut(struct export_source *s, const struct lora_part *parts, size_t n, int64_t rank,
                                double *least)
{
    struct lora *sum = lora_math_sum(s->c, &s->model->config, parts, n), *cut;
    *least = 1;
    if (!sum || rank == 0) return sum;
    cut = lora_math_truncate(s->c, &s->model->config, sum, rank, least);
    lora_free(sum);
    return cut;
}

enum status compose_merge(struct export_source *s, const struct compose_options *o, double *least)
{
    struct ctx *c = s->c;
    struct buf table;
    struct lora_part *parts = mem_alloc(c, o->n, sizeof *parts);
    struct lora **owned = mem_alloc(c, o->n, sizeof *owned), *sum = NULL;
    begin_table(c, &table,
                o->rank
                    ? "The sum of these adapters, each times its weight, cut to the nearest one of a smaller rank; it was "
                      "not trained as it is:"
                    : "The exact sum of these adapters, each times its weight; it was not trained as it is:");
    if (parts && owned && open_parts(s, o, parts, owned, &table) == OK) sum = sum_and_cut(s, parts, o->n, o->rank, least);
    if (sum) {
        take_lora(s, sum);
        mem_free(c, s->run);
        s->run = NULL;
    }
    end_table(s, &table);
    for (size_t i = 0; owned && i < o->n; i++) lora_free(owned[i]);
    mem_free(c, owned);
    mem_free(c, parts);
    return c->status;
}

enum status compose_scale(struct export_source *s, double factor)
{
    struct buf table;
    begin_table(s->c, &table, "This adapter times a factor; it was not trained as it is:");
    append_part(s->c, &table, s->adapter, factor, s->lora);
    if (ctx_ok(s->c)) lora_math_scale(s->lora, factor);
    return end_table(s, &table);
}
