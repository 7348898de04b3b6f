/* support_tiny: see support_tiny.h. Nothing here is under test, so failures assert at once. */
#include "train/support_tiny.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backend/backend_open.h"
#include "base/file.h"
#include "base/rng.h"
#include "base/threads.h"
#include "io/safetensors.h"
#include "support_scratch.h"

/* ---- context and files ----------------------------------------------------------------------------------------------- */

struct ctx *tiny_ctx(int threads)
{
    struct ctx *c = ctx_new(NULL);
    assert_non_null(c);
    assert_int_equal(ctx_set_threads(c, threads), OK);
    assert_int_equal(array_env_new(c, backend_open(c, NULL)), OK);
    return c;
}

void tiny_ctx_free(struct ctx *c)
{
    ctx_clear(c);
    array_env_free(c);
    ctx_free(c);
}

enum { FOLDERS_MAX = 64 };
static char folders[FOLDERS_MAX][64];
static int n_folders;

const char *tiny_folder(void)
{
    assert_true(n_folders < FOLDERS_MAX);
    assert_non_null(mkdtemp(scratch_template(folders[n_folders], sizeof(folders[0]), "test")));
    return folders[n_folders++];
}

void tiny_cleanup(void)
{
    struct ctx *c = ctx_new(NULL);
    while (n_folders > 0) dir_remove(c, folders[--n_folders]);
    ctx_clear(c);
    ctx_free(c);
}

const char *tiny_run(void)
{
    static int n;
    static char paths[256][128];
    static const char *base;
    if (n_folders == 0 || !base) base = tiny_folder();
    assert_true(n < 256);
    snprintf(paths[n], sizeof(paths[0]), "%s/run%d", base, n);
    return paths[n++];
}

const char *tiny_path(const char *format, ...)
{
    static char buffers[16][512];
    static int next;
    char *out = buffers[next++ % 16];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, sizeof(buffers[0]), format, args);
    va_end(args);
    assert_true(n > 0 && n < (int)sizeof(buffers[0]));
    return out;
}

void tiny_write(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

char *tiny_read(const char *path, size_t *n)
{
    FILE *f = fopen(path, "r");
    if (!f) fail_msg("%s cannot be read", path);
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*n + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *n, f), *n);
    text[*n] = '\0';
    fclose(f);
    return text;
}

void tiny_assert_same_file(const char *a, const char *b)
{
    size_t na, nb;
    char *x = tiny_read(a, &na), *y = tiny_read(b, &nb);
    if (na != nb || memcmp(x, y, na) != 0) fail_msg("%s and %s differ", a, b);
    free(x);
    free(y);
}

void tiny_assert_same_files(const char *a, const char *b, const char *const *files)
{
    for (; *files; files++) tiny_assert_same_file(tiny_path("%s/%s", a, *files), tiny_path("%s/%s", b, *files));
}

/* ---- model ----------------------------------------------------------------------------------------------------------- */

enum { LAYERS = 2, HIDDEN = 64, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 16, FFN = 80 };

static const char config_json[] =
    "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\",\"hidden_act\":\"silu\","
    "\"hidden_size\":64,\"intermediate_size\":80,\"num_hidden_layers\":2,"
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":16,\"vocab_size\":257,"
    "\"max_position_embeddings\":512,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,"
    "\"tie_word_embeddings\":true,\"bos_token_id\":256,\"eos_token_id\":256}";

struct tensor {
    char name[80];
    int64_t rows, cols; /* cols 0: a vector */
};

