/* tokenizer_gguf: the tokenizer inside a GGUF file, tokenizer.ggml.* as llama.cpp writes and reads them. Model "gpt2" is
 * byte-level BPE: the name of the pre-tokenizer stands for expressions and for flags that the format does not store
 * (pretokenizer_names.c has the table). For Qwen that includes NFC, which llama.cpp leaves out: the ids here are those of
 * the model's own tokenizer, which the file was converted from. Model "llama" is SentencePiece's BPE with its scores.
 */
#include <string.h>

#include "base/mem.h"
#include "io/gguf.h"
#include "io/tokenizer/tokenizer_internal.h"

/* tokenizer.ggml.token_type */
enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

static enum status wrong(struct ctx *c, const struct tokenizer *t, const char *key, const char *want)
{
    return ctx_fail(c, E_INPUT, "%s: %s is not %s", t->name, key, want);
}

/* A list of strings that must be there. */
static enum status get_strings(struct ctx *c, const struct tokenizer *t, const struct gguf *g, const char *key,
                               const struct gguf_value **out)
{
    const struct gguf_value *v = gguf_get(g, key);
    if (!v || v->kind != GGUF_ARRAY || v->item_kind != GGUF_STRING) return wrong(c, t, key, "there as a list of strings");
    *out = v;
    return OK;
}

/* What the name of the pre-tokenizer implies. */
static enum status read_pre(struct ctx *c, struct tokenizer *t, const struct gguf *g, bool *whole)
{
    struct gguf_string pre = {0};
    if (!gguf_get_string(c, g, "tokenizer.ggml.pre", &pre)) {
        if (!ctx_ok(c)) return c->status;
        return ctx_fail(c, E_UNSUPPORTED, "%s: no tokenizer.ggml.pre, so how to cut text is not known; convert it anew",
                        t->name);
    }
    const struct pretokenizer_rules *rules = pretokenizer_rules_find(pre.data, pre.n);
    if (!rules)
        return ctx_fail(c, E_UNSUPPORTED, "%s: pre-tokenizer \"%.*s\" is not supported", t->name,
                        pre.n < 80 ? (int)pre.n : 80, pre.data);
    *whole = rules->ignore_merges;
    t->adds_bos = rules->adds_bos;
    if (rules->nfc) TRY(rewriter_add(c, &t->normal, t->name, &(struct rewrite){.kind = REWRITE_NFC}));
    return pretokenizer_from_rules(c, &t->pre, t->name, rules, false);
}

static bool tokenizer_gguf_is_text(struct gguf_string s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.data, text, s.n) == 0;
}

/* Fills in what model and pre-tokenizer imply; *whole: pieces that are tokens are not merged. */
static enum status tokenizer_gguf_read_kind(struct ctx *c, struct tokenizer *t, const struct gguf *g, bool *whole)
{
    struct gguf_string model = {0};
    if (!gguf_get_string(c, g, "tokenizer.ggml.model", &model))
        return ctx_ok(c) ? ctx_fail(c, E_INPUT, "%s: no tokenizer.ggml.model", t->name) : c->status;
    if (tokenizer_gguf_is_text(model, "gpt2")) return read_pre(c, t, g, whole);
    if (!tokenizer_gguf_is_text(model, "llama"))
        return ctx_fail(
            c, E_UNSUPPORTED,
            "%s: tokenizer model \"%.*s\" is not supported, only byte-level BPE (\"gpt2\") and SentencePiece's BPE "
            "(\"llama\")",
            t->name, model.n < 80 ? (int)model.n : 80, model.data);
    bool prefix = true;
    gguf_get_bool(c, g, "tokenizer.ggml.add_space_prefix", &prefix);
    t->by_char = t->adds_bos = true;
    t->bpe.byte_fallback = t->bpe.fuse_unknown = true;
    return ctx_ok(c) ? tokenizer_escape_spaces(c, t, prefix, false) : c->status;
}

