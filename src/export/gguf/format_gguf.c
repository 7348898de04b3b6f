/* format_gguf: the model with the adapter merged in, as one GGUF file for llama.cpp, Ollama and LM Studio. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "array/codec/quant_encode.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "export/formats.h"
#include "export/gguf/gguf_model.h"
#include "model/weights.h"
#include "model/weights_names.h"

static const float largest = 65504; /* of f16, in which blocks keep their scales */

struct gguf_plan {
    const struct export_source *s;
    const struct gguf_file_type *file;
    struct merged *list;   /* owned */
    struct gguf_writer *w; /* owned until commit */
    int32_t *order;        /* owned: rows of q and k; NULL: as they are */
    enum tensor_type type; /* of the tensor that is being written */
};

/* ---- names ----------------------------------------------------------------------------------------------------------- */

char *gguf_model_stem(const struct export_source *s)
{
    const char *name = s->base_name ? s->base_name : s->model->name, *slash = strrchr(name, '/');
    if (slash && slash[1]) name = slash + 1;
    size_t n = strlen(name);
    if (str_has_suffix(name, ".gguf")) n -= strlen(".gguf");
    char *stem = mem_strndup(s->c, n ? name : "model", n ? n : 5);
    for (char *at = stem; at && *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("-_.", *at)) *at = '_';
    return stem;
}

/* "smollm2-135m-Q4_K_M.gguf" */
static char *file_name(const struct export_source *s, const char *type)
{
    char *stem = gguf_model_stem(s), *name = stem ? mem_printf(s->c, "%s-%s.gguf", stem, type) : NULL;
    for (char *at = name ? name + strlen(stem) : NULL; at && *at != '.'; at++) *at = (char)toupper((unsigned char)*at);
    mem_free(s->c, stem);
    return name;
}

static char *format_gguf_opens(const struct export_source *s, const char *dir, const char *type)
{
    char *name = file_name(s, type), *path = name ? path_join(s->c, dir, name) : NULL;
    mem_free(s->c, name);
    return path;
}

