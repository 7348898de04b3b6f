/* weights: see weights.h.
 *
 * GGUF files of architecture "llama" hold the rows of q and k permuted within each head, so that rotary pairs are
 * neighbours: stored row h * D + 2 j + s is row h * D + s * D / 2 + j of the Hugging Face matrix (s = 0, 1; j < D / 2).
 * Copying the rows back would unmap them; instead the weight carries the row map. Qwen files are not permuted. */
#include "model/weights.h"

#include <stdio.h>
#include <string.h>

#include "array/codec/quant.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/safetensors.h"

enum { NAME_BYTES = 96 };

struct model_files {
    struct ctx *c;
    char *path, *config_path; /* owned; config_path NULL for GGUF */
    struct safetensors *safetensors;
    struct gguf *gguf;     /* one of the two is open */
    struct map64 *used;    /* addresses of the views that were bound */
    struct array **arrays; /* norms and biases, retained */
    size_t n_arrays;
    char (*names)[NAME_BYTES]; /* of weights */
    size_t n_names;
    void **codes; /* matrices in NF4 or int8 */
    size_t n_codes;
    int32_t *row_map;         /* of q; that of k is its beginning, for both permute within heads */
    size_t bytes, made_bytes; /* of the weights in use; those of `codes` */
};

/* ---- files --------------------------------------------------------------------------------------------------------------
 */

static bool has_suffix(const char *s, const char *suffix)
{
    size_t n = strlen(s), k = strlen(suffix);
    return n >= k && strcmp(s + n - k, suffix) == 0;
}

static enum status open_files(struct model_files *f)
{
    if (dir_exists(f->path)) {
        f->config_path = path_join(f->c, f->path, "config.json");
        f->safetensors = f->config_path ? safetensors_open_dir(f->c, f->path) : NULL;
        return f->c->status;
    }
    if (!has_suffix(f->path, ".gguf"))
        return ctx_fail(f->c, E_INPUT, "%s: not a model: give a folder with config.json and safetensors, or a .gguf file",
                        f->path);
    f->gguf = gguf_open(f->c, f->path);
    return f->c->status;
}

struct model_files *weights_open(struct ctx *c, const char *path)
{
    struct model_files *f = mem_alloc(c, 1, sizeof *f);
    if (!f) return NULL;
    f->c = c;
    f->path = mem_strdup(c, path);
    f->used = map64_new(c, 512);
    if (ctx_ok(c) && open_files(f) == OK) return f;
    weights_close(f);
    return NULL;
}

void weights_close(struct model_files *f)
{
    if (!f) return;
    for (size_t i = 0; i < f->n_arrays; i++) array_release(f->arrays[i]);
    mem_free(f->c, f->arrays);
    for (size_t i = 0; i < f->n_codes; i++) mem_free(f->c, f->codes[i]);
    mem_free(f->c, f->codes);
    mem_free(f->c, f->names);
    mem_free(f->c, f->row_map);
    map64_free(f->used);
    safetensors_close(f->safetensors);
    gguf_close(f->gguf);
    mem_free(f->c, f->config_path);
    mem_free(f->c, f->path);
    mem_free(f->c, f);
}

enum status weights_config(struct model_files *f, struct model_config *out)
{
    return f->gguf ? model_config_from_gguf(f->c, f->gguf, out) : model_config_from_json(f->c, f->config_path, out);
}

enum status weights_check(struct model_files *f)
{
    return f->gguf ? file_check(f->c, gguf_file(f->gguf)) : safetensors_check(f->c, f->safetensors);
}

size_t weights_bytes(const struct model_files *f)
{
    return f->bytes;
}

size_t weights_made_bytes(const struct model_files *f)
{
    return f->made_bytes;
}

const struct gguf *weights_gguf(const struct model_files *f)
{
    return f->gguf;
}

/* ---- tensors by name -----------------------------------------------------------------------------------------------------
 */

static const struct tensor_view *find(const struct model_files *f, const char *name)
{
    return f->gguf ? gguf_find(f->gguf, name) : safetensors_find(f->safetensors, name);
}