/* The list of token types, or NULL when the file has none (all are normal then). */
static enum status get_types(struct ctx *c, const struct tokenizer *t, const struct gguf *g, uint64_t n,
                             const struct gguf_value **out)
{
    const char *key = "tokenizer.ggml.token_type";
    *out = gguf_get(g, key);
    if (!*out) return OK;
    if ((*out)->kind != GGUF_ARRAY || (*out)->item_kind != GGUF_I32) return wrong(c, t, key, "a list of int32");
    if ((*out)->n != n) return wrong(c, t, key, "as long as the list of tokens");
    return OK;
}

/* The type of token i. */
static int64_t type_at(const struct gguf_value *types, uint64_t i)
{
    return types ? gguf_array_i64(types, i) : TYPE_NORMAL;
}

/* All tokens, with their types as flags. */
static enum status read_tokens(struct ctx *c, struct tokenizer *t, const struct gguf_value *tokens,
                               const struct gguf_value *types)
{
    size_t bytes = 0, n_added = 0;
    for (uint64_t i = 0; i < tokens->n; i++) {
        int64_t type = type_at(types, i);
        bytes += gguf_array_string(tokens, i).n;
        n_added += type == TYPE_CONTROL || type == TYPE_UNKNOWN || type == TYPE_USER;
    }
    if (tokens->n > INT32_MAX) return wrong(c, t, "tokenizer.ggml.tokens", "shorter than 2^31");
    TRY(tokenizer_vocab_reserve(c, t, (int64_t)tokens->n - 1, tokens->n, bytes));
    TRY(tokenizer_added_reserve(c, t, n_added));
    for (uint64_t i = 0; i < tokens->n; i++) {
        struct gguf_string s = gguf_array_string(tokens, i);
        int64_t type = type_at(types, i);
        if (type < TYPE_NORMAL || type > TYPE_BYTE)
            return ctx_fail(c, E_INPUT, "%s: token %llu has type %lld", t->name, (unsigned long long)i, (long long)type);
        TRY(tokenizer_vocab_add(c, t, (int64_t)i, s.data, s.n, type == TYPE_UNUSED ? TOKEN_UNUSED : 0));
        if (type == TYPE_CONTROL || type == TYPE_UNKNOWN || type == TYPE_USER)
            tokenizer_added_add(t, &(struct added){.id = (int32_t)i}, type != TYPE_USER);
    }
    return OK;
}

/* A special token's id; absent, and llama.cpp's "none" (2^32 - 1), leave *out as it is. */
static enum status tokenizer_gguf_read_id(struct ctx *c, struct tokenizer *t, const struct gguf *g, const char *key,
                                          int32_t *out)
{
    int64_t id;
    if (!gguf_get_i64(c, g, key, &id) || id == UINT32_MAX) return c->status;
    return tokenizer_vocab_set_id(c, t, key, id, out);
}

/* A token that only a chat template may ask for: an id that is none is passed over. */
static void read_name(struct ctx *c, struct tokenizer *t, const struct gguf *g, const char *key, enum tokenizer_name which)
{
    int64_t id;
    if (gguf_get_i64(c, g, key, &id) && id >= 0 && id < t->n_tokens && t->tokens[id].text) t->named[which] = (int32_t)id;
}

