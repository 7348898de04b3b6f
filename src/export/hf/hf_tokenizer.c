/* hf_tokenizer: tokenizer.json of Hugging Face's tokenizers from the vocabulary that a GGUF file carries: byte-level BPE
 * (tokenizer.ggml.model "gpt2") with the expressions that the name of its pre-tokenizer stands for, and SentencePiece's BPE
 * ("llama") with the merges that follow from its scores. tokenizer_config.json names the special tokens and carries the chat
 * template.
 *
 * The text is appended piece by piece instead of building a tree first: a vocabulary of 150,000 would be a tree of 40 MB. */
#include "export/hf/hf_folder.h"

#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "io/gguf.h"
#include "io/tokenizer/pretokenizer.h"
#include "io/tokenizer/tokenizer.h"

enum { TEXT_MAX_BYTES = 512 << 20 };
enum { TYPE_UNKNOWN = 2, TYPE_CONTROL = 3, TYPE_USER_DEFINED = 4 }; /* tokenizer.ggml.token_type */

/* What is read of the GGUF file, and by that of which kind its tokenizer is. */
struct vocab {
    struct ctx *c;
    const struct gguf *g;
    const struct gguf_value *tokens, *types;
    const struct gguf_value *merges;        /* byte-level BPE */
    const struct pretokenizer_rules *rules; /* byte-level BPE; NULL: SentencePiece */
    struct tokenizer *t;                    /* SentencePiece: owned, for its merges */
};

/* A list of the file with items of this kind, or NULL. */
static const struct gguf_value *array_of(const struct gguf *g, const char *key, enum gguf_kind item)
{
    const struct gguf_value *v = gguf_get(g, key);
    return v && v->kind == GGUF_ARRAY && v->item_kind == item ? v : NULL;
}

/* ---- what can be said ------------------------------------------------------------------------------------------------- */

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

/* Strings of GGUF have a length and no NUL. */
static bool hf_tokenizer_is_text(struct gguf_string s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.data, text, s.n) == 0;
}

/* NULL when the kind of tokenizer can be written, else why not. */
static const char *open_kind(struct vocab *v)
{
    struct gguf_string model = {0}, pre = {0};
    if (!gguf_get_string(v->c, v->g, "tokenizer.ggml.model", &model)) return "the file names no kind of tokenizer";
    if (hf_tokenizer_is_text(model, "llama")) {
        v->t = tokenizer_open_gguf(v->c, v->g);
        return v->t ? NULL : "it cannot be read";
    }
    if (!hf_tokenizer_is_text(model, "gpt2")) return "its model is neither byte-level BPE nor SentencePiece's BPE";
    v->merges = array_of(v->g, "tokenizer.ggml.merges", GGUF_STRING);
    if (!v->merges) return "merges are missing";
    if (gguf_get_string(v->c, v->g, "tokenizer.ggml.pre", &pre)) v->rules = pretokenizer_rules_find(pre.data, pre.n);
    return v->rules ? NULL : "its pre-tokenizer is not known";
}

/* NULL when the vocabulary can be written, else why not. */
static const char *open_vocab(struct vocab *v)
{
    const char *why = open_kind(v);
    if (why) return why;
    v->tokens = array_of(v->g, "tokenizer.ggml.tokens", GGUF_STRING);
    v->types = array_of(v->g, "tokenizer.ggml.token_type", GGUF_I32);
    if (!v->tokens || (v->types && v->types->n != v->tokens->n)) return "tokens or their types are missing";
    return has_duplicates(v) ? "two tokens have the same text" : NULL;
}

/* ---- tokenizer.json --------------------------------------------------------------------------------------------------- */

/* Tokens that are recognised in text as a whole, with Hugging Face's flags for them. */
static void append_added(const struct vocab *v, struct buf *b)
{
    bool first = true;
    for (uint64_t i = 0; v->types && i < v->types->n; i++) {
        int64_t type = gguf_array_i64(v->types, i);
        struct gguf_string s = gguf_array_string(v->tokens, i);
        if (type != TYPE_CONTROL && type != TYPE_USER_DEFINED && type != TYPE_UNKNOWN) continue;
        buf_printf(b, "%s\n    {\"id\": %llu, \"content\": ", first ? "" : ",", (unsigned long long)i);
        json_append_string(b, s.data, s.n);
        buf_printf(b,
                   ", \"single_word\": false, \"lstrip\": false, \"rstrip\": false, \"normalized\": false, \"special\": %s}",
                   type == TYPE_USER_DEFINED ? "false" : "true");
        first = false;
    }
}

