/* tokenizer_text: what a tokenizer.json does to a text before its model sees it, and to tokens when they become text again:
 * normalizer, pre_tokenizer and decoder. Whether the model's tokens are spelled in the byte-level alphabet or in characters
 * shows here too: a ByteLevel pre-tokenizer says the former.
 */
#include <string.h>

#include "base/mem.h"
#include "io/tokenizer/tokenizer_internal.h"

const char *tokenizer_member_type(const json_t *o)
{
    const char *type = json_string_value(json_object_get(o, "type"));
    return type ? type : "";
}

bool tokenizer_member_true(const json_t *o, const char *key, bool absent)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : absent;
}

/* True when the object's "type" is this one. */
static bool is_type(const json_t *o, const char *type)
{
    return strcmp(tokenizer_member_type(o), type) == 0;
}

/* "pattern": {"String": ...} or {"Regex": ...}. */
static const json_t *pattern_of(const json_t *o, bool *is_pattern)
{
    const json_t *p = json_object_get(o, "pattern"), *regex = json_object_get(p, "Regex");
    *is_pattern = regex != NULL;
    return regex ? regex : json_object_get(p, "String");
}

/* ---- normalizer ---- */

/* A Replace normalizer: a string, or an expression, by a string. */
static enum status read_replace(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    bool is_pattern;
    const json_t *from = pattern_of(o, &is_pattern), *to = json_object_get(o, "content");
    if (!json_is_string(from) || !json_is_string(to)) return tokenizer_refuse(c, t, "normalizer", "Replace without texts");
    return rewriter_add_replace(c, &t->normal, t->name, json_string_value(from), json_string_length(from), is_pattern,
                                json_string_value(to), json_string_length(to));
}

/* One normalizer becomes one step of the rewriter. */
static enum status text_read_normalizer(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const char *prepend = json_string_value(json_object_get(o, "prepend"));
    if (is_type(o, "NFC")) return rewriter_add(c, &t->normal, t->name, &(struct rewrite){.kind = REWRITE_NFC});
    if (is_type(o, "NFKC")) return rewriter_add(c, &t->normal, t->name, &(struct rewrite){.kind = REWRITE_NFKC});
    if (is_type(o, "Replace")) return read_replace(c, t, o);
    if (is_type(o, "Prepend") && prepend) return rewriter_add_prepend(c, &t->normal, t->name, prepend, false, false);
    if (is_type(o, "Strip")) {
        struct rewrite strip = {.kind = REWRITE_STRIP,
                                .left = tokenizer_member_true(o, "strip_left", true),
                                .right = tokenizer_member_true(o, "strip_right", true)};
        return rewriter_add(c, &t->normal, t->name, &strip);
    }
    return tokenizer_refuse(c, t, "normalizer", tokenizer_member_type(o));
}

/* One, or a Sequence of them; null is none. */
static enum status read_normalizers(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const json_t *list = json_object_get(o, "normalizers");
    if (!o || json_is_null(o)) return OK;
    if (!is_type(o, "Sequence") || !json_is_array(list)) return text_read_normalizer(c, t, o);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(text_read_normalizer(c, t, json_array_get(list, i)));
    return OK;
}

/* ---- pre_tokenizer ---- */