static int list_tensors(struct tensor *out)
{
    static const struct {
        const char *name;
        int64_t rows, cols;
    } block[] = {{"self_attn.q_proj", HEADS * HEAD_DIM, HIDDEN},
                 {"self_attn.k_proj", KV_HEADS * HEAD_DIM, HIDDEN},
                 {"self_attn.v_proj", KV_HEADS * HEAD_DIM, HIDDEN},
                 {"self_attn.o_proj", HIDDEN, HEADS * HEAD_DIM},
                 {"mlp.gate_proj", FFN, HIDDEN},
                 {"mlp.up_proj", FFN, HIDDEN},
                 {"mlp.down_proj", HIDDEN, FFN},
                 {"input_layernorm", HIDDEN, 0},
                 {"post_attention_layernorm", HIDDEN, 0}};
    int n = 0;
    out[n++] = (struct tensor){"model.embed_tokens.weight", TINY_VOCAB, HIDDEN};
    for (int l = 0; l < LAYERS; l++) {
        for (size_t i = 0; i < sizeof(block) / sizeof(block[0]); i++, n++) {
            snprintf(out[n].name, sizeof(out[n].name), "model.layers.%d.%s.weight", l, block[i].name);
            out[n].rows = block[i].rows;
            out[n].cols = block[i].cols;
        }
    }
    out[n++] = (struct tensor){"model.norm.weight", HIDDEN, 0};
    return n;
}

static void write_weights(struct ctx *c, const char *path, bool poison)
{
    struct tensor list[64];
    struct safetensors_entry entries[64];
    int n = list_tensors(list);
    for (int i = 0; i < n; i++) {
        entries[i] =
            (struct safetensors_entry){list[i].name, TENSOR_F32, list[i].cols ? 2 : 1, {list[i].rows, list[i].cols}};
    }
    struct safetensors_writer *w = safetensors_create(c, path, entries, (size_t)n, NULL, 0);
    assert_non_null(w);
    for (int i = 0; i < n; i++) {
        float numbers[TINY_VOCAB * HIDDEN];
        struct rng r;
        bool norm = list[i].cols == 0;
        size_t count = (size_t)(list[i].rows * (norm ? 1 : list[i].cols));
        rng_init(&r, 5, RNG_TEST, (uint32_t)i);
        for (size_t k = 0; k < count; k++) numbers[k] = norm ? 1.0f : (float)((i ? 0.15 : 0.4) * rng_normal(&r));
        if (poison && i == n - 1) numbers[3] = INFINITY;
        safetensors_write(w, numbers, count * sizeof(float));
    }
    assert_int_equal(safetensors_commit(w), OK);
}

/* The byte alphabet of byte-level BPE: printable Latin-1 stands for itself, the rest for U+0100 onwards in order. */
static int byte_character(int byte)
{
    int shifted = 0;
    for (int b = 0; b <= byte; b++) {
        bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        if (b == byte) return itself ? b : 256 + shifted;
        shifted += !itself;
    }
    return -1;
}

static void write_tokenizer(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(
        "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[{\"id\":256,\"content\":"
        "\"<|endoftext|>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}],"
        "\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,"
        "\"use_regex\":true},\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
        "\"trim_offsets\":true,\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
        "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\",\"fuse_unk\":false,\"byte_fallback\":false,"
        "\"vocab\":{",
        f);
    for (int b = 0; b < 256; b++) fprintf(f, "%s\"\\u%04x\":%d", b ? "," : "", byte_character(b), b);
    fputs(",\"<|endoftext|>\":256},\"merges\":[]}}", f);
    assert_int_equal(fclose(f), 0);
}

void tiny_model(struct ctx *c, const char *dir, bool poison)
{
    assert_int_equal(dir_make(c, dir), OK);
    tiny_write(tiny_path("%s/config.json", dir), config_json);
    tiny_write(tiny_path("%s/tokenizer_config.json", dir),
               "{\"add_bos_token\":false,\"bos_token\":\"<|endoftext|>\",\"eos_token\":\"<|endoftext|>\"}");
    write_tokenizer(tiny_path("%s/tokenizer.json", dir));
    write_weights(c, tiny_path("%s/model.safetensors", dir), poison);
}

/* ---- rows and runs --------------------------------------------------------------------------------------------------- */

