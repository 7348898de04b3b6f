/* tokenizer: encoding and decoding.
 *
 * Encoding goes inwards: added tokens are cut out of the raw text, the rest is normalised (rewriter.h), added tokens that
 * are looked for in normalised text are cut out of that, the rest is cut into pieces (pretokenizer.h), and each piece is
 * merged (bpe.h).
 *
 * The rules for added tokens are those of Hugging Face's AddedVocabulary, special tokens as with its encode_special_tokens:
 * a special token that the caller does not want is still matched, so that the same text is looked at, but passed over.
 *
 *   "Hi there<|im_end|>"   special tokens wanted: "Hi there" and the token <|im_end|>
 *   "Hi there"             Qwen 2's expression: "Hi", " there"
 *   "Hi", " there"         merged: 13048, 1052
 */
#include "io/tokenizer/tokenizer.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "io/gguf_set.h"
#include "io/model_folder.h"
#include "io/tokenizer/tokenizer_internal.h"
#include "io/tokenizer/unicode.h"

enum { IDS_MIN = 64 };

void ids_release(struct ctx *c, struct ids *ids)
{
    mem_free(c, ids->data);
    *ids = (struct ids){0};
}

enum status ids_push(struct ctx *c, struct ids *ids, int32_t id)
{
    if (ids->n == ids->room) {
        size_t room = ids->room < IDS_MIN ? IDS_MIN : ids->room * 2;
        int32_t *data = mem_resize(c, ids->data, ids->room, room, sizeof *data);
        if (!data) return c->status;
        ids->data = data;
        ids->room = room;
    }
    ids->data[ids->n++] = id;
    return OK;
}

enum status ids_check(struct ctx *c, const int32_t *ids, size_t n, int64_t vocab)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return ctx_fail(c, E_INPUT, "token %d (place %zu) is outside the model's vocabulary of %lld", ids[i], i,
                            (long long)vocab);
    return OK;
}

void token_spans_release(struct ctx *c, struct token_spans *spans)
{
    mem_free(c, spans->data);
    *spans = (struct token_spans){0};
}

/* In a folder tokenizer.json goes before tokenizer.model. */
static struct tokenizer *tokenizer_open_folder(struct ctx *c, const char *dir)
{
    struct tokenizer *t = NULL;
    char *json = path_join(c, dir, "tokenizer.json"), *proto = path_join(c, dir, "tokenizer.model");
    if (json && proto) {
        if (file_exists(json) || dir_exists(json))
            t = tokenizer_open_json(c, json);
        else if (file_exists(proto))
            t = tokenizer_open_proto(c, proto);
        else
            model_folder_refuse_tokenizer(c, dir);
    }
    mem_free(c, json);
    mem_free(c, proto);
    return t;
}

struct tokenizer *tokenizer_open(struct ctx *c, const char *model_path)
{
    if (dir_exists(model_path)) return tokenizer_open_folder(c, model_path);
    if (str_has_suffix(model_path, ".json")) return tokenizer_open_json(c, model_path);
    if (str_has_suffix(model_path, ".model")) return tokenizer_open_proto(c, model_path);
    struct gguf_set *g = gguf_set_open(c, model_path);
    if (!g) return NULL;
    struct tokenizer *t = tokenizer_open_gguf(c, gguf_set_part(g, 0));
    gguf_set_close(g);
    return t;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t) return;
    struct ctx *c = t->c;
    mem_free(c, t->name);
    mem_free(c, t->texts);
    mem_free(c, t->tokens);
    map_free(t->by_text);
    mem_free(c, t->added);
    mem_free(c, t->raw.nodes);
    mem_free(c, t->normalized.nodes);
    bpe_release(&t->bpe);
    pretokenizer_release(&t->pre);
    rewriter_release(c, &t->normal);
    rewriter_release(c, &t->pre_write);
    mem_free(c, t->merges);
    mem_free(c, t->chat_template);
    mem_free(c, t->tool_template);
    mem_free(c, t->told);
    mem_free(c, t);
}

