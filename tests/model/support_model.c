/* support_model: tiny random models in both containers, batches, and the forward pass in plain loops that they are judged
 * by. */
#include "support_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend_open.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "io/safetensors.h"
#include "support_host.h"
#include "support_scratch.h"

/* ---- fixture --------------------------------------------------------------------------------------------------------- */

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->c = ctx_new(NULL);
    if (!mkdtemp(scratch_template(f->dir, sizeof f->dir, "model")) || array_env_new(f->c, backend_open(f->c, NULL)) != OK)
        return -1;
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    dir_remove(f->c, f->dir);
    array_env_free(f->c);
    bool leak = f->c->alloc_bytes != 0;
    ctx_free(f->c);
    free(f);
    return leak ? -1 : 0;
}

const char *fixture_path(struct fixture *f, const char *name)
{
    char *path = f->paths[f->next_path++ % 8];
    snprintf(path, sizeof f->paths[0], "%s/%s", f->dir, name);
    return path;
}

void fixture_write(struct fixture *f, const char *name, const char *text)
{
    FILE *file = fopen(fixture_path(f, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    fclose(file);
}

void assert_ok(struct ctx *c)
{
    if (!ctx_ok(c)) fail_msg("unexpected error: %s", c->message);
}

void assert_failed(struct ctx *c, enum status status, const char *part)
{
    if (c->status != status || !strstr(c->message, part))
        fail_msg("wanted %s with \"%s\", got %s: %s", status_name(status), part, status_name(c->status), c->message);
    ctx_clear(c);
}

/* ---- tiny models ----------------------------------------------------------------------------------------------------- */

const struct tiny tiny_llama = {
    .family = FAMILY_LLAMA, .layers = 2, .hidden = 24, .heads = 4, .kv = 2, .dim = 10, .ffn = 40, .vocab = 50};

#define REAL(name, value)                                                                                                   \
    {                                                                                                                       \
        .key = name, .real = true, .number = value                                                                          \
    }
static const struct tiny_key granite_keys[] = {REAL(".embedding_scale", 3), REAL(".residual_scale", 0.5),
                                               REAL(".attention.scale", 0.25), REAL(".logit_scale", 4)};
static const struct tiny_key phi3_keys[] = {{.key = ".rope.scaling.original_context_length", .number = 8},
                                            REAL(".rope.scaling.attn_factor", 1.25),
                                            {.key = ".attention.sliding_window", .number = 9}};
static const struct tiny_key yarn_keys[] = {{.key = ".rope.scaling.type", .text = "yarn"},
                                            {.key = ".rope.scaling.original_context_length", .number = 32},
                                            REAL(".rope.scaling.factor", 4)};
static const float short_factors[] = {1, 1.5f, 2}, long_factors[] = {1.25f, 6, 20};

const struct tiny tiny_families[TINY_FAMILIES] = {
    {.family = FAMILY_SMOLLM3,
     .layers = 4,
     .hidden = 24,
     .heads = 4,
     .kv = 2,
     .dim = 10,
     .ffn = 40,
     .vocab = 50,
     .tied = true},
    {.family = FAMILY_GRANITE,
     .layers = 2,
     .hidden = 24,
     .heads = 4,
     .kv = 2,
     .dim = 10,
     .ffn = 40,
     .vocab = 50,
     .extra = "\"embedding_multiplier\": 3, \"residual_multiplier\": 0.5, \"attention_multiplier\": 0.25, "
              "\"logits_scaling\": 4,",
     .keys = granite_keys,
     .n_keys = 4},
    {.family = FAMILY_PHI3,
     .layers = 2,
     .hidden = 24,
     .heads = 4,
     .kv = 2,
     .dim = 8,
     .ffn = 40,
     .vocab = 50,
     .fused = true,
     .rotated = 6,
     .factors = {short_factors, long_factors},
     .extra = "\"partial_rotary_factor\": 0.75, \"original_max_position_embeddings\": 8, \"sliding_window\": 9, "
              "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1, 1.5, 2], \"long_factor\": [1.25, 6, 20], "
              "\"attention_factor\": 1.25},",
     .keys = phi3_keys,
     .n_keys = 3},
    {.family = FAMILY_QWEN3,
     .layers = 2,
     .hidden = 24,
     .heads = 4,
     .kv = 2,
     .dim = 10,
     .ffn = 40,
     .vocab = 50,
     .qk_norm = QK_NORM_HEAD,
     .extra = "\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 32},",
     .keys = yarn_keys,
     .n_keys = 3},
    {.family = FAMILY_OLMO2,
     .layers = 2,
     .hidden = 24,
     .heads = 4,
     .kv = 2,
     .dim = 10,
     .ffn = 40,
     .vocab = 50,
     .qk_norm = QK_NORM_WHOLE,
     .norm_after = true},
};

enum { TINY_TENSORS = 64 };

struct tiny_tensor {
    char hf[96], gguf[96];
    int64_t rows, cols; /* cols 0: a vector */
    bool permuted;      /* in a llama GGUF */
    float *values;      /* Hugging Face order */
};

struct tiny_list {
    struct tiny_tensor at[TINY_TENSORS];
    int n;
};

static void add(struct tiny_list *l, int64_t layer, const char *hf, const char *gguf, int64_t rows, int64_t cols,
                bool permuted)
{
    struct tiny_tensor *t = &l->at[l->n];
    bool norm = strstr(hf, "norm") != NULL;
    struct rng r;
    if (layer < 0) {
        snprintf(t->hf, sizeof t->hf, "%s", hf);
        snprintf(t->gguf, sizeof t->gguf, "%s", gguf);
    } else {
        snprintf(t->hf, sizeof t->hf, "model.layers.%lld.%s", (long long)layer, hf);
        snprintf(t->gguf, sizeof t->gguf, "blk.%lld.%s", (long long)layer, gguf);
    }
    t->rows = rows;
    t->cols = cols;
    t->permuted = permuted;
    size_t n = (size_t)(rows * (cols ? cols : 1));
    t->values = malloc(n * sizeof *t->values);
    rng_init(&r, 7, RNG_TEST, (uint32_t)l->n);
    for (size_t i = 0; i < n; i++)
        t->values[i] = (float)(norm ? 1 + 0.3 * rng_normal(&r) : (cols ? 0.2 : 0.3) * rng_normal(&r));
    l->n++;
}

static void add_linear(struct tiny_list *l, int64_t layer, const char *hf, const char *gguf, int64_t rows, int64_t cols,
                       bool bias)
{
    char a[64], b[64];
    bool qk = strstr(hf, "q_proj") || strstr(hf, "k_proj");
    snprintf(a, sizeof a, "%s.weight", hf);
    snprintf(b, sizeof b, "%s.weight", gguf);
    add(l, layer, a, b, rows, cols, qk);
    if (!bias) return;
    snprintf(a, sizeof a, "%s.bias", hf);
    snprintf(b, sizeof b, "%s.bias", gguf);
    add(l, layer, a, b, rows, 0, qk);
}

/* NULL: none. */
static void add_factors(struct tiny_list *l, const char *name, const float *values, int64_t n)
{
    if (!values) return;
    add(l, -1, "", name, n, 0, false);
    memcpy(l->at[l->n - 1].values, values, (size_t)n * sizeof *values);
}

static void list_make(struct tiny_list *l, const struct tiny *t, bool gguf)
{
    int64_t q = t->heads * t->dim, kv = t->kv * t->dim;
    memset(l, 0, sizeof *l);
    add(l, -1, "model.embed_tokens.weight", "token_embd.weight", t->vocab, t->hidden, false);
    for (int64_t i = 0; i < t->layers; i++) {
        bool whole = t->qk_norm == QK_NORM_WHOLE;
        if (!t->norm_after) add(l, i, "input_layernorm.weight", "attn_norm.weight", t->hidden, 0, false);
        if (t->fused) add_linear(l, i, "self_attn.qkv_proj", "attn_qkv", q + 2 * kv, t->hidden, t->qkv_bias);
        if (!t->fused) add_linear(l, i, "self_attn.q_proj", "attn_q", q, t->hidden, t->qkv_bias);
        if (!t->fused) add_linear(l, i, "self_attn.k_proj", "attn_k", kv, t->hidden, t->qkv_bias);
        if (!t->fused) add_linear(l, i, "self_attn.v_proj", "attn_v", kv, t->hidden, t->qkv_bias);
        add_linear(l, i, "self_attn.o_proj", "attn_output", t->hidden, q, t->o_bias);
        if (t->qk_norm) add(l, i, "self_attn.q_norm.weight", "attn_q_norm.weight", whole ? q : t->dim, 0, false);
        if (t->qk_norm) add(l, i, "self_attn.k_norm.weight", "attn_k_norm.weight", whole ? kv : t->dim, 0, false);
        add(l, i, "post_attention_layernorm.weight", t->norm_after ? "post_attention_norm.weight" : "ffn_norm.weight",
            t->hidden, 0, false);
        if (t->norm_after) add(l, i, "post_feedforward_layernorm.weight", "post_ffw_norm.weight", t->hidden, 0, false);
        if (t->fused) add_linear(l, i, "mlp.gate_up_proj", "ffn_up", 2 * t->ffn, t->hidden, t->mlp_bias);
        if (!t->fused) add_linear(l, i, "mlp.gate_proj", "ffn_gate", t->ffn, t->hidden, t->mlp_bias);
        if (!t->fused) add_linear(l, i, "mlp.up_proj", "ffn_up", t->ffn, t->hidden, t->mlp_bias);
        add_linear(l, i, "mlp.down_proj", "ffn_down", t->hidden, t->ffn, t->mlp_bias);
    }
    add(l, -1, "model.norm.weight", "output_norm.weight", t->hidden, 0, false);
    if (!t->tied) add(l, -1, "lm_head.weight", "output.weight", t->vocab, t->hidden, false);
    if (!gguf) return;
    add_factors(l, "rope_freqs.weight", t->rope_factors, t->dim / 2);
    add_factors(l, "rope_factors_short.weight", t->factors[0], t->rotated / 2);
    add_factors(l, "rope_factors_long.weight", t->factors[1], t->rotated / 2);
}

static void list_edit(struct tiny_list *l, const struct tiny_edit *e, bool gguf)
{
    for (int i = 0; e && i < l->n; i++) {
        const char *name = gguf ? l->at[i].gguf : l->at[i].hf;
        if (e->reshape && strcmp(name, e->reshape) == 0) l->at[i].rows--;
        if (!e->drop || strcmp(name, e->drop) != 0) continue;
        free(l->at[i].values);
        memmove(&l->at[i], &l->at[i + 1], (size_t)(--l->n - i) * sizeof l->at[0]);
        i--;
    }
    if (e && e->add) add(l, -1, e->add, e->add, 2, 2, false);
}

static void list_release(struct tiny_list *l)
{
    for (int i = 0; i < l->n; i++) free(l->at[i].values);
}

static size_t tensor_floats(const struct tiny_tensor *t)
{
    return (size_t)(t->rows * (t->cols ? t->cols : 1));
}

static void write_config(struct fixture *f, const struct tiny *t, const char *name)
{
    const struct model_family_names *names = model_family_names(t->family);
    char text[2048], path[256];
    snprintf(path, sizeof path, "%s/config.json", name);
    snprintf(text, sizeof text,
             "{\"architectures\": [\"%s\"], %s \"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
             "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, \"head_dim\": %d, \"vocab_size\": %d, "
             "\"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, "
             "\"tie_word_embeddings\": %s%s%s}",
             names->architecture, t->extra ? t->extra : "", (int)t->hidden, (int)t->ffn, (int)t->layers, (int)t->heads,
             (int)t->kv, (int)t->dim, (int)t->vocab, t->tied ? "true" : "false",
             t->o_bias ? ", \"attention_bias\": true" : "", t->mlp_bias ? ", \"mlp_bias\": true" : "");
    fixture_write(f, path, text);
}

void tiny_write_hf(struct fixture *f, const struct tiny *t, const char *name, const struct tiny_edit *edit)
{
    struct tiny_list l;
    struct safetensors_entry entries[TINY_TENSORS];
    char path[256];
    list_make(&l, t, false);
    list_edit(&l, edit, false);
    assert_int_equal(dir_make(f->c, fixture_path(f, name)), OK);
    write_config(f, t, name);
    for (int i = 0; i < l.n; i++)
        entries[i] = (struct safetensors_entry){l.at[i].hf, TENSOR_F32, l.at[i].cols ? 2 : 1, {l.at[i].rows, l.at[i].cols}};
    snprintf(path, sizeof path, "%s/model.safetensors", name);
    struct safetensors_writer *w = safetensors_create(f->c, fixture_path(f, path), entries, (size_t)l.n, NULL, 0);
    assert_non_null(w);
    for (int i = 0; i < l.n; i++) safetensors_write(w, l.at[i].values, tensor_floats(&l.at[i]) * sizeof(float));
    assert_int_equal(safetensors_commit(w), OK);
    list_release(&l);
}

/* ---- GGUF, written by hand after its specification ------------------------------------------------------------------- */

static void put_u32(FILE *out, uint32_t v)
{
    fwrite(&v, 4, 1, out);
}

static void put_u64(FILE *out, uint64_t v)
{
    fwrite(&v, 8, 1, out);
}

static void put_string(FILE *out, const char *s)
{
    put_u64(out, strlen(s));
    fwrite(s, 1, strlen(s), out);
}

static void put_key_u32(FILE *out, const char *arch, const char *key, int64_t v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", arch, key);
    put_string(out, name);
    put_u32(out, 4);
    put_u32(out, (uint32_t)v);
}

static void put_key_f32(FILE *out, const char *arch, const char *key, float v)
{
    char name[96];
    snprintf(name, sizeof name, "%s.%s", arch, key);
    put_string(out, name);
    put_u32(out, 6);
    fwrite(&v, 4, 1, out);
}

/* Row (head, half, pair) of Hugging Face goes to (head, pair, half): llama.cpp's conversion of llama models. */
static void put_rows(FILE *out, const struct tiny_tensor *t, int64_t dim, bool permute)
{
    int64_t cols = t->cols ? t->cols : 1;
    for (int64_t row = 0; row < t->rows; row++) {
        int64_t head = row / dim, pair = row % dim / 2, half = row % 2;
        int64_t from = permute ? head * dim + half * (dim / 2) + pair : row;
        fwrite(t->values + from * cols, sizeof(float), (size_t)cols, out);
    }
    for (long at = ftell(out); at % 32; at++) fputc(0, out);
}

static void put_metadata(FILE *out, const struct tiny *t, const char *arch)
{
    put_string(out, "general.architecture");
    put_u32(out, 8);
    put_string(out, arch);
    put_key_u32(out, arch, "block_count", t->layers);
    put_key_u32(out, arch, "embedding_length", t->hidden);
    put_key_u32(out, arch, "feed_forward_length", t->ffn);
    put_key_u32(out, arch, "attention.head_count", t->heads);
    put_key_u32(out, arch, "attention.head_count_kv", t->kv);
    put_key_u32(out, arch, "attention.key_length", t->dim);
    put_key_u32(out, arch, "attention.value_length", t->dim);
    put_key_u32(out, arch, "rope.dimension_count", t->rotated ? t->rotated : t->dim);
    put_key_u32(out, arch, "context_length", 128);
    put_key_f32(out, arch, t->no_eps ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", 1e-5f);
    put_key_f32(out, arch, "rope.freq_base", 10000.0f);
}

static void put_keys(FILE *out, const struct tiny *t, const char *arch)
{
    for (int i = 0; i < t->n_keys; i++) {
        const struct tiny_key *k = &t->keys[i];
        char name[96];
        snprintf(name, sizeof name, "%s%s", k->key[0] == '.' ? arch : "", k->key);
        put_string(out, name);
        put_u32(out, k->text ? 8 : k->real ? 6 : k->flag ? 7 : 4);
        float real = (float)k->number;
        if (k->text)
            put_string(out, k->text);
        else if (k->real)
            fwrite(&real, 4, 1, out);
        else if (k->flag)
            fputc(k->number != 0, out);
        else
            put_u32(out, (uint32_t)k->number);
    }
}

void tiny_write_gguf(struct fixture *f, const struct tiny *t, const char *name, const struct tiny_edit *edit)
{
    const char *arch = model_family_names(t->family)->gguf;
    bool permuted = model_family_names(t->family)->gguf_permutes;
    struct tiny_list l;
    uint64_t offset = 0;
    list_make(&l, t, true);
    list_edit(&l, edit, true);
    FILE *out = fopen(fixture_path(f, name), "wb");
    assert_non_null(out);
    fwrite("GGUF", 1, 4, out);
    put_u32(out, 3);
    put_u64(out, (uint64_t)l.n);
    put_u64(out, 12 + (uint64_t)t->n_keys);
    put_metadata(out, t, arch);
    put_keys(out, t, arch);
    for (int i = 0; i < l.n; i++) {
        put_string(out, l.at[i].gguf);
        put_u32(out, l.at[i].cols ? 2 : 1);
        if (l.at[i].cols) put_u64(out, (uint64_t)l.at[i].cols);
        put_u64(out, (uint64_t)l.at[i].rows);
        put_u32(out, 0);
        put_u64(out, offset);
        offset += (tensor_floats(&l.at[i]) * 4 + 31) / 32 * 32;
    }
    for (long at = ftell(out); at % 32; at++) fputc(0, out);
    for (int i = 0; i < l.n; i++) put_rows(out, &l.at[i], t->dim, l.at[i].permuted && permuted);
    assert_int_equal(fclose(out), 0);
    list_release(&l);
}

struct model *tiny_open(struct fixture *f, const struct tiny *t)
{
    tiny_write_hf(f, t, "tiny", NULL);
    struct model *m = model_open(f->c, fixture_path(f, "tiny"));
    assert_ok(f->c);
    return m;
}

/* ---- batches --------------------------------------------------------------------------------------------------------- */

void batch_make(struct batch_data *b, int64_t vocab, int n_seg, const int *lengths, uint64_t seed)
{
    struct rng r;
    int n = 0;
    memset(b, 0, sizeof *b);
    rng_init(&r, seed, RNG_TEST, 1000);
    for (int s = 0; s < n_seg; s++) {
        for (int i = 0; i < lengths[s]; i++, n++) {
            assert_true(n < BATCH_MAX);
            b->tokens[n] = (int32_t)rng_below(&r, (uint64_t)vocab);
            b->positions[n] = i;
            b->weights[n] = i + 1 < lengths[s] ? 1 : 0;
        }
        b->cu[s + 1] = n;
    }
    for (int i = 0; i + 1 < n; i++) b->targets[i] = b->tokens[i + 1];
    b->batch = (struct batch){.n = n,
                              .tokens = b->tokens,
                              .positions = b->positions,
                              .n_seg = n_seg,
                              .cu = b->cu,
                              .targets = b->targets,
                              .weights = b->weights};
}

/* ---- forward passes -------------------------------------------------------------------------------------------------- */

void forward_logits(struct model *m, const struct batch *b, const struct forward_options *o, float *out)
{
    int mark = scope_open(m->c);
    struct array *logits = llama_logits(m, llama_hidden(m, b, o), 0);
    assert_ok(m->c);
    assert_int_equal(array_size(logits), b->n * m->config.vocab);
    assert_int_equal(array_to_host(logits, DTYPE_F32, out), OK);
    scope_close(m->c, mark);
}

static double *numbers(int64_t n)
{
    return calloc((size_t)n, sizeof(double));
}

/* Row i of a weight as double: of the file where kernels read its rows, so that the prepared ones may lie out of reach. */
static void stored_row(const struct weight *w, int64_t i, double *row)
{
    if (w->form != WEIGHT_STORED) {
        weight_row_f64(w, i, row);
        return;
    }
    float *values = calloc((size_t)w->cols, sizeof *values);
    BUG_ON(NULL, !values, "no memory");
    weight_source_row_f32(&w->source, i, values);
    for (int64_t j = 0; j < w->cols; j++) row[j] = (double)values[j];
    free(values);
}

/* y (n, rows) = x W^T + bias + scale (x A^T) B^T */
static void ref_linear(const struct weight *w, const double *x, int64_t n, double *y)
{
    double *row = numbers(w->cols);
    const float *a = w->lora ? host_f32(w->lora->a) : NULL, *b = w->lora ? host_f32(w->lora->b) : NULL;
    const float *bias = w->bias ? host_f32(w->bias) : NULL;
    for (int64_t i = 0; i < w->rows; i++) {
        stored_row(w, i, row);
        const struct lora_slot *s = w->lora;
        for (int64_t r = 0; s && r < s->a->shape[0]; r++)
            for (int64_t j = 0; j < w->cols; j++)
                row[j] += (double)s->scale * (double)b[i * s->a->shape[0] + r] * (double)a[r * w->cols + j];
        for (int64_t t = 0; t < n; t++) {
            double sum = bias ? (double)bias[i] : 0;
            for (int64_t j = 0; j < w->cols; j++) sum += row[j] * x[t * w->cols + j];
            y[t * w->rows + i] = sum;
        }
    }
    free(row);
}

/* n rows of `size`, in place or not. */
static void ref_norm(struct array *gain, double eps, const double *x, int64_t n, double *y)
{
    int64_t size = gain->shape[0];
    const float *g = host_f32(gain);
    for (int64_t t = 0; t < n; t++) {
        double sum = 0;
        for (int64_t j = 0; j < size; j++) sum += x[t * size + j] * x[t * size + j];
        double scale = 1 / sqrt(sum / (double)size + eps);
        for (int64_t j = 0; j < size; j++) y[t * size + j] = x[t * size + j] * scale * (double)g[j];
    }
}

static void ref_rope(const struct model *m, const int32_t *positions, int64_t n, int64_t heads, double *x)
{
    int64_t d = m->config.head_dim;
    for (int64_t t = 0; t < n; t++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t j = 0; j < d / 2; j++) {
                double *v = x + (t * heads + h) * d, a = v[j], b = v[j + d / 2];
                double angle = positions[t] * (double)m->rope_frequencies[j];
                v[j] = a * cos(angle) - b * sin(angle);
                v[j + d / 2] = b * cos(angle) + a * sin(angle);
            }
}

/* Token t sees s when both are in one document, s <= t and, with a window, s > t - window. */
static void ref_attention(const struct model *m, const struct batch *b, const double *q, const double *k, const double *v,
                          double *o)
{
    int64_t d = m->config.head_dim, H = m->config.n_heads, G = m->config.n_kv_heads;
    for (int seg = 0; seg < b->n_seg; seg++)
        for (int64_t t = b->cu[seg]; t < b->cu[seg + 1]; t++)
            for (int64_t h = 0; h < H; h++) {
                double p[BATCH_MAX], sum = 0;
                int64_t first = b->cu[seg], g = h / (H / G);
                if (m->config.sliding_window && t - m->config.sliding_window + 1 > first)
                    first = t - m->config.sliding_window + 1;
                for (int64_t s = first; s <= t; s++) {
                    double dot = 0;
                    for (int64_t j = 0; j < d; j++) dot += q[(t * H + h) * d + j] * k[(s * G + g) * d + j];
                    sum += p[s] = exp(dot / sqrt((double)d));
                }
                for (int64_t j = 0; j < d; j++)
                    for (int64_t s = first; s <= t; s++) o[(t * H + h) * d + j] += p[s] / sum * v[(s * G + g) * d + j];
            }
}

static void ref_block(const struct model *m, const struct llama_block *l, const struct batch *b, double *x)
{
    int64_t n = b->n, C = m->config.hidden, d = m->config.head_dim, H = m->config.n_heads, G = m->config.n_kv_heads;
    int64_t F = m->config.ffn;
    double *h = numbers(n * C), *q = numbers(n * H * d), *k = numbers(n * G * d), *v = numbers(n * G * d);
    double *o = numbers(n * H * d), *gate = numbers(n * F), *up = numbers(n * F);
    ref_norm(l->attn_norm, m->config.rms_eps, x, n, h);
    ref_linear(&l->q, h, n, q);
    ref_linear(&l->k, h, n, k);
    ref_linear(&l->v, h, n, v);
    if (l->q_norm) ref_norm(l->q_norm, m->config.rms_eps, q, n * H, q);
    if (l->k_norm) ref_norm(l->k_norm, m->config.rms_eps, k, n * G, k);
    ref_rope(m, b->positions, n, H, q);
    ref_rope(m, b->positions, n, G, k);
    ref_attention(m, b, q, k, v, o);
    ref_linear(&l->o, o, n, h);
    for (int64_t i = 0; i < n * C; i++) x[i] += h[i];
    ref_norm(l->ffn_norm, m->config.rms_eps, x, n, h);
    ref_linear(&l->gate, h, n, gate);
    ref_linear(&l->up, h, n, up);
    for (int64_t i = 0; i < n * F; i++) gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
    ref_linear(&l->down, gate, n, h);
    for (int64_t i = 0; i < n * C; i++) x[i] += h[i];
    double *all[] = {h, q, k, v, o, gate, up};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

void reference_logits(const struct model *m, const struct batch *b, double *out)
{
    int64_t C = m->config.hidden;
    double *x = numbers(b->n * C);
    for (int64_t t = 0; t < b->n; t++) stored_row(&m->embed, b->tokens[t], x + t * C);
    for (int64_t i = 0; i < m->config.n_layers; i++) ref_block(m, &m->blocks[i], b, x);
    ref_norm(m->final_norm, m->config.rms_eps, x, b->n, x);
    ref_linear(&m->head, x, b->n, out);
    free(x);
}

double relative_error(const float *a, const double *b, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += b[i] * b[i];
    }
    return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

double relative_error_f32(const float *a, const float *b, size_t n)
{
    double *wide = numbers((int64_t)n);
    for (size_t i = 0; i < n; i++) wide[i] = (double)b[i];
    double error = relative_error(a, wide, n);
    free(wide);
    return error;
}
