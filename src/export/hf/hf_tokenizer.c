/* hf_tokenizer: tokenizer.json of Hugging Face's tokenizers from the vocabulary that a GGUF file carries, for byte-level BPE
 * (tokenizer.ggml.model "gpt2") with a pre-tokenizer that the format can express: GPT-2's, SmolLM's and StarCoder's, Llama
 * 3's, Qwen's. tokenizer_config.json names the special tokens and carries the chat template.
 *
 * The text is appended piece by piece instead of building a tree first: a vocabulary of 150,000 would be a tree of 40 MB. */
#include "export/hf/hf_folder.h"

#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "io/gguf.h"
#include "io/tokenizer/pretokenizer.h"

enum { TEXT_MAX_BYTES = 512 << 20 };
enum { TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4 }; /* tokenizer.ggml.token_type */

/* The two expressions, as the models' own tokenizer.json files spell them. */
static const char llama3_pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                                     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char qwen2_pattern[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
                                    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

struct vocab {
    struct ctx *c;
    const struct gguf *g;
    const struct gguf_value *tokens, *types, *merges;
    struct pretokenizer pre;
};

static const struct gguf_value *array_of(const struct gguf *g, const char *key, enum gguf_kind item)
{
    const struct gguf_value *v = gguf_get(g, key);
    return v && v->kind == GGUF_ARRAY && v->item_kind == item ? v : NULL;
}

/* ---- what can be said ------------------------------------------------------------------------------------------------- */

static bool stages_are(const struct pretokenizer *pre, int n, enum pretokenizer_stage a, enum pretokenizer_stage b)
{
    return pre->n == n && pre->stages[0] == a && (n == 1 || pre->stages[1] == b);
}

static bool can_say(const struct pretokenizer *pre)
{
    return stages_are(pre, 1, PRE_GPT2, PRE_GPT2) || stages_are(pre, 1, PRE_LLAMA3, PRE_LLAMA3) ||
           stages_are(pre, 1, PRE_QWEN2, PRE_QWEN2) || stages_are(pre, 2, PRE_DIGIT_EACH, PRE_GPT2);
}

/* Two tokens with one text cannot both be keys of the vocabulary. */
static bool has_duplicates(struct vocab *v)
{
    struct map *seen = map_new(v->c, v->tokens->n);
    bool twice = false;
    for (uint64_t i = 0; seen && i < v->tokens->n && !twice; i++) {
        struct gguf_string s = gguf_array_string(v->tokens, i);
        if (map_put(seen, s.data, s.n, i, &twice) != OK) break;
    }
    map_free(seen);
    return twice;
}

/* NULL when the vocabulary can be written, else why not. */
static const char *open_vocab(struct vocab *v)
{
    struct gguf_string model, pre;
    if (!gguf_get_string(v->c, v->g, "tokenizer.ggml.model", &model) || model.n != 4 || memcmp(model.data, "gpt2", 4) != 0)
        return "its model is not byte-level BPE";
    if (!gguf_get_string(v->c, v->g, "tokenizer.ggml.pre", &pre) || !pretokenizer_from_name(pre.data, pre.n, &v->pre) ||
        !can_say(&v->pre))
        return "its pre-tokenizer has no counterpart in tokenizer.json";
    v->tokens = array_of(v->g, "tokenizer.ggml.tokens", GGUF_STRING);
    v->merges = array_of(v->g, "tokenizer.ggml.merges", GGUF_STRING);
    v->types = array_of(v->g, "tokenizer.ggml.token_type", GGUF_I32);
    if (!v->tokens || !v->merges || (v->types && v->types->n != v->tokens->n)) return "tokens, types or merges are missing";
    return has_duplicates(v) ? "two tokens have the same text" : NULL;
}

/* ---- tokenizer.json --------------------------------------------------------------------------------------------------- */

static void append_added(const struct vocab *v, struct buf *b)
{
    bool first = true;
    for (uint64_t i = 0; v->types && i < v->types->n; i++) {
        int64_t type = gguf_array_i64(v->types, i);
        struct gguf_string s = gguf_array_string(v->tokens, i);
        if (type != TYPE_CONTROL && type != TYPE_USER_DEFINED) continue;
        buf_printf(b, "%s\n    {\"id\": %llu, \"content\": ", first ? "" : ",", (unsigned long long)i);
        json_append_string(b, s.data, s.n);
        buf_printf(b,
                   ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": %s}",
                   type == TYPE_CONTROL ? "true" : "false");
        first = false;
    }
}

static void append_split(struct buf *b, const char *pattern)
{
    buf_append_str(b, "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
    json_append_string(b, pattern, strlen(pattern));
    buf_append_str(
        b, "}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
           "\"trim_offsets\": false, \"use_regex\": false}]}");
}

static void append_pretokenizer(const struct vocab *v, struct buf *b)
{
    static const char byte_level[] =
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": true}";
    switch (v->pre.stages[0]) {
    case PRE_LLAMA3:
        append_split(b, llama3_pattern);
        break;
    case PRE_QWEN2:
        append_split(b, qwen2_pattern);
        break;
    case PRE_GPT2:
        buf_append_str(b, byte_level);
        break;
    default: /* digits one by one, then GPT-2's: can_say */
        buf_printf(b,
                   "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", \"individual_digits\": true}, %s]}",
                   byte_level);
    }
}

static bool adds_bos(const struct vocab *v, int64_t *id)
{
    bool add = v->pre.adds_bos;
    *id = -1;
    gguf_get_bool(v->c, v->g, "tokenizer.ggml.add_bos_token", &add);
    gguf_get_i64(v->c, v->g, "tokenizer.ggml.bos_token_id", id);
    return add && *id >= 0 && (uint64_t)*id < v->tokens->n;
}

/* Models whose documents start with BOS say so in the post-processor. */
static void append_post_processor(const struct vocab *v, struct buf *b)
{
    int64_t id;
    const char *plain =
        "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false, \"use_regex\": true}";
    if (!adds_bos(v, &id)) {
        buf_append_str(b, plain);
        return;
    }
    struct gguf_string s = gguf_array_string(v->tokens, (uint64_t)id);
    struct buf bos;
    buf_init(&bos, v->c, TEXT_MAX_BYTES);
    json_append_string(&bos, s.data, s.n);
    const char *t = buf_str(&bos);
    buf_printf(
        b,
        "{\"type\": \"Sequence\", \"processors\": [%s, {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
        "{\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [{\"SpecialToken\": "
        "{\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": %s, "
        "\"type_id\": 1}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {%s: {\"id\": %s, "
        "\"ids\": [%lld], \"tokens\": [%s]}}}]}",
        plain, t, t, t, t, t, (long long)id, t);
    buf_release(&bos);
}

static void append_model(const struct vocab *v, struct buf *b)
{
    buf_printf(b,
               "{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null, \"continuing_subword_prefix\": null, "
               "\"end_of_word_suffix\": null, \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": %s,\n"
               "\"vocab\": {",
               v->pre.ignore_merges ? "true" : "false");
    for (uint64_t i = 0; i < v->tokens->n; i++) {
        struct gguf_string s = gguf_array_string(v->tokens, i);
        buf_append_str(b, i ? ",\n" : "\n");
        json_append_string(b, s.data, s.n);
        buf_printf(b, ": %llu", (unsigned long long)i);
    }
    buf_append_str(b, "},\n\"merges\": [");
    for (uint64_t i = 0; i < v->merges->n; i++) {
        struct gguf_string s = gguf_array_string(v->merges, i);
        buf_append_str(b, i ? ",\n" : "\n");
        json_append_string(b, s.data, s.n);
    }
    buf_append_str(b, "]}");
}

static void append_tokenizer(const struct vocab *v, struct buf *b)
{
    buf_append_str(b, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n\"added_tokens\": [");
    append_added(v, b);
    buf_printf(b, "],\n\"normalizer\": %s,\n\"pre_tokenizer\": ", v->pre.nfc ? "{\"type\": \"NFC\"}" : "null");
    append_pretokenizer(v, b);
    buf_append_str(b, ",\n\"post_processor\": ");
    append_post_processor(v, b);
    buf_append_str(b, ",\n\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
                      "\"use_regex\": true},\n\"model\": ");
    append_model(v, b);
    buf_append_str(b, "}\n");
}

/* ---- tokenizer_config.json -------------------------------------------------------------------------------------------- */

static void append_member(const char *name, struct gguf_string s, struct buf *b)
{
    buf_printf(b, ",\n  \"%s\": ", name);
    json_append_string(b, s.data, s.n);
}

static void append_config(const struct vocab *v, struct buf *b)
{
    static const char *const roles[][2] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                           {"eos_token", "tokenizer.ggml.eos_token_id"},
                                           {"unk_token", "tokenizer.ggml.unknown_token_id"},
                                           {"pad_token", "tokenizer.ggml.padding_token_id"}};
    struct gguf_string text;
    int64_t id;
    buf_printf(b,
               "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  \"clean_up_tokenization_spaces\": false,\n"
               "  \"add_bos_token\": %s",
               adds_bos(v, &id) ? "true" : "false");
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (gguf_get_i64(v->c, v->g, roles[i][1], &id) && id >= 0 && (uint64_t)id < v->tokens->n)
            append_member(roles[i][0], gguf_array_string(v->tokens, (uint64_t)id), b);
    if (gguf_get_string(v->c, v->g, "tokenizer.chat_template", &text)) append_member("chat_template", text, b);
    buf_append_str(b, "\n}\n");
}

static enum status write_text(const struct vocab *v, const char *dir, const char *name,
                              void (*append)(const struct vocab *, struct buf *))
{
    struct buf text;
    buf_init(&text, v->c, TEXT_MAX_BYTES);
    append(v, &text);
    char *path = path_join(v->c, dir, name);
    if (path && ctx_ok(v->c) && buf_ok(&text)) file_write_atomic(v->c, path, buf_str(&text), text.len);
    mem_free(v->c, path);
    buf_release(&text);
    return v->c->status;
}

bool hf_tokenizer_write(struct ctx *c, const struct gguf *g, const char *dir)
{
    struct vocab v = {.c = c, .g = g};
    const char *why = open_vocab(&v);
    if (!ctx_ok(c)) return false;
    if (why) {
        ctx_log(c, LOG_WARN, "%s: no tokenizer is written, because %s", gguf_path(g), why);
        return false;
    }
    return write_text(&v, dir, "tokenizer.json", append_tokenizer) == OK &&
           write_text(&v, dir, "tokenizer_config.json", append_config) == OK;
}
