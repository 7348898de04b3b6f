/* format_gguf_lora: the adapter as a GGUF file that llama.cpp puts on a base (--lora), in F32.
 *
 * llama.cpp scales by adapter.lora.alpha / r, with r from the tensors, and knows no rsLoRA and no alpha of a single module:
 * so alpha is that of the first module's scale, s r, and the B of every module whose s r is another is multiplied by the
 * ratio. Rows of B are in the order of the model's rows (gguf_order.c). */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/shell_word.h"
#include "export/formats.h"
#include "export/gguf/gguf_model.h"
#include "model/weights.h"
#include "model/weights_names.h"

static const char adapter_name[] = "adapter.gguf";

static const char *gguf_lora_half_name(const struct lora_module *m, char half, char buf[WEIGHTS_NAME_BYTES])
{
    const struct weights_names *names = weights_names_of(CONTAINER_GGUF);
    const char part[] = {'w', 'e', 'i', 'g', 'h', 't', '.', 'l', 'o', 'r', 'a', '_', half, 0};
    return weights_block_name(names, m->layer, names->linear[m->place], part, buf);
}

static double alpha_of(const struct lora_module *m)
{
    return (double)m->slot.scale * (double)m->rank;
}

static void gguf_lora_declare(const struct lora *l, struct gguf_writer *w)
{
    char name[WEIGHTS_NAME_BYTES];
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i];
        gguf_writer_tensor(w, gguf_lora_half_name(m, 'a', name), TENSOR_F32, 2, m->slot.a->shape);
        gguf_writer_tensor(w, gguf_lora_half_name(m, 'b', name), TENSOR_F32, 2, m->slot.b->shape);
    }
}

/* A half's values, B's rows in the file's order and times `factor`. */
static enum status send_half(struct ctx *c, struct gguf_writer *w, struct array *a, const int32_t *order, double factor)
{
    int64_t rows = a->shape[0], cols = a->shape[1];
    float *values = mem_alloc(c, (size_t)(rows * cols), sizeof *values);
    float *row = values ? mem_alloc(c, (size_t)cols, sizeof *row) : NULL;
    if (row && parameter_read(a, values) == OK)
        for (int64_t i = 0; i < rows; i++) {
            const float *from = values + (order ? order[i] : i) * cols;
            for (int64_t j = 0; j < cols; j++) row[j] = factor == 1 ? from[j] : (float)(factor * (double)from[j]);
            gguf_writer_write(w, row, (size_t)cols * sizeof *row);
        }
    mem_free(c, row);
    mem_free(c, values);
    return c->status;
}

static enum status send(const struct lora *l, struct gguf_writer *w, const int32_t *order)
{
    double alpha = alpha_of(&l->modules[0]);
    for (size_t i = 0; i < l->n_modules; i++) {
        const struct lora_module *m = &l->modules[i];
        bool permuted = gguf_is_permuted(MERGED_LINEAR, (int)m->place);
        double factor = (float)alpha_of(m) == (float)alpha ? 1 : alpha_of(m) / alpha;
        TRY(send_half(l->c, w, m->slot.a, NULL, 1));
        TRY(send_half(l->c, w, m->slot.b, permuted ? order : NULL, factor));
    }
    return OK;
}

/* The metadata that llama.cpp asks of an adapter, then all matrices in f32. *w is NULL once commit has taken it over. */
static enum status gguf_lora_write_file(const struct export_source *s, struct gguf_writer **w, const char *path,
                                        const int32_t *order)
{
    const char *arch = model_family_names(s->model->config.family)->gguf;
    if (!arch)
        return ctx_fail(s->c, E_UNSUPPORTED, "%s: GGUF has no architecture for %s", s->model->path,
                        s->model->config.architecture);
    gguf_writer_string(*w, "general.type", "adapter", 7);
    gguf_writer_string(*w, "general.architecture", arch, strlen(arch));
    gguf_writer_string(*w, "adapter.type", "lora", 4);
    gguf_writer_f32(*w, "adapter.lora.alpha", (float)alpha_of(&s->lora->modules[0]));
    gguf_writer_u32(*w, "general.file_type", gguf_file_type_find("f32")->number);
    gguf_lora_declare(s->lora, *w);
    TRY(gguf_writer_begin(*w, path));
    TRY(send(s->lora, *w, order));
    struct gguf_writer *done = *w;
    *w = NULL;
    return gguf_writer_commit(done);
}

/* The base for Ollama: the GGUF file that is there, or one that has to be made. */
static enum status write_modelfile(const struct export_source *s, const char *dir)
{
    const struct gguf *base = weights_gguf(s->model->files);
    char *stem = gguf_model_stem(s), *from = NULL;
    if (stem) from = base ? path_absolute(s->c, gguf_path(base)) : mem_printf(s->c, "./%s-F16.gguf", stem);
    if (from) modelfile_write(s, dir, from, "./adapter.gguf");
    char *word = from && !base && ctx_ok(s->c) ? shell_word_new(s->c, s->model_path) : NULL;
    if (word)
        ctx_log(s->c, LOG_INFO, "the Modelfile names the base %s: your_ai export -m %s --to gguf:f16 -o DIR makes it", from,
                word);
    mem_free(s->c, word);
    mem_free(s->c, from);
    mem_free(s->c, stem);
    return s->c->status;
}

static enum status format_gguf_lora_write(const struct export_source *s, const char *dir, const char *type)
{
    int32_t *order = NULL;
    char *path = path_join(s->c, dir, adapter_name);
    struct gguf_writer *w = gguf_writer_new(s->c);
    (void)type;
    if (path && w && gguf_row_order(s->model, &order) == OK && gguf_lora_write_file(s, &w, path, order) == OK)
        write_modelfile(s, dir);
    gguf_writer_abort(w);
    mem_free(s->c, order);
    mem_free(s->c, path);
    return s->c->status;
}

static char *format_gguf_lora_opens(const struct export_source *s, const char *dir, const char *type)
{
    (void)type;
    return path_join(s->c, dir, adapter_name);
}

const struct export_format format_gguf_lora = {
    .name = "gguf-lora",
    .library = "gguf",
    .holds = "the adapter as a GGUF file, for llama.cpp and Ollama",
    .is_adapter = true,
    .bytes = format_adapter_bytes,
    .write = format_gguf_lora_write,
    .opens = format_gguf_lora_opens,
    .limit = format_limit_exact,
    .usage = {.command = "llama-cli -m BASE.gguf --lora %s",
              .note = "BASE.gguf: the base, which the Modelfile names; Ollama: ollama create NAME -f Modelfile"},
};