/* One call of tokenizer_encode. */
struct encoder {
    struct ctx *c;
    const struct tokenizer *t;
    bool special;
    struct ids *out;
    struct token_spans *spans; /* NULL: not wanted */
    const char *text;          /* all of it */
    const uint8_t *outside;    /* bytes of the text that spell no special token; NULL: none */
    struct bpe_work work;
    struct rewriter_work normal, chunk; /* the section, and the part of it between added tokens, as they became */
    size_t section_at, chunk_at;        /* where they began: in the text, in the normalised section */
    struct pretokenizer_walk walk;
};

typedef enum status (*encode_fn)(struct encoder *e, const char *text, size_t n);

/* ---- places ---- */

/* Appends the place of a token, bytes [start, end) of the whole text. */
static enum status push_span(struct encoder *e, size_t start, size_t end)
{
    struct token_spans *s = e->spans;
    if (s->n == s->room) {
        size_t room = s->room < IDS_MIN ? IDS_MIN : s->room * 2;
        struct token_span *data = mem_resize(e->c, s->data, s->room, room, sizeof *data);
        if (!data) return e->c->status;
        s->data = data;
        s->room = room;
    }
    s->data[s->n++] = (struct token_span){start, end};
    return OK;
}

/* A place in the normalised section as one in the text; `at` may be its end. */
static size_t place_in_section(const struct encoder *e, size_t at)
{
    return e->section_at + (e->normal.origin ? e->normal.origin[at] : at);
}

/* The same for a place in what the pre-tokenizer made of a chunk. */
static size_t place_in_chunk(const struct encoder *e, size_t at)
{
    return place_in_section(e, e->chunk_at + (e->chunk.origin ? e->chunk.origin[at] : at));
}

/* How many bytes of a piece one of its tokens takes up. */
static size_t token_width(const struct encoder *e, int32_t id, const char *piece, size_t n)
{
    const struct bpe *b = &e->t->bpe;
    const struct token *k = &e->t->tokens[id];
    bool known = true;
    size_t width = bpe_unit(b, piece, n, &known);
    if (known || id != b->unknown_id) return e->t->by_char && !(k->flags & TOKEN_BYTE) ? k->n_text : k->n_bytes;
    while (b->fuse_unknown && width < n) {
        size_t more = bpe_unit(b, piece + width, n - width, &known);
        if (known) break;
        width += more;
    }
    return width;
}

/* Places of the ids from number `first` on, which a piece of the chunk became. Bytes that were left out lie between tokens.
 */
static enum status push_piece_spans(struct encoder *e, size_t first, size_t piece_at, const char *piece, size_t n)
{
    size_t at = 0;
    for (size_t i = first; i < e->out->n; i++) {
        bool known = false;
        while (e->t->bpe.unknown_id < 0 && at < n) {
            size_t lost = bpe_unit(&e->t->bpe, piece + at, n - at, &known);
            if (known) break;
            at += lost;
        }
        size_t width = at < n ? token_width(e, e->out->data[i], piece + at, n - at) : 0;
        if (width > n - at) width = n - at;
        TRY(push_span(e, place_in_chunk(e, piece_at + at), place_in_chunk(e, piece_at + at + width)));
        at += width;
    }
    return OK;
}

/* ---- encoding ---- */

/* Says once that the vocabulary lacks something of a text. Leaving it out is what the reference does. */
static void tell_left_out(struct encoder *e)
{
    unsigned byte = (uint8_t)*e->work.left_out;
    e->work.left_out = NULL;
    if (__atomic_exchange_n(e->t->told, true, __ATOMIC_RELAXED)) return;
    ctx_log(e->c, LOG_WARN,
            "%s: the vocabulary has no token for something of the text (it begins with byte 0x%02X), so it is left out, as "
            "the model's own tokenizer does; this is said once",
            e->t->name, byte);
}

