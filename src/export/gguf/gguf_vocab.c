/* gguf_vocab: the tokenizer of a Hugging Face folder in the keys of GGUF, the inverse of io/tokenizer/tokenizer_gguf.c.
 * Byte-level BPE keeps its merges and gets the name under which llama.cpp knows its way of cutting text; SentencePiece's BPE
 * keeps scores, which follow from the order of the merges where the folder has those instead (gguf_scores.h). */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/gguf/gguf_model.h"
#include "export/gguf/gguf_scores.h"
#include "io/json.h"
#include "io/tokenizer/pretokenizer.h"
#include "model/weights.h"

enum { JSON_MAX_BYTES = 256 << 20, PAD_BYTES = 32 };
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE }; /* tokenizer.ggml.token_type */

struct gguf_vocab {
    struct ctx *c;
    const struct export_source *s;
    const struct tokenizer *t;
    struct gguf_writer *w;
    json_t *doc;             /* owned: tokenizer.json; NULL: the tokenizer is a tokenizer.model */
    int64_t n;               /* tokens: the rows of the model's table */
    char (*pads)[PAD_BYTES]; /* owned: texts of ids that no token has */
    uint32_t *pad_of;        /* owned (n): 0, or 1 + index into pads */
};

static const char *type_name(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type ? type : "";
}

/* ---- tokens ---------------------------------------------------------------------------------------------------------- */

static struct gguf_string gguf_vocab_token_text(const void *user, uint64_t i)
{
    const struct gguf_vocab *v = user;
    const char *text = v->pad_of[i] ? v->pads[v->pad_of[i] - 1] : tokenizer_token(v->t, (int32_t)i);
    return (struct gguf_string){text, strlen(text)};
}

/* Ids without a token, in holes and up to the rows of the table, get texts that are nothing else's, as converters do. */
static enum status gguf_vocab_pad(struct gguf_vocab *v)
{
    size_t holes = 0;
    v->pad_of = mem_alloc(v->c, (size_t)v->n, sizeof *v->pad_of);
    for (int64_t i = 0; v->pad_of && i < v->n; i++)
        if (!tokenizer_token(v->t, (int32_t)i)) v->pad_of[i] = (uint32_t)++holes;
    v->pads = mem_alloc(v->c, holes, sizeof *v->pads);
    for (int64_t i = 0; v->pads && v->pad_of && i < v->n; i++)
        if (v->pad_of[i]) snprintf(v->pads[v->pad_of[i] - 1], PAD_BYTES, "[PAD%lld]", (long long)i);
    return v->c->status;
}

/* "<0x0A>" */
static bool is_byte(const char *text)
{
    return strlen(text) == 6 && strncmp(text, "<0x", 3) == 0 && strspn(text + 3, "0123456789ABCDEF") == 2 && text[5] == '>';
}

static int32_t type_of(const struct gguf_vocab *v, int64_t i, bool pieces)
{
    if (v->pad_of[i]) return TYPE_UNUSED;
    const char *text = tokenizer_token(v->t, (int32_t)i), *unknown = tokenizer_named(v->t, TOKENIZER_UNK);
    if (pieces && unknown && strcmp(text, unknown) == 0) return TYPE_UNKNOWN;
    if (tokenizer_is_special(v->t, (int32_t)i)) return TYPE_CONTROL;
    if (pieces && is_byte(text)) return TYPE_BYTE;
    return tokenizer_is_added(v->t, (int32_t)i) ? TYPE_USER : TYPE_NORMAL;
}

static enum status write_tokens(struct gguf_vocab *v, bool pieces)
{
    TRY(gguf_vocab_pad(v));
    gguf_writer_strings(v->w, "tokenizer.ggml.tokens", (uint64_t)v->n, gguf_vocab_token_text, v);
    int32_t *types = mem_alloc(v->c, (size_t)v->n, sizeof *types);
    for (int64_t i = 0; types && i < v->n; i++) types[i] = type_of(v, i, pieces);
    if (types) gguf_writer_i32s(v->w, "tokenizer.ggml.token_type", types, (uint64_t)v->n);
    mem_free(v->c, types);
    return v->c->status;
}

/* ---- byte-level BPE -------------------------------------------------------------------------------------------------- */