/* "model.layers.3." + hf or "blk.3." + gguf + "." + part; layer -1: the name alone. */
static const char *tensor_name(const struct model_files *f, char *buf, int64_t layer, const char *hf, const char *gguf,
                               const char *part)
{
    const char *tail = f->gguf ? gguf : hf;
    if (layer < 0)
        snprintf(buf, NAME_BYTES, "%s.%s", tail, part);
    else
        snprintf(buf, NAME_BYTES, "%s.%lld.%s.%s", f->gguf ? "blk" : "model.layers", (long long)layer, tail, part);
    return buf;
}

/* A tensor that must be there with this shape (cols 0: one axis of `rows`). Marks it as used. */
static const struct tensor_view *expect(struct model_files *f, const char *name, int64_t rows, int64_t cols)
{
    const struct tensor_view *t = find(f, name);
    if (!t) {
        ctx_fail(f->c, E_INPUT, "%s: tensor \"%s\" is missing", f->path, name);
        return NULL;
    }
    bool fits = cols ? t->ndim == 2 && t->shape[0] == rows && t->shape[1] == cols : t->ndim == 1 && t->shape[0] == rows;
    if (!fits) {
        ctx_fail(f->c, E_INPUT, "%s: tensor \"%s\" has %d axes and begins with %lld x %lld; the config asks for %lld x %lld",
                 f->path, name, t->ndim, (long long)(t->ndim > 0 ? t->shape[0] : 0),
                 (long long)(t->ndim > 1 ? t->shape[1] : 1), (long long)rows, (long long)(cols ? cols : 1));
        return NULL;
    }
    if (!quant_is_weight_type(t->type)) {
        ctx_fail(f->c, E_UNSUPPORTED, "%s: tensor \"%s\" has type %s, which is not a weight type that is supported", f->path,
                 name, tensor_type_info(t->type)->name);
        return NULL;
    }
    bool again = false;
    if (map64_put(f->used, (uint64_t)(uintptr_t)t, 1, &again) != OK) return NULL;
    if (!again) f->bytes += t->bytes;
    return t;
}

/* A vector as an f32 array, rows in Hugging Face order. */
static struct array *expect_vector(struct model_files *f, const char *name, int64_t n, const int32_t *row_map)
{
    const struct tensor_view *t = expect(f, name, n, 0);
    float *stored = t ? mem_alloc(f->c, (size_t)n, sizeof *stored) : NULL, *seen = NULL;
    struct array *a = NULL;
    if (stored && (seen = mem_alloc(f->c, (size_t)n, sizeof *seen))) {
        quant_to_f32(t->type, t->data, stored, n);
        for (int64_t i = 0; i < n; i++) seen[i] = stored[row_map ? row_map[i] : i];
        a = array_persistent(f->c, DTYPE_F32, 1, &n);
        if (a) f->arrays[f->n_arrays++] = a;
        if (a && array_upload(a, seen, n) != OK) a = NULL;
    }
    mem_free(f->c, stored);
    mem_free(f->c, seen);
    return a;
}

/* A matrix as a weight. `hf_name` is what messages call it. */
static enum status expect_matrix(struct model_files *f, const char *name, const char *hf_name, int64_t rows, int64_t cols,
                                 struct weight *w)
{
    const struct tensor_view *t = expect(f, name, rows, cols);
    if (!t) return f->c->status;
    char *own = f->names[f->n_names++];
    snprintf(own, NAME_BYTES, "%s", hf_name);
    *w = (struct weight){.name = own, .type = t->type, .rows = rows, .cols = cols, .data = t->data};
    w->row_bytes = t->bytes / (size_t)rows; /* a block never crosses a row: tensor_bytes */
    return OK;
}

/* ---- the table
 * ------------------------------------------------------------------------------------------------------------ */

static const char *const gguf_linear[LORA_PLACES] = {"attn_q",   "attn_k", "attn_v",  "attn_output",
                                                     "ffn_gate", "ffn_up", "ffn_down"};

static bool has_bias(const struct model_config *config, enum lora_place place)
{
    if (place <= LORA_V) return config->qkv_bias;
    return place == LORA_O ? config->o_bias : config->mlp_bias;
}

/* What 8-bit activations would cost most goes by 16 bits: q, k and v read rows with outliers of 20 times the rms, the head's
 * gradient is a product with probabilities (bench_compute shows the error of each). */
static enum compute fine_compute(const struct model_options *options)
{
    return options->compute == COMPUTE_INT8 ? COMPUTE_INT8X2 : options->compute;
}