/* The innermost steps: cut into pieces, merge each. */
static enum status encode_pieces(struct encoder *e, const char *text, size_t n)
{
    const char *piece;
    size_t bytes;
    pretokenizer_start(&e->walk, text, n);
    for (;;) {
        TRY(pretokenizer_next(e->c, &e->walk, &piece, &bytes));
        if (bytes == 0) return OK;
        size_t first = e->out->n;
        TRY(bpe_encode(e->c, &e->t->bpe, &e->work, piece, bytes, e->out));
        if (e->work.left_out) tell_left_out(e);
        if (e->spans) TRY(push_piece_spans(e, first, (size_t)(piece - text), piece, bytes));
    }
}

/* What lies between added tokens of the normalised section. */
static enum status encode_chunk(struct encoder *e, const char *text, size_t n)
{
    e->chunk_at = (size_t)(text - e->normal.text);
    TRY(rewriter_run(e->c, &e->t->pre_write, &e->chunk, text, n, e->section_at == 0 && e->chunk_at == 0));
    if (e->chunk.text != text) bpe_work_forget(&e->work);
    return encode_pieces(e, e->chunk.text, e->chunk.n);
}

/* A letter, digit or mark: what \w matches. */
static bool is_word(uint32_t cp)
{
    return unicode_class(cp) & UNICODE_WORD;
}

/* Whether all bytes that a match takes up in the text came from outside. */
static bool match_outside(const struct encoder *e, const struct added_match *m, bool raw)
{
    size_t start = raw ? m->start : place_in_section(e, m->start), end = raw ? m->end : place_in_section(e, m->end);
    return end > start && !memchr(e->outside + start, 0, end - start);
}

/* Whether a match stands, by the caller's wish for special tokens and the token's own. */
static bool match_stands(const struct encoder *e, const struct added_match *m, const char *text, size_t n, bool raw)
{
    if (tokenizer_is_special(e->t, m->added->id) && (!e->special || (e->outside && match_outside(e, m, raw)))) return false;
    if (!m->added->single_word) return true;
    if (m->start > 0 && is_word(unicode_last(text, m->start).cp)) return false;
    return m->end == n || !is_word(unicode_next(text + m->end, n - m->end).cp);
}

/* Widens a match over the white space that it swallows; `done` is where the text before is used up. */
static void match_strip(struct added_match *m, const char *text, size_t n, size_t done)
{
    while (m->added->lstrip && m->start > done) {
        struct unicode_unit u = unicode_last(text + done, m->start - done);
        if (!(unicode_class(u.cp) & UNICODE_SPACE)) break;
        m->start -= u.bytes;
    }
    while (m->added->rstrip && m->end < n) {
        struct unicode_unit u = unicode_next(text + m->end, n - m->end);
        if (!(unicode_class(u.cp) & UNICODE_SPACE)) break;
        m->end += u.bytes;
    }
}

/* An added token and, where places are wanted, its place in the text. */
static enum status push_added(struct encoder *e, const struct added_match *m, bool raw)
{
    TRY(ids_push(e->c, e->out, m->added->id));
    if (!e->spans) return OK;
    if (raw) return push_span(e, m->start, m->end);
    return push_span(e, place_in_section(e, m->start), place_in_section(e, m->end));
}

/* Pushes the added tokens of a trie and hands the text between them to `rest`. */
static enum status encode_between(struct encoder *e, const struct trie *trie, const char *text, size_t n, encode_fn rest)
{
    size_t done = 0, from = 0;
    struct added_match m;
    while (trie->n > 0 && tokenizer_added_find(e->t, trie, text, n, from, &m)) {
        from = m.end;
        if (!match_stands(e, &m, text, n, trie == &e->t->raw)) continue;
        match_strip(&m, text, n, done);
        if (m.start > done) TRY(rest(e, text + done, m.start - done));
        TRY(push_added(e, &m, trie == &e->t->raw));
        done = m.end;
    }
    return done < n ? rest(e, text + done, n - done) : OK;
}