/* The word for what becomes of a delimiter, as an enum. */
static bool read_behavior(const json_t *o, enum pretokenizer_behavior *out)
{
    static const char *const names[] = {"Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const char *name = json_string_value(json_object_get(o, "behavior"));
    for (int i = 0; name && i < 5; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (enum pretokenizer_behavior)i;
            return true;
        }
    return false;
}

/* Splits by a string: the expression that matches just it. */
static enum status add_string(struct ctx *c, struct tokenizer *t, const char *text, size_t n,
                              enum pretokenizer_behavior behavior, bool invert)
{
    struct buf pattern;
    buf_init(&pattern, c, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        bool plain = (text[i] & 0x80) || text[i] <= ' ' || (text[i] >= '0' && text[i] <= '9') ||
                     ((text[i] | 0x20) >= 'a' && (text[i] | 0x20) <= 'z');
        if (!plain) buf_append_char(&pattern, '\\');
        buf_append_char(&pattern, text[i]);
    }
    if (buf_ok(&pattern))
        pretokenizer_add_pattern(c, &t->pre, t->name, buf_str(&pattern), pattern.len, behavior, invert, false);
    buf_release(&pattern);
    return c->status;
}

/* A Split pre-tokenizer. */
static enum status read_split(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    enum pretokenizer_behavior behavior;
    bool is_pattern, invert = tokenizer_member_true(o, "invert", false);
    const json_t *text = pattern_of(o, &is_pattern);
    if (!json_is_string(text) || json_string_length(text) == 0)
        return tokenizer_refuse(c, t, "pre_tokenizer", "Split of nothing");
    if (!read_behavior(o, &behavior)) {
        const char *name = json_string_value(json_object_get(o, "behavior"));
        return tokenizer_refuse(c, t, "pre_tokenizer Split behavior", name ? name : "");
    }
    if (!is_pattern) return add_string(c, t, json_string_value(text), json_string_length(text), behavior, invert);
    return pretokenizer_add_pattern(c, &t->pre, t->name, json_string_value(text), json_string_length(text), behavior, invert,
                                    false);
}

/* Punctuation: every such character apart, whatever the reference's table calls so. */
static enum status read_punctuation(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    enum pretokenizer_behavior behavior = SPLIT_ISOLATED;
    if (json_object_get(o, "behavior") && !read_behavior(o, &behavior))
        return tokenizer_refuse(c, t, "pre_tokenizer", "Punctuation");
    static const char mark[] = "\\p{=Punctuation}"; /* a property of our own: expression_set.c */
    return pretokenizer_add_pattern(c, &t->pre, t->name, mark, strlen(mark), behavior, false, false);
}

/* Spaces become U+2581, one is put in front, and words begin with it. Text changes here behind added tokens, so this must be
 * the first pre-tokenizer: the others see the changed text. */
static enum status read_metaspace(struct ctx *c, struct tokenizer *t, const json_t *o, bool first)
{
    const char *mark = json_string_value(json_object_get(o, "replacement"));
    const char *scheme = json_string_value(json_object_get(o, "prepend_scheme"));
    if (!scheme) scheme = tokenizer_member_true(o, "add_prefix_space", true) ? "always" : "never";
    bool never = strcmp(scheme, "never") == 0, only_first = strcmp(scheme, "first") == 0;
    if (!first || !mark || strcmp(mark, TOKENIZER_SPACE) != 0 || (!never && !only_first && strcmp(scheme, "always") != 0))
        return tokenizer_refuse(c, t, "pre_tokenizer", "Metaspace (this form of it)");
    TRY(rewriter_add_replace(c, &t->pre_write, t->name, " ", 1, false, TOKENIZER_SPACE, strlen(TOKENIZER_SPACE)));
    if (!never) TRY(rewriter_add_prepend(c, &t->pre_write, t->name, TOKENIZER_SPACE, true, only_first));
    if (!tokenizer_member_true(o, "split", true)) return OK;
    return pretokenizer_add_pattern(c, &t->pre, t->name, TOKENIZER_SPACE, strlen(TOKENIZER_SPACE), SPLIT_WITH_NEXT, false,
                                    false);
}

/* ByteLevel says that tokens are spelled in the alphabet of 256 visible characters, one for each byte (GPT-2), and with
 * use_regex cuts by GPT-2's expression. */
static enum status read_byte_level(struct ctx *c, struct tokenizer *t, const json_t *o, bool first, bool last)
{
    if (!last) return tokenizer_refuse(c, t, "pre_tokenizer", "ByteLevel before others");
    t->by_char = false;
    if (tokenizer_member_true(o, "add_prefix_space", true)) {
        if (!first) return tokenizer_refuse(c, t, "pre_tokenizer", "ByteLevel with add_prefix_space behind others");
        TRY(rewriter_add_prepend(c, &t->pre_write, t->name, " ", true, false));
        t->drops_prefix = false; /* nor does the reference's decoder drop it */
    }
    return tokenizer_member_true(o, "use_regex", true) ? pretokenizer_add(c, &t->pre, t->name, PRE_GPT2) : OK;
}

/* One pre-tokenizer becomes one stage, or a step that changes text. */
static enum status read_pre_tokenizer(struct ctx *c, struct tokenizer *t, const json_t *o, bool first, bool last)
{
    if (is_type(o, "Split")) return read_split(c, t, o);
    if (is_type(o, "Digits"))
        return pretokenizer_add(c, &t->pre, t->name,
                                tokenizer_member_true(o, "individual_digits", false) ? PRE_DIGIT_EACH : PRE_DIGIT_RUN);
    if (is_type(o, "Punctuation")) return read_punctuation(c, t, o);
    if (is_type(o, "Metaspace")) return read_metaspace(c, t, o, first);
    if (is_type(o, "ByteLevel")) return read_byte_level(c, t, o, first, last);
    return tokenizer_refuse(c, t, "pre_tokenizer", tokenizer_member_type(o));
}

/* One, or a Sequence of them. Without ByteLevel among them, tokens are spelled in characters. */
static enum status read_pre_tokenizers(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const json_t *list = json_object_get(o, "pretokenizers");
    t->by_char = true;
    if (!o || json_is_null(o)) return OK;
    if (!is_type(o, "Sequence") || !json_is_array(list)) return read_pre_tokenizer(c, t, o, true, true);
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) TRY(read_pre_tokenizer(c, t, json_array_get(list, i), i == 0, i + 1 == n));
    return OK;
}