/* Puts a matrix into the form of the base. Its pages of the file were read for this only. */
static enum status make_form(struct model_files *f, const struct model_options *options, struct weight *w)
{
    static const enum weight_form form[BASE_TYPES] = {WEIGHT_STORED, WEIGHT_NF4, WEIGHT_INT8};
    const void *stored = w->data;
    size_t stored_bytes = w->row_bytes * (size_t)w->rows, bytes = weight_form_bytes(w, form[options->base]);
    void *codes = mem_alloc_aligned(f->c, bytes);
    if (!codes) return f->c->status;
    f->codes[f->n_codes++] = codes;
    if (weight_to_form(f->c, w, form[options->base], codes) != OK) {
        ctx_prefix(f->c, "%s", f->path);
        return f->c->status;
    }
    file_map_drop(stored, stored_bytes);
    f->bytes = f->bytes - stored_bytes + bytes;
    f->made_bytes += bytes;
    return OK;
}

static enum status bind_linear(struct model_files *f, struct model *m, int64_t layer, enum lora_place place)
{
    char name[NAME_BYTES], hf_name[NAME_BYTES];
    int64_t rows, cols;
    struct weight *w = llama_block_linear(&m->blocks[layer], place);
    lora_place_shape(&m->config, place, &rows, &cols);
    snprintf(hf_name, NAME_BYTES, "model.layers.%lld.%s.weight", (long long)layer, lora_place_path[place]);
    tensor_name(f, name, layer, lora_place_path[place], gguf_linear[place], "weight");
    TRY(expect_matrix(f, name, hf_name, rows, cols, w));
    if (place == LORA_Q || place == LORA_K) w->row_map = f->row_map;
    w->compute = place <= LORA_V ? fine_compute(&m->options) : m->options.compute;
    if (m->options.base != BASE_AS_IS) TRY(make_form(f, &m->options, w));
    if (!has_bias(&m->config, place)) return OK;
    tensor_name(f, name, layer, lora_place_path[place], gguf_linear[place], "bias");
    w->bias = expect_vector(f, name, rows, w->row_map);
    return f->c->status;
}

static enum status bind_norms(struct model_files *f, struct model *m, int64_t layer)
{
    struct llama_block *b = &m->blocks[layer];
    const struct {
        struct array **to;
        const char *hf, *gguf;
        int64_t n;
        bool wanted;
    } norms[] = {
        {&b->attn_norm, "input_layernorm", "attn_norm", m->config.hidden, true},
        {&b->ffn_norm, "post_attention_layernorm", "ffn_norm", m->config.hidden, true},
        {&b->q_norm, "self_attn.q_norm", "attn_q_norm", m->config.head_dim, m->config.qk_norm},
        {&b->k_norm, "self_attn.k_norm", "attn_k_norm", m->config.head_dim, m->config.qk_norm},
    };
    char name[NAME_BYTES];
    for (size_t i = 0; i < sizeof norms / sizeof *norms && ctx_ok(f->c); i++)
        if (norms[i].wanted)
            *norms[i].to =
                expect_vector(f, tensor_name(f, name, layer, norms[i].hf, norms[i].gguf, "weight"), norms[i].n, NULL);
    return f->c->status;
}

/* A tied model may still store its head: then it must be the table. */
static enum status check_tied_head(struct model_files *f, const struct weight *embed)
{
    const struct tensor_view *t = f->gguf ? NULL : find(f, "lm_head.weight");
    if (!t) return OK;
    if (t->type == embed->type && t->bytes == embed->row_bytes * (size_t)embed->rows &&
        memcmp(t->data, embed->data, t->bytes) == 0)
        return map64_put(f->used, (uint64_t)(uintptr_t)t, 1, NULL);
    return ctx_fail(f->c, E_UNSUPPORTED,
                    "%s: tie_word_embeddings is true but \"lm_head.weight\" is stored and differs from the embeddings",
                    f->path);
}

