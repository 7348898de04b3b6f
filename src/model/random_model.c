/* random_model: writes the tensors of a known shape, filled from a table or left out, and the files beside them. Gigabytes
 * have to come quickly, so a normal number is one look into a table of quantiles by 16 random bits (its 65,536 values have
 * the distribution's shape up to 4.3 deviations), and Philox gives eight of them at a time. */
#include "model/random_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "array/dtype.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/threads.h"
#include "io/json.h"
#include "io/safetensors.h"

enum { DEVIATES = 1 << 16, PER_CALL = 8, BLOCK = 1 << 14, PIECE = 1 << 24, NAME_BYTES = 96, TEXT_MAX = 1 << 20 };
enum { TENSORS_A_LAYER = 14, OTHER_TENSORS = 3 };
static const double DEVIATION = 0.02;

/* One call of random_model_write. */
struct random_writer {
    struct ctx *c;
    const struct known_model *s;
    const char *dir;
    uint64_t seed;
    bool hollow;
    struct safetensors_entry *entries;
    char (*names)[NAME_BYTES];
    size_t n;
    uint16_t *table; /* DEVIATES quantiles as bf16 */
    uint16_t *piece; /* PIECE values on their way to the file */
};

/* ---- tensors --------------------------------------------------------------------------------------------------------- */

/* cols 0: a vector. */
static void random_model_add_tensor(struct random_writer *w, int layer, const char *name, int64_t rows, int64_t cols)
{
    char *to = w->names[w->n];
    if (layer < 0)
        snprintf(to, NAME_BYTES, "%s", name);
    else
        snprintf(to, NAME_BYTES, "model.layers.%d.%s", layer, name);
    w->entries[w->n++] =
        (struct safetensors_entry){.name = to, .type = TENSOR_BF16, .ndim = cols ? 2 : 1, .shape = {rows, cols ? cols : 0}};
}

static void add_layer(struct random_writer *w, int layer)
{
    const struct known_model *s = w->s;
    int64_t q = (int64_t)s->heads * s->head_dim, kv = (int64_t)s->kv_heads * s->head_dim;
    random_model_add_tensor(w, layer, "input_layernorm.weight", s->hidden, 0);
    random_model_add_tensor(w, layer, "self_attn.q_proj.weight", q, s->hidden);
    random_model_add_tensor(w, layer, "self_attn.k_proj.weight", kv, s->hidden);
    random_model_add_tensor(w, layer, "self_attn.v_proj.weight", kv, s->hidden);
    if (s->qkv_bias) {
        random_model_add_tensor(w, layer, "self_attn.q_proj.bias", q, 0);
        random_model_add_tensor(w, layer, "self_attn.k_proj.bias", kv, 0);
        random_model_add_tensor(w, layer, "self_attn.v_proj.bias", kv, 0);
    }
    if (s->qk_norm) {
        random_model_add_tensor(w, layer, "self_attn.q_norm.weight", s->head_dim, 0);
        random_model_add_tensor(w, layer, "self_attn.k_norm.weight", s->head_dim, 0);
    }
    random_model_add_tensor(w, layer, "self_attn.o_proj.weight", s->hidden, q);
    random_model_add_tensor(w, layer, "post_attention_layernorm.weight", s->hidden, 0);
    random_model_add_tensor(w, layer, "mlp.gate_proj.weight", s->ffn, s->hidden);
    random_model_add_tensor(w, layer, "mlp.up_proj.weight", s->ffn, s->hidden);
    random_model_add_tensor(w, layer, "mlp.down_proj.weight", s->hidden, s->ffn);
}