/* ---- decoder ---- */

/* One step of the decoder of SentencePiece's tokenizers: U+2581 to spaces, bytes, and the space in front off again. */
static enum status read_char_decoder(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    bool is_pattern;
    const char *from = json_string_value(pattern_of(o, &is_pattern)), *to = json_string_value(json_object_get(o, "content"));
    if (is_type(o, "ByteFallback") || is_type(o, "Fuse")) return OK;
    if (is_type(o, "Replace") && from && to && !is_pattern && strcmp(from, TOKENIZER_SPACE) == 0 && strcmp(to, " ") == 0)
        return OK;
    if (is_type(o, "Metaspace")) {
        const char *scheme = json_string_value(json_object_get(o, "prepend_scheme"));
        t->drops_prefix = scheme ? strcmp(scheme, "never") != 0 : tokenizer_member_true(o, "add_prefix_space", true);
        return OK;
    }
    if (is_type(o, "Strip") && to && strcmp(to, " ") == 0 && json_integer_value(json_object_get(o, "stop")) == 0) {
        t->drops_prefix = json_integer_value(json_object_get(o, "start")) > 0;
        return OK;
    }
    return tokenizer_refuse(c, t, "decoder", tokenizer_member_type(o));
}

/* The decoder is only checked: it must undo what was read before, because tokenizer_decode goes by that. */
static enum status read_decoder(struct ctx *c, struct tokenizer *t, const json_t *o)
{
    const json_t *list = json_object_get(o, "decoders");
    if (!t->by_char) {
        if (json_is_object(o) && !is_type(o, "ByteLevel"))
            return tokenizer_refuse(c, t, "decoder", tokenizer_member_type(o));
        return OK;
    }
    if (!json_is_object(o)) return tokenizer_refuse(c, t, "decoder", "null, with no ByteLevel pre_tokenizer");
    if (!is_type(o, "Sequence") || !json_is_array(list)) return read_char_decoder(c, t, o);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(read_char_decoder(c, t, json_array_get(list, i)));
    return OK;
}

enum status tokenizer_text_read(struct ctx *c, struct tokenizer *t, const json_t *doc)
{
    TRY(read_normalizers(c, t, json_object_get(doc, "normalizer")));
    TRY(read_pre_tokenizers(c, t, json_object_get(doc, "pre_tokenizer")));
    return read_decoder(c, t, json_object_get(doc, "decoder"));
}