static enum status bind_ends(struct model_files *f, struct model *m)
{
    const struct model_config *config = &m->config;
    const char *embed = f->gguf ? "token_embd.weight" : "model.embed_tokens.weight";
    TRY(expect_matrix(f, embed, "model.embed_tokens.weight", config->vocab, config->hidden, &m->embed));
    m->final_norm = expect_vector(f, f->gguf ? "output_norm.weight" : "model.norm.weight", config->hidden, NULL);
    if (!m->final_norm) return f->c->status;
    bool make_head = m->options.base == BASE_INT8;
    enum compute compute = fine_compute(&m->options);
    if (!config->tied_embeddings) {
        TRY(expect_matrix(f, f->gguf ? "output.weight" : "lm_head.weight", "lm_head.weight", config->vocab, config->hidden,
                          &m->head));
        m->head.compute = compute;
        return make_head ? make_form(f, &m->options, &m->head) : OK;
    }
    TRY(check_tied_head(f, &m->embed));
    if (make_head) TRY(make_form(f, &m->options, &m->embed));
    m->head = m->embed;
    m->head.compute = compute;
    return OK;
}

/* ---- what nobody asked for -----------------------------------------------------------------------------------------------
 */

/* Buffers of old checkpoints that follow from the config, and the factors that weights_divide_rope reads. */
static bool is_harmless(const char *name)
{
    return has_suffix(name, ".rotary_emb.inv_freq") || strcmp(name, "rope_freqs.weight") == 0;
}

static enum status refuse_unknown(struct model_files *f)
{
    size_t n = f->gguf ? gguf_tensor_count(f->gguf) : safetensors_count(f->safetensors);
    for (size_t i = 0; i < n; i++) {
        const struct tensor_view *t = f->gguf ? gguf_tensor(f->gguf, i) : safetensors_tensor(f->safetensors, i);
        uint64_t one;
        if (!map64_get(f->used, (uint64_t)(uintptr_t)t, &one) && !is_harmless(t->name))
            return ctx_fail(f->c, E_UNSUPPORTED,
                            "%s: tensor \"%.200s\" has no place in a model of this architecture and config", f->path,
                            t->name);
    }
    return OK;
}

static enum status make_row_map(struct model_files *f, const struct model_config *config)
{
    int64_t d = config->head_dim, n = config->n_heads * d;
    if (!f->gguf || config->family != FAMILY_LLAMA) return OK;
    f->row_map = mem_alloc(f->c, (size_t)n, sizeof *f->row_map);
    for (int64_t i = 0; f->row_map && i < n; i++) {
        int64_t head = i / d, s = i % d / (d / 2), j = i % (d / 2);
        f->row_map[i] = (int32_t)(head * d + 2 * j + s);
    }
    return f->c->status;
}

enum status weights_bind(struct model_files *f, struct model *m)
{
    size_t n = (size_t)m->config.n_layers;
    m->blocks = mem_alloc(f->c, n, sizeof *m->blocks);
    f->names = mem_alloc(f->c, n * LORA_PLACES + 2, sizeof *f->names);
    if (m->options.base != BASE_AS_IS) f->codes = mem_alloc(f->c, n * LORA_PLACES + 1, sizeof *f->codes); /* and a head */
    f->arrays = mem_alloc(f->c, n * (LORA_PLACES + 4) + 1, sizeof(struct array *));                       /* biases, norms */
    if (!ctx_ok(f->c)) return f->c->status;
    TRY(bind_ends(f, m));
    TRY(make_row_map(f, &m->config));
    for (int64_t layer = 0; layer < m->config.n_layers; layer++) {
        TRY(bind_norms(f, m, layer));
        for (int p = 0; p < LORA_PLACES; p++) TRY(bind_linear(f, m, layer, (enum lora_place)p));
    }
    return refuse_unknown(f);
}

enum status weights_divide_rope(struct model_files *f, float *inv_freq, int64_t n)
{
    const struct tensor_view *t = expect(f, "rope_freqs.weight", n, 0);
    float factors[512]; /* half of the largest head_dim */
    if (!t) return f->c->status;
    quant_to_f32(t->type, t->data, factors, n);
    for (int64_t i = 0; i < n; i++) {
        if (!(factors[i] > 0 && factors[i] <= 1e6f))
            return ctx_fail(f->c, E_INPUT, "%s: rope_freqs.weight[%lld] is %g; it must be in (0, 1e6]", f->path,
                            (long long)i, (double)factors[i]);
        inv_freq[i] /= factors[i];
    }
    return OK;
}

/* ---- the name
 * ------------------------------------------------------------------------------------------------------------- */