void tiny_rows(const char *path, int n, uint64_t seed)
{
    FILE *f = fopen(path, "w");
    struct rng r;
    assert_non_null(f);
    rng_init(&r, seed, RNG_TEST, 99);
    for (int i = 0; i < n; i++) {
        char text[64];
        int k = 5 + (int)rng_below(&r, 40);
        for (int j = 0; j < k; j++) text[j] = (char)(j % 6 == 5 ? ' ' : 'a' + (int)rng_below(&r, 8));
        text[k] = '\0';
        if (i % 5 == 4)
            fprintf(f, "{\"prompt\":\"%.*s\",\"completion\":\"%s\"", 4, text, text + 4);
        else
            fprintf(f, "{\"text\":\"%s\"", text);
        double auth = 0.01 * (double)rng_below(&r, 100), entropy = 0.1 * (double)rng_below(&r, 50);
        fprintf(f, ",\"auth_weight\":%.2f,\"prov_entropy\":%.2f", auth, entropy);
        if (i % 4) fprintf(f, ",\"source_type\":\"kind %d\"", i % 4);
        fputs("}\n", f);
    }
    assert_int_equal(fclose(f), 0);
}

void tiny_files_make(struct tiny_files *f, int n_rows, int n_valid)
{
    struct ctx *c = tiny_ctx(1);
    strcpy(f->folder, tiny_folder());
    strcpy(f->model, tiny_path("%s/model", f->folder));
    strcpy(f->rows, tiny_path("%s/train.jsonl", f->folder));
    strcpy(f->valid, tiny_path("%s/valid.jsonl", f->folder));
    tiny_model(c, f->model, false);
    tiny_rows(f->rows, n_rows, 1);
    if (n_valid) tiny_rows(f->valid, n_valid, 2);
    tiny_ctx_free(c);
}

int tiny_files_remove(void **state)
{
    (void)state;
    tiny_cleanup();
    return 0;
}

const char *tiny_keep(const struct tiny_files *f, const char *name)
{
    static char paths[64][160];
    static int n;
    assert_true(n < 64);
    snprintf(paths[n], sizeof(paths[0]), "%s/%s", f->folder, name);
    return paths[n++];
}

struct train_config tiny_config(const char *model, const char *run, const char *const *data, const char *valid)
{
    struct train_config k = {
        .model = model,
        .run = run,
        .valid = valid,
        .targets = "all",
        .adapter = {.rank = 4, .alpha = 8, .dropout = 0.1},
        .objective = objective_options_default(),
        .rows = dataset_options_default(data, 1),
        .packs = {.batch = 2, .accumulation = 2, .packing = true},
        .optim = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01},
        .schedule = {.kind = SCHEDULE_COSINE, .peak = 1e-2, .min_ratio = 0.1, .warmup = 2},
        .clip_mode = CLIP_RELATIVE,
        .clip = 1,
        .epochs = 1,
        .max_steps = 6,
        .eval_every = 2,
        .save_every = 1,
        .keep = 2,
        .grad_checkpoint = PLAN_CHECKPOINT_OFF,
        .recomputed_blocks = -1,
        .seed = 11,
    };
    k.rows.max_length = 48;
    return k;
}

enum status tiny_train(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks)
{
    struct trainer *t = trainer_new(c, config, hooks, "{}\n");
    if (t) trainer_run(t);
    trainer_free(t);
    return c->status;
}

void tiny_set_gain(const char *dir, float gain)
{
    size_t n, at;
    uint64_t header;
    char path[256], *bytes = tiny_read(tiny_path("%s/model.safetensors", dir), &n);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    memcpy(&header, bytes, sizeof header);
    const char *norm = memmem(bytes + 8, header, "\"model.norm.weight\"", 19);
    assert_non_null(norm);
    const char *offsets = strstr(norm, "\"data_offsets\":[");
    assert_non_null(offsets);
    at = 8 + header + strtoull(offsets + strlen("\"data_offsets\":["), NULL, 10);
    memcpy(bytes + at, &gain, sizeof gain);
    FILE *f = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    free(bytes);
}

enum status tiny_resume(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks)
{
    struct trainer *t = trainer_resume(c, config, hooks);
    if (t) trainer_run(t);
    trainer_free(t);
    return c->status;
}

int64_t tiny_size(const struct engine *e, size_t i)
{
    return e->parameters->list[i].rows * e->parameters->list[i].cols;
}

float *tiny_values(struct engine *e, int which, size_t i)
{
    float *values = malloc((size_t)tiny_size(e, i) * sizeof *values);
    assert_non_null(values);
    assert_int_equal(e->ops->read(e, (enum engine_values)which, i, values), OK);
    return values;
}