/* "blk.3.attn_q.weight" for "model.layers.3.self_attn.q_proj.weight". */
static const char *gguf_tensor_name(const struct merged_tensor *t, char buf[WEIGHTS_NAME_BYTES])
{
    const struct weights_names *names = weights_names_of(CONTAINER_GGUF);
    switch (t->kind) {
    case MERGED_EMBED:
        return names->embed;
    case MERGED_HEAD:
        return names->head;
    case MERGED_FINAL_NORM:
        return names->final_norm;
    case MERGED_NORM:
        return weights_block_name(names, t->layer, names->norm[t->place], "weight", buf);
    default:
        return weights_block_name(names, t->layer, names->linear[t->place], t->kind == MERGED_BIAS ? "bias" : "weight", buf);
    }
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void gguf_declare(struct gguf_plan *p)
{
    char name[WEIGHTS_NAME_BYTES];
    gguf_rope_declare(p->w, p->s->model);
    for (size_t i = 0; i < merged_count(p->list); i++) {
        const struct merged_tensor *t = merged_at(p->list, i);
        const int64_t shape[2] = {t->weight ? t->rows : t->cols, t->cols};
        gguf_writer_tensor(p->w, gguf_tensor_name(t, name), gguf_type_of(&p->s->model->config, p->file, t),
                           t->weight ? 2 : 1, shape);
    }
}

/* One row as blocks of p->type; the plan is only read, since rows are encoded by several threads. */
static void encode_blocks(const void *user, const float *row, int64_t cols, void *out)
{
    const struct gguf_plan *p = user;
    quant_from_f32(p->type, row, out, cols);
}

static void gguf_write_bytes(void *user, const void *bytes, size_t n)
{
    gguf_writer_write(((struct gguf_plan *)user)->w, bytes, n);
}

/* One tensor in the type that gguf_type_of gives it: plain types by merged.h's encoder, others block by block. */
static enum status send_tensor(struct gguf_plan *p, const struct merged_tensor *t)
{
    struct merged_sink sink = {.write = gguf_write_bytes, .user = p};
    p->type = gguf_type_of(&p->s->model->config, p->file, t);
    const struct tensor_type_info *info = tensor_type_info(p->type);
    if (gguf_is_permuted(t->kind, t->place)) sink.order = p->order;
    if (info->block == 1) {
        merged_plain_sink(&sink, p->type, t->cols);
    } else {
        sink.row_bytes = (size_t)(t->cols / info->block) * (size_t)info->bytes;
        sink.limit = largest;
        sink.encode = encode_blocks;
    }
    return merged_stream(p->list, t, &sink);
}

/* The file: metadata and the list of tensors, then their bytes in the same order, then its name; read back at the end. */
static enum status gguf_write_file(struct gguf_plan *p, const char *path)
{
    const struct model *m = p->s->model;
    char *stem = gguf_model_stem(p->s);
    if (stem && gguf_meta_write(p->w, m, p->file, stem) == OK && gguf_vocab_write(p->w, p->s) == OK) gguf_declare(p);
    mem_free(m->c, stem);
    TRY(gguf_writer_begin(p->w, path));
    TRY(gguf_rope_send(p->w, m));
    for (size_t i = 0; i < merged_count(p->list); i++) TRY(send_tensor(p, merged_at(p->list, i)));
    struct gguf_writer *w = p->w;
    p->w = NULL;
    TRY(gguf_writer_commit(w));
    TRY(weights_check(m->files)); /* what was written came from an intact file */
    return gguf_meta_check(m, path);
}

static enum status format_gguf_write(const struct export_source *s, const char *dir, const char *type)
{
    struct gguf_plan p = {.s = s, .file = gguf_file_type_find(type), .list = merged_open(s->model)};
    char *path = format_gguf_opens(s, dir, type), *name = file_name(s, type), *from = NULL;
    p.w = gguf_writer_new(s->c);
    if (p.list) merged_set_progress(p.list, s->report, s->report_user);
    if (ctx_ok(s->c) && gguf_row_order(s->model, &p.order) == OK) gguf_write_file(&p, path);
    if (ctx_ok(s->c)) from = mem_printf(s->c, "./%s", name);
    if (from) modelfile_write(s, dir, from, NULL);
    gguf_writer_abort(p.w);
    merged_close(p.list);
    mem_free(s->c, p.order);
    mem_free(s->c, from);
    mem_free(s->c, name);
    mem_free(s->c, path);
    return s->c->status;
}

/* ---- the format ------------------------------------------------------------------------------------------------------ */

static uint64_t format_gguf_bytes(const struct export_source *s, const char *type)
{
    const struct gguf_file_type *file = gguf_file_type_find(type);
    struct merged *g = merged_open(s->model);
    uint64_t bytes = 0;
    for (size_t i = 0; g && i < merged_count(g); i++) {
        const struct merged_tensor *t = merged_at(g, i);
        const struct tensor_type_info *info = tensor_type_info(gguf_type_of(&s->model->config, file, t));
        bytes += (uint64_t)(t->rows * t->cols / info->block) * (uint64_t)info->bytes;
    }
    merged_close(g);
    return bytes;
}

static double format_gguf_limit(const char *type)
{
    return format_limit_of(gguf_file_type_find(type)->type);
}

const struct export_format format_gguf = {
    .name = "gguf",
    .library = "gguf",
    .holds = "a GGUF file for llama.cpp, Ollama and LM Studio",
    .types = GGUF_FILE_TYPES,
    .bytes = format_gguf_bytes,
    .write = format_gguf_write,
    .opens = format_gguf_opens,
    .limit = format_gguf_limit,
    .usage = {.command = "llama-cli -m %s",
              .note = "Ollama: ollama create NAME -f Modelfile; LM Studio finds it in ~/.lmstudio/models/me/NAME"},
};