/* The stages of the name, one after another. GPT-2's expression at the end is what ByteLevel does by itself. */
static void append_pretokenizer(const struct vocab *v, struct buf *b)
{
    const char *const *patterns = v->rules->patterns, *gpt2 = pretokenizer_pattern(PRE_GPT2);
    int n = 0;
    while (patterns[n]) n++;
    bool own = n > 0 && strcmp(patterns[n - 1], gpt2) == 0;
    buf_append_str(b, "{\"type\": \"Sequence\", \"pretokenizers\": [");
    for (int i = 0; i < n - own; i++) {
        if (strcmp(patterns[i], PRETOKENIZER_DIGITS) == 0) {
            buf_append_str(b, "{\"type\": \"Digits\", \"individual_digits\": true}, ");
            continue;
        }
        buf_append_str(b, "{\"type\": \"Split\", \"pattern\": {\"Regex\": ");
        json_append_string(b, patterns[i], strlen(patterns[i]));
        buf_append_str(b, "}, \"behavior\": \"Isolated\", \"invert\": false}, ");
    }
    buf_printf(b, "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": %s}]}",
               own ? "true" : "false");
}

/* Whether SentencePiece puts a space in front of a text; it does unless the file says otherwise. */
static bool adds_prefix(const struct vocab *v)
{
    bool prefix = true;
    gguf_get_bool(v->c, v->g, "tokenizer.ggml.add_space_prefix", &prefix);
    return prefix;
}

/* normalizer, pre_tokenizer and decoder, each with the comma behind it. */
static void append_text_rules(const struct vocab *v, struct buf *b)
{
    if (v->rules) {
        buf_printf(b, "\"normalizer\": %s,\n\"pre_tokenizer\": ", v->rules->nfc ? "{\"type\": \"NFC\"}" : "null");
        append_pretokenizer(v, b);
        buf_append_str(b, ",\n\"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
                          "\"use_regex\": true},\n");
        return;
    }
    bool prefix = adds_prefix(v);
    buf_printf(
        b,
        "\"normalizer\": {\"type\": \"Sequence\", \"normalizers\": [%s{\"type\": \"Replace\", \"pattern\": {\"String\": "
        "\" \"}, \"content\": \"\\u2581\"}]},\n\"pre_tokenizer\": null,\n",
        prefix ? "{\"type\": \"Prepend\", \"prepend\": \"\\u2581\"}, " : "");
    buf_printf(b,
               "\"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": "
               "\"\\u2581\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}%s]},\n",
               prefix ? ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}" : "");
}

/* Whether texts begin with BOS, and its id. */
static bool adds_bos(const struct vocab *v, int64_t *id)
{
    bool add = v->rules ? v->rules->adds_bos : true;
    *id = -1;
    gguf_get_bool(v->c, v->g, "tokenizer.ggml.add_bos_token", &add);
    gguf_get_i64(v->c, v->g, "tokenizer.ggml.bos_token_id", id);
    return add && *id >= 0 && (uint64_t)*id < v->tokens->n;
}