/* A merge of tokenizer.json, "left right" or ["left", "right"], as its two halves. */
static bool merge_halves(const json_t *v, struct gguf_string *left, struct gguf_string *right)
{
    const json_t *a = json_array_get(v, 0), *b = json_array_get(v, 1);
    if (json_is_string(v)) {
        const char *text = json_string_value(v), *space = strchr(text, ' ');
        if (!space) return false;
        *left = (struct gguf_string){text, (size_t)(space - text)};
        *right = (struct gguf_string){space + 1, json_string_length(v) - left->n - 1};
        return true;
    }
    *left = (struct gguf_string){json_string_value(a), json_string_length(a)};
    *right = (struct gguf_string){json_string_value(b), json_string_length(b)};
    return json_is_string(a) && json_is_string(b);
}

/* What write_merges passes on: the list, and a buffer that each line is put together in. */
struct merge_lines {
    const json_t *list;
    struct buf *line;
};

static struct gguf_string merge_line(const void *user, uint64_t i)
{
    const struct merge_lines *m = user;
    struct gguf_string left = {"", 0}, right = {"", 0};
    merge_halves(json_array_get(m->list, (size_t)i), &left, &right);
    buf_clear(m->line);
    buf_append(m->line, left.data, left.n);
    buf_append_char(m->line, ' ');
    buf_append(m->line, right.data, right.n);
    return (struct gguf_string){buf_str(m->line), m->line->len};
}

static const json_t *merges_of(const struct gguf_vocab *v)
{
    return json_object_get(json_object_get(v->doc, "model"), "merges");
}

static enum status write_merges(struct gguf_vocab *v)
{
    struct buf line;
    buf_init(&line, v->c, 1 << 20);
    struct merge_lines lines = {merges_of(v), &line};
    gguf_writer_strings(v->w, "tokenizer.ggml.merges", json_array_size(lines.list), merge_line, &lines);
    buf_release(&line);
    return v->c->status;
}

/* Whether a Split keeps what matches as pieces and loses nothing: Isolated, or the other way round "not matching is
 * removed", for expressions that leave no character out. */
static bool keeps_all(const json_t *o, const char *regex)
{
    static const enum pretokenizer_kind complete[] = {PRE_GPT2, PRE_LLAMA3, PRE_QWEN2};
    const char *behavior = json_string_value(json_object_get(o, "behavior"));
    bool invert = json_is_true(json_object_get(o, "invert"));
    if (!regex || !behavior) return false;
    if (strcmp(behavior, "Isolated") == 0) return !invert;
    for (size_t i = 0; i < sizeof complete / sizeof *complete; i++)
        if (strcmp(regex, pretokenizer_pattern(complete[i])) == 0) return invert && strcmp(behavior, "Removed") == 0;
    return false;
}

/* One pre-tokenizer as expressions; false: something that has none. */
static bool gguf_vocab_add_patterns(const json_t *o, const char **patterns, int *n)
{
    const char *regex = json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    if (*n == PRE_STAGES) return false;
    if (strcmp(type_name(o), "Split") == 0) {
        patterns[(*n)++] = regex;
        return keeps_all(o, regex);
    }
    if (strcmp(type_name(o), "Digits") == 0) {
        patterns[(*n)++] = PRETOKENIZER_DIGITS;
        return json_is_true(json_object_get(o, "individual_digits"));
    }
    if (strcmp(type_name(o), "ByteLevel") != 0 || json_is_true(json_object_get(o, "add_prefix_space"))) return false;
    if (!json_is_false(json_object_get(o, "use_regex"))) patterns[(*n)++] = pretokenizer_pattern(PRE_GPT2);
    return true;
}

/* Whether the normalizer is NFC (true), nothing (false); *other: it is something else. */
static bool is_nfc(const json_t *normalizer, bool *other)
{
    const json_t *list = json_object_get(normalizer, "normalizers");
    if (json_is_array(list) && json_array_size(list) == 1) normalizer = json_array_get(list, 0);
    bool nfc = strcmp(type_name(normalizer), "NFC") == 0;
    *other = !nfc && json_is_object(normalizer) && !(json_is_array(list) && json_array_size(list) == 0);
    return nfc;
}