/* What lies between added tokens of the text as it came. */
static enum status encode_section(struct encoder *e, const char *text, size_t n)
{
    e->section_at = (size_t)(text - e->text);
    TRY(rewriter_run(e->c, &e->t->normal, &e->normal, text, n, e->section_at == 0));
    if (e->normal.text != text) bpe_work_forget(&e->work);
    return encode_between(e, &e->t->normalized, e->normal.text, e->normal.n, encode_chunk);
}

/* The one function behind all forms of encoding. */
static enum status encode(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                          const uint8_t *outside, struct ids *out, struct token_spans *spans)
{
    if (n == 0) return OK;
    if (n > SIZE_MAX / 8 || ((spans || outside) && n >= UINT32_MAX))
        return ctx_fail(c, E_INPUT, "a text of %zu bytes is too long to tokenize", n);
    struct encoder e = {.c = c, .t = t, .special = special, .out = out, .spans = spans, .text = text, .outside = outside};
    bool places = spans || outside;
    rewriter_work_init(&e.normal, c, rewriter_cap(n), places);
    rewriter_work_init(&e.chunk, c, rewriter_cap(n), places);
    enum status st = bpe_work_init(c, &e.work, n);
    if (st == OK) st = pretokenizer_walk_init(c, &e.walk, &t->pre);
    if (st == OK) st = encode_between(&e, &t->raw, text, n, encode_section);
    pretokenizer_walk_release(c, &e.walk);
    bpe_work_release(c, &e.work);
    rewriter_work_release(c, &e.normal);
    rewriter_work_release(c, &e.chunk);
    return st;
}

enum status tokenizer_encode(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                             struct ids *out)
{
    return encode(c, t, text, n, special, NULL, out, NULL);
}

enum status tokenizer_encode_spans(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                                   struct ids *out, struct token_spans *spans)
{
    return encode(c, t, text, n, special, NULL, out, spans);
}

enum status tokenizer_encode_marked(struct ctx *c, const struct tokenizer *t, const char *text, size_t n,
                                    const uint8_t *outside, struct ids *out, struct token_spans *spans)
{
    return encode(c, t, text, n, true, outside, out, spans);
}

bool tokenizer_next_special(const struct tokenizer *t, const char *text, size_t n, size_t from, size_t *start, size_t *end,
                            int32_t *id)
{
    struct added_match m;
    for (; t->raw.n > 0 && tokenizer_added_find(t, &t->raw, text, n, from, &m); from = m.end) {
        if (!tokenizer_is_special(t, m.added->id)) continue;
        *start = m.start;
        *end = m.end;
        *id = m.added->id;
        return true;
    }
    return false;
}

int32_t tokenizer_find_spelled(const struct tokenizer *t, const char *text, size_t n, size_t *count)
{
    int32_t first = -1;
    struct added_match m;
    *count = 0;
    for (size_t from = 0; t->raw.n > 0 && tokenizer_added_find(t, &t->raw, text, n, from, &m); from = m.end) {
        if (!tokenizer_is_special(t, m.added->id)) continue;
        if (first < 0) first = m.added->id;
        ++*count;
    }
    return first;
}

/* ---- sequences ---- */

enum status tokenizer_begin(struct ctx *c, const struct tokenizer *t, struct ids *ids)
{
    BUG_ON(c, ids->n > 0, "a sequence is begun behind %zu tokens", ids->n);
    return tokenizer_adds_bos(t) ? ids_push(c, ids, t->bos) : OK;
}

enum status tokenizer_encode_text(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                                  struct ids *ids)
{
    TRY(tokenizer_begin(c, t, ids));
    bool begun = ids->n == 1;
    TRY(tokenizer_encode(c, t, text, n, special, ids));
    if (!begun || ids->n < 2 || ids->data[1] != t->bos) return OK;
    memmove(ids->data, ids->data + 1, --ids->n * sizeof *ids->data);
    return OK;
}