/* Models whose documents start with BOS say so in the post-processor. */
static void append_post_processor(const struct vocab *v, struct buf *b)
{
    int64_t id;
    /* For byte-level BPE one that moves offsets only, as the models' own files have it. */
    const char *plain =
        v->rules ? "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false, \"use_regex\": true}"
                 : NULL;
    if (!adds_bos(v, &id)) {
        buf_append_str(b, plain ? plain : "null");
        return;
    }
    struct gguf_string s = gguf_array_string(v->tokens, (uint64_t)id);
    struct buf bos;
    buf_init(&bos, v->c, TEXT_MAX_BYTES);
    json_append_string(&bos, s.data, s.n);
    const char *t = buf_str(&bos);
    buf_printf(
        b,
        "{\"type\": \"Sequence\", \"processors\": [%s%s{\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
        "{\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": [{\"SpecialToken\": "
        "{\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, {\"SpecialToken\": {\"id\": %s, "
        "\"type_id\": 1}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {%s: {\"id\": %s, "
        "\"ids\": [%lld], \"tokens\": [%s]}}}]}",
        plain ? plain : "", plain ? ", " : "", t, t, t, t, t, (long long)id, t);
    buf_release(&bos);
}

/* Byte-level BPE's merges as the file lists them, SentencePiece's as they follow from its scores. */
static void append_merges(const struct vocab *v, struct buf *b)
{
    int32_t left, right;
    for (uint64_t i = 0; v->rules && i < v->merges->n; i++) {
        struct gguf_string s = gguf_array_string(v->merges, i);
        buf_append_str(b, i ? ",\n" : "\n");
        json_append_string(b, s.data, s.n);
    }
    for (size_t i = 0; v->t && tokenizer_scored_merge(v->t, i, &left, &right); i++) {
        struct gguf_string x = gguf_array_string(v->tokens, (uint64_t)left),
                           y = gguf_array_string(v->tokens, (uint64_t)right);
        buf_append_str(b, i ? ",\n[" : "\n[");
        json_append_string(b, x.data, x.n);
        buf_append_str(b, ", ");
        json_append_string(b, y.data, y.n);
        buf_append_char(b, ']');
    }
}

/* "model": vocabulary and merges. */
static void append_model(const struct vocab *v, struct buf *b)
{
    int64_t unknown = -1;
    buf_append_str(b, "{\"type\": \"BPE\", \"dropout\": null, \"unk_token\": ");
    if (v->t) gguf_get_i64(v->c, v->g, "tokenizer.ggml.unknown_token_id", &unknown);
    if (unknown >= 0 && (uint64_t)unknown < v->tokens->n) {
        struct gguf_string s = gguf_array_string(v->tokens, (uint64_t)unknown);
        json_append_string(b, s.data, s.n);
    } else {
        buf_append_str(b, "null");
    }
    buf_printf(
        b,
        ", \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null, \"fuse_unk\": %s, \"byte_fallback\": %s, "
        "\"ignore_merges\": %s,\n\"vocab\": {",
        v->t ? "true" : "false", v->t ? "true" : "false", v->rules && v->rules->ignore_merges ? "true" : "false");
    for (uint64_t i = 0; i < v->tokens->n; i++) {
        struct gguf_string s = gguf_array_string(v->tokens, i);
        buf_append_str(b, i ? ",\n" : "\n");
        json_append_string(b, s.data, s.n);
        buf_printf(b, ": %llu", (unsigned long long)i);
    }
    buf_append_str(b, "},\n\"merges\": [");
    append_merges(v, b);
    buf_append_str(b, "]}");
}

/* The members of tokenizer.json in the order in which Hugging Face writes them. */
static void append_tokenizer(const struct vocab *v, struct buf *b)
{
    buf_append_str(b, "{\"version\": \"1.0\", \"truncation\": null, \"padding\": null,\n\"added_tokens\": [");
    append_added(v, b);
    buf_append_str(b, "],\n");
    append_text_rules(v, b);
    buf_append_str(b, "\"post_processor\": ");
    append_post_processor(v, b);
    buf_append_str(b, ",\n\"model\": ");
    append_model(v, b);
    buf_append_str(b, "}\n");
}

/* ---- tokenizer_config.json -------------------------------------------------------------------------------------------- */

/* One more string member of the object that is open. */
static void append_member(const char *name, struct gguf_string s, struct buf *b)
{
    buf_printf(b, ",\n  \"%s\": ", name);
    json_append_string(b, s.data, s.n);
}

/* tokenizer_config.json: the special tokens by their roles, and the chat template. */
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

/* Makes a text by `append` and writes it. */
static enum status hf_tokenizer_write_text(const struct vocab *v, const char *dir, const char *name,
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
    bool done = false;
    if (ctx_ok(c) && why)
        ctx_log(c, LOG_WARN, "%s: no tokenizer is written, because %s", gguf_path(g), why);
    else if (ctx_ok(c))
        done = hf_tokenizer_write_text(&v, dir, "tokenizer.json", append_tokenizer) == OK &&
               hf_tokenizer_write_text(&v, dir, "tokenizer_config.json", append_config) == OK;
    tokenizer_free(v.t);
    return done;
}