static void add_all(struct random_writer *w)
{
    random_model_add_tensor(w, -1, "model.embed_tokens.weight", w->s->vocab, w->s->hidden);
    for (int i = 0; i < w->s->layers; i++) add_layer(w, i);
    random_model_add_tensor(w, -1, "model.norm.weight", w->s->hidden, 0);
    if (!w->s->tied) random_model_add_tensor(w, -1, "lm_head.weight", w->s->vocab, w->s->hidden);
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

/* x with Phi(x) = p, by halving an interval: exact enough for bf16, and made once. */
static double quantile(double p)
{
    double low = -6, high = 6;
    for (int i = 0; i < 40; i++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(-middle * M_SQRT1_2) < p)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static void quantile_block(void *arg, int64_t block, int worker)
{
    uint16_t *table = arg;
    (void)worker;
    for (int64_t i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
        table[i] = f32_to_bf16((float)(DEVIATION * quantile(((double)i + 0.5) / DEVIATES)));
    }
}

struct random_piece {
    const struct random_writer *w;
    uint32_t tensor;
    int64_t first, n; /* elements of the tensor */
};

/* Element e of tensor t is half-word e % 8 of Philox's output for the counter (e / 8, t). */
static void random_block(void *arg, int64_t block, int worker)
{
    const struct random_piece *p = arg;
    int64_t end = (block + 1) * BLOCK < p->n ? (block + 1) * BLOCK : p->n;
    const uint32_t key[2] = {(uint32_t)p->w->seed, (uint32_t)(p->w->seed >> 32)};
    (void)worker;
    for (int64_t i = block * BLOCK; i < end; i += PER_CALL) {
        uint64_t at = (uint64_t)(p->first + i) / PER_CALL;
        uint32_t out[4];
        rng_philox((const uint32_t[]){(uint32_t)at, (uint32_t)(at >> 32), RNG_INIT, p->tensor}, key, out);
        for (int j = 0; j < PER_CALL && i + j < end; j++) {
            p->w->piece[i + j] = p->w->table[out[j / 2] >> (j % 2 * 16) & (DEVIATES - 1)];
        }
    }
}

static void random_model_write_values(struct random_writer *w, struct safetensors_writer *out, size_t tensor)
{
    const struct safetensors_entry *e = &w->entries[tensor];
    int64_t count = e->shape[0] * (e->ndim == 2 ? e->shape[1] : 1);
    bool norm = strstr(e->name, "norm.weight") != NULL;
    if (w->hollow) {
        safetensors_skip(out, (size_t)count * sizeof(*w->piece));
        return;
    }
    for (int64_t first = 0; first < count; first += PIECE) {
        struct random_piece p = {w, (uint32_t)tensor, first, count - first < PIECE ? count - first : PIECE};
        if (norm) {
            for (int64_t i = 0; i < p.n; i++) w->piece[i] = f32_to_bf16(1.0f);
        } else {
            threads_run(w->c, (p.n + BLOCK - 1) / BLOCK, random_block, &p);
        }
        safetensors_write(out, w->piece, (size_t)p.n * sizeof(*w->piece));
    }
}

static enum status random_model_write_weights(struct random_writer *w)
{
    char *path = path_join(w->c, w->dir, "model.safetensors");
    struct safetensors_writer *out = path ? safetensors_create(w->c, path, w->entries, w->n, NULL, 0) : NULL;
    mem_free(w->c, path);
    if (!out) return w->c->status;
    if (!w->hollow) threads_run(w->c, DEVIATES / BLOCK, quantile_block, w->table);
    for (size_t i = 0; i < w->n && ctx_ok(w->c); i++) random_model_write_values(w, out, i);
    if (ctx_ok(w->c)) return safetensors_commit(out);
    safetensors_abort(out);
    return w->c->status;
}

/* ---- the files beside ------------------------------------------------------------------------------------------------ */

static enum status random_model_write_text(struct random_writer *w, const char *name, const struct buf *text)
{
    if (!buf_ok(text)) return w->c->status;
    char *path = path_join(w->c, w->dir, name);
    if (path) file_write_atomic(w->c, path, buf_str(text), text->len);
    mem_free(w->c, path);
    return w->c->status;
}

static json_t *random_model_make_config(const struct known_model *s)
{
    json_t *doc =
        json_pack("{s:[s], s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:b, s:i, s:i}", "architectures",
                  s->architecture, "model_type", s->model_type, "torch_dtype", "bfloat16", "hidden_act", "silu",
                  "hidden_size", s->hidden, "intermediate_size", s->ffn, "num_hidden_layers", s->layers,
                  "num_attention_heads", s->heads, "num_key_value_heads", s->kv_heads, "head_dim", s->head_dim, "vocab_size",
                  s->vocab, "max_position_embeddings", s->positions, "rope_theta", s->rope_theta, "rms_norm_eps", s->rms_eps,
                  "tie_word_embeddings", s->tied, "bos_token_id", 256, "eos_token_id", 257);
    if (doc && s->rope_factor > 0) {
        json_object_set_new(doc, "rope_scaling",
                            json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor", s->rope_factor,
                                      "low_freq_factor", 1.0, "high_freq_factor", 4.0, "original_max_position_embeddings",
                                      8192));
    }
    return doc;
}

static enum status random_model_write_config(struct random_writer *w)
{
    struct buf text;
    buf_init(&text, w->c, TEXT_MAX);
    json_t *doc = random_model_make_config(w->s);
    BUG_ON(w->c, !doc, "config.json of a random model");
    if (json_write(w->c, doc, true, &text) == OK) random_model_write_text(w, "config.json", &text);
    json_decref(doc);
    buf_release(&text);
    return w->c->status;
}

/* The character that stands for a byte in byte-level vocabularies: printable ones for themselves, the others from U+0100 on.
 */
static unsigned byte_character(int byte)
{
    unsigned next = 0x100;
    for (int b = 0; b < 256; b++) {
        bool printable = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad);
        if (b == byte) return printable ? (unsigned)b : next;
        next += !printable;
    }
    return next;
}