enum status tokenizer_close(struct ctx *c, const struct tokenizer *t, struct ids *ids)
{
    if (t->eos < 0 || (ids->n > 0 && ids->data[ids->n - 1] == t->eos)) return OK;
    return ids_push(c, ids, t->eos);
}

enum status tokenizer_check_ids(struct ctx *c, const struct tokenizer *t, const int32_t *ids, size_t n, int64_t rows)
{
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < rows && ids[i] >= 0) continue;
        const char *text = tokenizer_token(t, ids[i]);
        return ctx_fail(c, E_INPUT, "%s: token %d (\"%.80s\") is used, but the model has rows for %lld tokens only", t->name,
                        ids[i], text ? text : "", (long long)rows);
    }
    return OK;
}

/* ---- decoding and looking up ---- */

enum status tokenizer_decode(struct ctx *c, const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                             struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (!tokenizer_token(t, ids[i]))
            return ctx_fail(c, E_INPUT, "token id %d (number %zu) is not in the vocabulary of %s", ids[i], i, t->name);
        const struct token *k = &t->tokens[ids[i]];
        if (skip_special && (k->flags & TOKEN_SPECIAL)) continue;
        buf_append(out, k->bytes, k->n_bytes);
    }
    return buf_ok(out) ? OK : c->status;
}

enum status tokenizer_decode_text(struct ctx *c, const struct tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                                  struct buf *out)
{
    size_t before = out->len;
    TRY(tokenizer_decode(c, t, ids, n, skip_special, out));
    if (!t->drops_prefix || out->len == before || out->data[before] != ' ') return OK;
    memmove(out->data + before, out->data + before + 1, out->len - before);
    out->len--;
    return OK;
}

int64_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return t->n_tokens;
}

/* Flags of an id; 0 for one that is no token. */
static unsigned flags_of(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n_tokens ? t->tokens[id].flags : 0;
}

const char *tokenizer_token(const struct tokenizer *t, int32_t id)
{
    return flags_of(t, id) & TOKEN_PRESENT ? t->tokens[id].text : NULL;
}

int32_t tokenizer_find(const struct tokenizer *t, const char *token)
{
    int32_t id = tokenizer_vocab_find(t, token, strlen(token));
    return flags_of(t, id) & TOKEN_ADDED ? id : -1;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return flags_of(t, id) & TOKEN_SPECIAL;
}

bool tokenizer_is_added(const struct tokenizer *t, int32_t id)
{
    return flags_of(t, id) & TOKEN_ADDED;
}

bool tokenizer_has_pieces(const struct tokenizer *t)
{
    return t->by_char;
}

static bool has_prepend(const struct rewriter *r)
{
    int i = 0;
    while (i < r->n && r->steps[i].kind != REWRITE_PREPEND) i++;
    return i < r->n;
}

bool tokenizer_prepends_space(const struct tokenizer *t)
{
    return has_prepend(&t->normal) || has_prepend(&t->pre_write);
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->bos;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->eos;
}

bool tokenizer_is_stop(const struct tokenizer *t, int32_t id)
{
    return flags_of(t, id) & TOKEN_STOP;
}

bool tokenizer_adds_bos(const struct tokenizer *t)
{
    return t->adds_bos && t->bos >= 0;
}

bool tokenizer_adds_eos(const struct tokenizer *t)
{
    return t->adds_eos && t->eos >= 0;
}

const char *tokenizer_chat_template(const struct tokenizer *t)
{
    return t->chat_template;
}

const char *tokenizer_tool_template(const struct tokenizer *t)
{
    return t->tool_template;
}

const char *tokenizer_named(const struct tokenizer *t, enum tokenizer_name which)
{
    if (t->named[which] >= 0) return tokenizer_token(t, t->named[which]);
    /* a BOS that every document gets is the model's even where no file names it */
    return which == TOKENIZER_BOS && tokenizer_adds_bos(t) ? tokenizer_token(t, t->bos) : NULL;
}