/* BOS, EOS and other tokens with a role, and whether texts begin or end with them. */
static enum status read_special(struct ctx *c, struct tokenizer *t, const struct gguf *g)
{
    static const char *const stops[] = {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
    TRY(tokenizer_gguf_read_id(c, t, g, "tokenizer.ggml.bos_token_id", &t->bos));
    TRY(tokenizer_gguf_read_id(c, t, g, "tokenizer.ggml.eos_token_id", &t->eos));
    for (int i = 0; i < 2; i++) {
        int32_t id = -1;
        TRY(tokenizer_gguf_read_id(c, t, g, stops[i], &id));
        if (id >= 0) t->tokens[id].flags |= TOKEN_STOP;
    }
    gguf_get_bool(c, g, "tokenizer.ggml.add_bos_token", &t->adds_bos);
    gguf_get_bool(c, g, "tokenizer.ggml.add_eos_token", &t->adds_eos);
    t->named[TOKENIZER_BOS] = t->bos;
    t->named[TOKENIZER_EOS] = t->eos;
    read_name(c, t, g, "tokenizer.ggml.unknown_token_id", TOKENIZER_UNK);
    read_name(c, t, g, "tokenizer.ggml.padding_token_id", TOKENIZER_PAD);
    struct gguf_string source;
    if (gguf_get_string(c, g, "tokenizer.chat_template", &source)) t->chat_template = mem_strndup(c, source.data, source.n);
    if (t->chat_template && gguf_get_string(c, g, "tokenizer.chat_template.tool_use", &source))
        t->tool_template = mem_strndup(c, source.data, source.n);
    return c->status;
}

/* "left right" a string, as in tokenizer.json. */
static enum status tokenizer_gguf_read_merges(struct ctx *c, struct tokenizer *t, const struct gguf *g)
{
    const struct gguf_value *merges = NULL;
    TRY(get_strings(c, t, g, "tokenizer.ggml.merges", &merges));
    for (uint64_t i = 0; i < merges->n; i++) {
        struct gguf_string s = gguf_array_string(merges, i);
        TRY(tokenizer_vocab_merge_line(c, t, i, s.data, s.n));
    }
    return OK;
}

/* SentencePiece's scores, one a token, from which the merges follow. */
static enum status tokenizer_gguf_read_scores(struct ctx *c, struct tokenizer *t, const struct gguf *g)
{
    const char *key = "tokenizer.ggml.scores";
    const struct gguf_value *v = gguf_get(g, key);
    TRY(tokenizer_gguf_read_id(c, t, g, "tokenizer.ggml.unknown_token_id", &t->bpe.unknown_id));
    if (!v || v->kind != GGUF_ARRAY || v->item_kind != GGUF_F32) return wrong(c, t, key, "there as a list of float32");
    if (v->n != (uint64_t)t->n_tokens) return wrong(c, t, key, "as long as the list of tokens");
    float *scores = mem_alloc(c, (size_t)t->n_tokens, sizeof *scores);
    for (uint64_t i = 0; scores && i < v->n; i++) scores[i] = (float)gguf_array_f64(v, i);
    if (scores) tokenizer_scores_apply(c, t, scores);
    mem_free(c, scores);
    return c->status;
}

/* The steps of tokenizer_internal.h in their order. */
static enum status tokenizer_gguf_read_all(struct ctx *c, struct tokenizer *t, const struct gguf *g)
{
    const struct gguf_value *tokens = NULL, *types = NULL;
    bool whole = false;
    TRY(tokenizer_gguf_read_kind(c, t, g, &whole));
    TRY(get_strings(c, t, g, "tokenizer.ggml.tokens", &tokens));
    TRY(get_types(c, t, g, tokens->n, &types));
    TRY(read_tokens(c, t, tokens, types));
    TRY(tokenizer_vocab_finish(c, t, whole));
    TRY(t->by_char ? tokenizer_gguf_read_scores(c, t, g) : tokenizer_gguf_read_merges(c, t, g));
    TRY(tokenizer_added_finish(c, t));
    TRY(read_special(c, t, g));
    tokenizer_vocab_mark_stops(t);
    return file_check(c, gguf_file(g));
}

struct tokenizer *tokenizer_open_gguf(struct ctx *c, const struct gguf *g)
{
    struct tokenizer *t = tokenizer_vocab_new(c, gguf_path(g));
    if (t && tokenizer_gguf_read_all(c, t, g) == OK) return t;
    tokenizer_free(t);
    return NULL;
}