static enum status random_model_write_tokenizer(struct random_writer *w)
{
    struct buf text;
    buf_init(&text, w->c, TEXT_MAX);
    buf_append_str(&text, "{\"version\": \"1.0\", \"added_tokens\": [");
    for (int i = 0; i < 2; i++) {
        buf_printf(&text,
                   "%s{\"id\": %d, \"content\": \"%s\", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, "
                   "\"normalized\": false, \"special\": true}",
                   i ? ", " : "", 256 + i, i ? "<|end_of_text|>" : "<|begin_of_text|>");
    }
    buf_append_str(&text,
                   "], \"normalizer\": null, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                   "\"trim_offsets\": true, \"use_regex\": true}, \"post_processor\": null, \"decoder\": {\"type\": "
                   "\"ByteLevel\"}, \"model\": {\"type\": \"BPE\", \"vocab\": {");
    for (int b = 0; b < 256; b++) buf_printf(&text, "%s\"\\u%04x\": %d", b ? ", " : "", byte_character(b), b);
    buf_append_str(&text, ", \"<|begin_of_text|>\": 256, \"<|end_of_text|>\": 257}, \"merges\": []}}\n");
    random_model_write_text(w, "tokenizer.json", &text);
    buf_release(&text);
    return w->c->status;
}

static enum status random_model_write_files(struct random_writer *w)
{
    TRY(dir_make_empty(w->c, w->dir));
    TRY(random_model_write_weights(w));
    TRY(random_model_write_tokenizer(w));
    return random_model_write_config(w);
}

enum status random_model_write(struct ctx *c, const char *dir, const struct random_model *what)
{
    struct random_writer w = {.c = c, .s = what->shape, .dir = dir, .seed = what->seed, .hollow = what->hollow};
    size_t most = (size_t)w.s->layers * TENSORS_A_LAYER + OTHER_TENSORS;
    w.entries = mem_alloc(c, most, sizeof *w.entries);
    w.names = mem_alloc(c, most, sizeof *w.names);
    w.table = mem_alloc(c, DEVIATES, sizeof *w.table);
    w.piece = mem_alloc(c, PIECE, sizeof *w.piece);
    if (ctx_ok(c)) {
        add_all(&w);
        random_model_write_files(&w);
    }
    mem_free(c, w.piece);
    mem_free(c, w.table);
    mem_free(c, w.names);
    mem_free(c, w.entries);
    return c->status;
}