static enum status refuse_cut(const struct gguf_vocab *v)
{
    return ctx_fail(v->c, E_UNSUPPORTED,
                    "%s: llama.cpp has no name for the way in which this tokenizer cuts text, so a GGUF file cannot say it; "
                    "safetensors keeps the tokenizer as it is",
                    v->s->model_path);
}

/* Writes tokenizer.ggml.pre. */
static enum status write_pre(struct gguf_vocab *v)
{
    const char *patterns[PRE_STAGES + 1];
    const json_t *pre = json_object_get(v->doc, "pre_tokenizer"), *list = json_object_get(pre, "pretokenizers");
    bool known = true, other, nfc = is_nfc(json_object_get(v->doc, "normalizer"), &other);
    bool whole = json_is_true(json_object_get(json_object_get(v->doc, "model"), "ignore_merges"));
    int n = 0;
    if (json_is_array(list))
        for (size_t i = 0; known && i < json_array_size(list); i++)
            known = gguf_vocab_add_patterns(json_array_get(list, i), patterns, &n);
    else
        known = gguf_vocab_add_patterns(pre, patterns, &n);
    char name[64];
    if (known && !other && pretokenizer_rules_name(patterns, n, whole, nfc, name, sizeof name)) {
        gguf_writer_string(v->w, "tokenizer.ggml.pre", name, strlen(name));
        return v->c->status;
    }
    return refuse_cut(v);
}

/* ---- SentencePiece --------------------------------------------------------------------------------------------------- */

/* Merge i of the list, or of those that follow from the scores of a tokenizer.model. */
static bool merge_get(const void *user, size_t i, struct gguf_string *left, struct gguf_string *right)
{
    const struct gguf_vocab *v = user;
    int32_t l, r;
    if (v->doc) {
        *left = *right = (struct gguf_string){"", 0}; /* of a merge that is none */
        if (i < json_array_size(merges_of(v))) merge_halves(json_array_get(merges_of(v), i), left, right);
        return i < json_array_size(merges_of(v));
    }
    if (!tokenizer_scored_merge(v->t, i, &l, &r)) return false;
    const char *a = tokenizer_token(v->t, l), *b = tokenizer_token(v->t, r);
    *left = (struct gguf_string){a, strlen(a)};
    *right = (struct gguf_string){b, strlen(b)};
    return true;
}

static enum status write_scores(struct gguf_vocab *v)
{
    float *scores = mem_alloc(v->c, (size_t)v->n, sizeof *scores);
    bool *is_piece = mem_alloc(v->c, (size_t)v->n, sizeof *is_piece);
    for (int64_t i = 0; ctx_ok(v->c) && i < v->n; i++) is_piece[i] = type_of(v, i, true) == TYPE_NORMAL;
    const struct gguf_merges merges = {merge_get, v};
    if (ctx_ok(v->c) && gguf_scores_of_merges(v->c, v->t, &merges, is_piece, v->n, scores) == OK) {
        /* pieces that no merge makes come behind all others */
        for (int64_t i = 0; i < v->n; i++)
            if (scores[i] == 0 && is_piece[i]) scores[i] = -1e6f;
        gguf_writer_f32s(v->w, "tokenizer.ggml.scores", scores, (uint64_t)v->n);
    }
    mem_free(v->c, scores);
    mem_free(v->c, is_piece);
    return v->c->status;
}

/* How text becomes pieces: with a space in front or not. A Metaspace that also cuts at spaces has no counterpart. */
static enum status write_piece_rules(struct gguf_vocab *v)
{
    const json_t *pre = json_object_get(v->doc, "pre_tokenizer");
    bool metaspace = strcmp(type_name(pre), "Metaspace") == 0, prefix = tokenizer_prepends_space(v->t);
    if (metaspace && !json_is_false(json_object_get(pre, "split"))) return refuse_cut(v);
    if (metaspace && prefix)
        ctx_log(v->c, LOG_WARN,
                "%s: this tokenizer puts no space before a text that begins with one; llama.cpp does, so such texts get one "
                "token more there",
                v->s->model_path);
    gguf_writer_string(v->w, "tokenizer.ggml.pre", "default", 7);
    gguf_writer_bool(v->w, "tokenizer.ggml.add_space_prefix", prefix);
    return v->c->status;
}

