/* Encoding goes inwards: added tokens are cut out of the raw text, the rest is normalised, added tokens that are looked for
 * in normalised text are cut out of that, the rest is cut into pieces (pretokenizer.h), and each piece is merged (bpe.h).
 *
 * The rules for added tokens are those of Hugging Face's AddedVocabulary, special tokens as with its encode_special_tokens:
 * a special token that the caller does not want is still matched, so that the same text is looked at, but passed over.
 */
#include "io/tokenizer/tokenizer.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/gguf.h"
#include "io/tokenizer/tokenizer_internal.h"
#include "io/tokenizer/unicode.h"

enum { IDS_MIN = 64, NFC_GROWTH = 3 }; /* in UTF-8, NFC is never longer than 3 times its source (UAX 15) */

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

struct tokenizer *tokenizer_open(struct ctx *c, const char *model_path)
{
    struct tokenizer *t = NULL;
    if (dir_exists(model_path)) {
        char *path = path_join(c, model_path, "tokenizer.json");
        if (path) t = tokenizer_open_json(c, path);
        mem_free(c, path);
        return t;
    }
    size_t n = strlen(model_path);
    if (n > 5 && strcmp(model_path + n - 5, ".json") == 0) return tokenizer_open_json(c, model_path);
    struct gguf *g = gguf_open(c, model_path);
    if (!g) return NULL;
    t = tokenizer_open_gguf(c, g);
    gguf_close(g);
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
    mem_free(c, t->chat_template);
    mem_free(c, t);
}

struct encoder {
    struct ctx *c;
    const struct tokenizer *t;
    bool special;
    struct ids *out;
    struct bpe_work work;
    struct buf normal; /* the normalised section */
};

typedef enum status (*encode_fn)(struct encoder *e, const char *text, size_t n);

static enum status encode_pieces(struct encoder *e, const char *text, size_t n)
{
    struct pretokenizer_walk w;
    pretokenizer_start(&w, &e->t->pre, text, n);
    for (;;) {
        const char *piece = text + w.at;
        size_t bytes = pretokenizer_next(&w);
        if (bytes == 0) return OK;
        TRY(bpe_encode(e->c, &e->t->bpe, &e->work, piece, bytes, e->out));
    }
}

static bool is_word(uint32_t cp)
{
    return unicode_class(cp) & UNICODE_WORD;
}

/* Whether a match stands, by the caller's wish for special tokens and the token's own. */
static bool match_stands(const struct encoder *e, const struct added_match *m, const char *text, size_t n)
{
    if (!e->special && tokenizer_is_special(e->t, m->added->id)) return false;
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

/* Pushes the added tokens of a trie and hands the text between them to `rest`. */
static enum status encode_between(struct encoder *e, const struct trie *trie, const char *text, size_t n, encode_fn rest)
{
    size_t done = 0, from = 0;
    struct added_match m;
    while (trie->n > 0 && tokenizer_added_find(e->t, trie, text, n, from, &m)) {
        from = m.end;
        if (!match_stands(e, &m, text, n)) continue;
        match_strip(&m, text, n, done);
        if (m.start > done) TRY(rest(e, text + done, m.start - done));
        TRY(ids_push(e->c, e->out, m.added->id));
        done = m.end;
    }
    return done < n ? rest(e, text + done, n - done) : OK;
}

static enum status encode_section(struct encoder *e, const char *text, size_t n)
{
    if (e->t->nfc && !unicode_is_nfc_quick(text, n)) {
        buf_clear(&e->normal);
        bpe_work_forget(&e->work);
        TRY(unicode_nfc(e->c, text, n, &e->normal));
        text = buf_str(&e->normal);
        n = e->normal.len;
    }
    return encode_between(e, &e->t->normalized, text, n, encode_pieces);
}

enum status tokenizer_encode(struct ctx *c, const struct tokenizer *t, const char *text, size_t n, bool special,
                             struct ids *out)
{
    if (n == 0) return OK;
    if (n > SIZE_MAX / 8) return ctx_fail(c, E_INPUT, "a text of %zu bytes is too long to tokenize", n);
    struct encoder e = {.c = c, .t = t, .special = special, .out = out};
    buf_init(&e.normal, c, n * NFC_GROWTH);
    enum status st = bpe_work_init(c, &e.work, n);
    if (st == OK) st = encode_between(&e, &t->raw, text, n, encode_section);
    bpe_work_release(c, &e.work);
    buf_release(&e.normal);
    return st;
}

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

int64_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return t->n_tokens;
}

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

const char *tokenizer_chat_template(const struct tokenizer *t)
{
    return t->chat_template;
}