/* ---- special tokens -------------------------------------------------------------------------------------------------- */

static void gguf_vocab_write_named(struct gguf_vocab *v, const char *key, int64_t id)
{
    if (id >= 0 && id < v->n) gguf_writer_u32(v->w, key, (uint32_t)id);
}

/* The id of a token that the tokenizer names by its text. */
static int64_t named_id(const struct gguf_vocab *v, enum tokenizer_name which)
{
    const char *text = tokenizer_named(v->t, which);
    return text ? tokenizer_find(v->t, text) : -1;
}

static enum status write_special(struct gguf_vocab *v)
{
    const struct tokenizer *t = v->t;
    const char *chat = tokenizer_chat_template(t), *tools = tokenizer_tool_template(t);
    gguf_vocab_write_named(v, "tokenizer.ggml.bos_token_id", tokenizer_bos(t));
    gguf_vocab_write_named(v, "tokenizer.ggml.eos_token_id", tokenizer_eos(t));
    gguf_vocab_write_named(v, "tokenizer.ggml.unknown_token_id", named_id(v, TOKENIZER_UNK));
    gguf_vocab_write_named(v, "tokenizer.ggml.padding_token_id", named_id(v, TOKENIZER_PAD));
    gguf_writer_bool(v->w, "tokenizer.ggml.add_bos_token", tokenizer_adds_bos(t));
    gguf_writer_bool(v->w, "tokenizer.ggml.add_eos_token", tokenizer_adds_eos(t));
    if (chat) gguf_writer_string(v->w, "tokenizer.chat_template", chat, strlen(chat));
    if (chat && tools) gguf_writer_string(v->w, "tokenizer.chat_template.tool_use", tools, strlen(tools));
    return v->c->status;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

/* tokenizer.json into v->doc when the folder has one. */
static enum status gguf_vocab_read_document(struct gguf_vocab *v)
{
    char *path = path_join(v->c, v->s->model_path, "tokenizer.json");
    if (path && file_exists(path)) v->doc = json_parse_file(v->c, path, JSON_MAX_BYTES);
    mem_free(v->c, path);
    return v->c->status;
}

/* Added tokens that swallow spaces or ask for word ends: GGUF has no place for that. */
static void warn_of_flags(const struct gguf_vocab *v)
{
    static const char *const flags[] = {"lstrip", "rstrip", "single_word"};
    const json_t *list = json_object_get(v->doc, "added_tokens");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        for (int k = 0; k < 3; k++) {
            if (!json_is_true(json_object_get(o, flags[k]))) continue;
            const char *text = json_string_value(json_object_get(o, "content"));
            ctx_log(
                v->c, LOG_WARN,
                "%s: the added token %s has \"%s\", which GGUF cannot say: text beside it may get other ids in llama.cpp",
                v->s->model_path, text ? text : "", flags[k]);
            return;
        }
    }
}

static enum status gguf_vocab_write_all(struct gguf_vocab *v)
{
    TRY(gguf_vocab_read_document(v));
    warn_of_flags(v);
    bool pieces = tokenizer_has_pieces(v->t);
    const char *kind = pieces ? "llama" : "gpt2";
    gguf_writer_string(v->w, "tokenizer.ggml.model", kind, strlen(kind));
    TRY(pieces ? write_piece_rules(v) : write_pre(v));
    TRY(write_tokens(v, pieces));
    TRY(pieces ? write_scores(v) : write_merges(v));
    return write_special(v);
}

enum status gguf_vocab_write(struct gguf_writer *w, const struct export_source *s)
{
    struct gguf_vocab v = {.c = s->c, .s = s, .t = s->tokenizer, .w = w, .n = s->model->config.vocab};
    if (weights_gguf(s->model->files)) return OK; /* among the metadata */
    if (!v.t) {
        gguf_writer_string(w, "tokenizer.ggml.model", "none", 4);
        return s->c->status;
    }
    gguf_vocab_write_all(&v);
    json_decref(v.doc);
    mem_free(v.c, v.pads);
    mem_free(v.c, v.pad_of);
    return v.c->status;
}
