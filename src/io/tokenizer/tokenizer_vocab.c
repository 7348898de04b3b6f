/* tokenizer_vocab: the table of tokens. Texts are stored in GPT-2's byte-level alphabet, where each byte is one printable
 * character, or, for SentencePiece, in characters with U+2581 for a space; here they are turned back into bytes once, so
 * that encoding and decoding only copy. Texts and bytes of all tokens lie in one block whose size is known beforehand,
 * because map keys point into it.
 */
#include <string.h>

#include "base/checked.h"
#include "base/mem.h"
#include "io/tokenizer/tokenizer_internal.h"
#include "io/tokenizer/unicode.h"

/* Ids may have holes, but not so many that the table outgrows the file that asked for it. */
enum { HOLES_PER_TOKEN = 3, HOLES_FREE = 65536 };

struct tokenizer *tokenizer_vocab_new(struct ctx *c, const char *name)
{
    struct tokenizer *t = mem_alloc(c, 1, sizeof *t);
    if (!t) return NULL;
    t->c = c;
    t->bos = t->eos = -1;
    for (int i = 0; i < 4; i++) t->named[i] = -1;
    t->name = mem_strdup(c, name);
    t->told = mem_alloc(c, 1, sizeof *t->told);
    if (t->name && t->told && bpe_init(c, &t->bpe, 0) == OK) return t;
    tokenizer_free(t);
    return NULL;
}

enum status tokenizer_vocab_reserve(struct ctx *c, struct tokenizer *t, int64_t max_id, size_t n_tokens, size_t text_bytes)
{
    if (n_tokens == 0) return ctx_fail(c, E_INPUT, "%s: the vocabulary is empty", t->name);
    if (n_tokens > INT32_MAX / 8) return ctx_fail(c, E_INPUT, "%s: %zu tokens are too many", t->name, n_tokens);
    int64_t most = (int64_t)n_tokens * (1 + HOLES_PER_TOKEN) + HOLES_FREE;
    if (max_id >= most)
        return ctx_fail(c, E_INPUT, "%s: token id %lld is too large for a vocabulary of %zu tokens", t->name,
                        (long long)max_id, n_tokens);
    size_t room; /* text, its NUL, and bytes, which are never longer than the text */
    if (!checked_mul(text_bytes, 2, &room) || !checked_add(room, n_tokens, &room))
        return ctx_fail(c, E_INPUT, "%s: token texts of %zu bytes are too large", t->name, text_bytes);
    t->n_tokens = max_id + 1;
    t->tokens = mem_alloc(c, (size_t)t->n_tokens, sizeof *t->tokens);
    t->texts = mem_alloc(c, room, 1);
    t->texts_room = room;
    t->by_text = map_new(c, n_tokens);
    return t->tokens && t->texts && t->by_text ? OK : c->status;
}

/* The next n bytes of the block that holds all texts. */
static char *texts_take(struct tokenizer *t, size_t n)
{
    BUG_ON(t->c, n > t->texts_room - t->texts_used, "token texts outgrow %zu bytes", t->texts_room);
    char *p = t->texts + t->texts_used;
    t->texts_used += n;
    return p;
}

enum status tokenizer_vocab_add(struct ctx *c, struct tokenizer *t, int64_t id, const char *text, size_t n, unsigned flags)
{
    int shown = n < 80 ? (int)n : 80;
    BUG_ON(c, id < 0 || id >= t->n_tokens, "token id %lld past the reserved %lld", (long long)id, (long long)t->n_tokens);
    if (n > INT32_MAX || memchr(text, 0, n))
        return ctx_fail(c, E_INPUT, "%s: token %lld has a NUL byte or is too long", t->name, (long long)id);
    struct token *k = &t->tokens[id];
    if (k->flags & TOKEN_PRESENT)
        return ctx_fail(c, E_INPUT, "%s: token id %lld is given to both \"%.80s\" and \"%.*s\"", t->name, (long long)id,
                        k->text, shown, text);
    char *copy = texts_take(t, n + 1);
    memcpy(copy, text, n);
    copy[n] = '\0';
    bool was_there;
    TRY(map_put(t->by_text, copy, n, (uint64_t)id, &was_there));
    if (was_there) return ctx_fail(c, E_INPUT, "%s: two tokens are spelled \"%.*s\"", t->name, shown, text);
    *k = (struct token){.text = copy, .n_text = (uint32_t)n, .flags = (uint8_t)(flags | TOKEN_PRESENT)};
    return OK;
}

int32_t tokenizer_vocab_find(const struct tokenizer *t, const char *text, size_t n)
{
    uint64_t id;
    return map_get(t->by_text, text, n, &id) ? (int32_t)id : -1;
}

/* GPT-2's alphabet: printable Latin-1 characters stand for themselves, the other 68 bytes for U+0100 to U+0143 in order. */
static bool is_plain_byte(unsigned b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

/* alphabet[cp]: byte of the character, or -1. */
enum { ALPHABET = 0x144 };
/* The alphabet, by its characters. */
static void alphabet_init(int16_t alphabet[ALPHABET])
{
    unsigned next = 0x100;
    for (unsigned cp = 0; cp < ALPHABET; cp++) alphabet[cp] = -1;
    for (unsigned b = 0; b < 256; b++) alphabet[is_plain_byte(b) ? b : next++] = (int16_t)b;
}

/* Writes the bytes of a text in the alphabet and returns their number; 0 when a character is outside of it. */
static size_t alphabet_decode(const int16_t alphabet[ALPHABET], const char *text, size_t n, char *bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < n;) {
        struct unicode_unit u = unicode_next(text + i, n - i);
        if (u.cp >= ALPHABET || alphabet[u.cp] < 0) return 0;
        bytes[count++] = (char)alphabet[u.cp];
        i += u.bytes;
    }
    return count;
}

/* The byte that "<0x0A>" spells, or -1. */
static int spelled_byte(const char *text, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    if (n != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    const char *high = strchr(digits, text[3]), *low = strchr(digits, text[4]);
    return high && low && text[3] && text[4] ? (int)(16 * (high - digits) + (low - digits)) : -1;
}

/* Writes a text with spaces for U+2581 and returns its length. */
static size_t unescape_spaces(const char *text, size_t n, char *bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < n;) {
        bool space = n - i >= 3 && memcmp(text + i, TOKENIZER_SPACE, 3) == 0;
        bytes[count++] = space ? ' ' : text[i];
        i += space ? 3 : 1;
    }
    return count;
}

/* Fills in the bytes of a token that is spelled in characters, and files it under what it begins as. */
static enum status finish_by_char(struct tokenizer *t, struct token *k, int32_t id)
{
    int byte = t->bpe.byte_fallback && !(k->flags & TOKEN_ADDED) ? spelled_byte(k->text, k->n_text) : -1;
    char *bytes = texts_take(t, k->n_text);
    k->n_bytes = (uint32_t)unescape_spaces(k->text, k->n_text, bytes);
    k->bytes = bytes;
    if (byte >= 0) {
        bytes[0] = (char)byte;
        k->n_bytes = 1;
        k->flags |= TOKEN_BYTE;
        t->bpe.byte_id[byte] = id;
    }
    if ((k->flags & (TOKEN_UNUSED | TOKEN_ADDED)) || k->n_text == 0) return OK;
    if (t->bpe.whole) TRY(map_put(t->bpe.whole, k->text, k->n_text, (uint64_t)id, NULL));
    struct unicode_unit u = unicode_next(k->text, k->n_text);
    if (u.bytes < k->n_text || u.cp == UNICODE_INVALID) return OK;
    return map64_put(t->bpe.chars, u.cp, (uint64_t)id, NULL);
}

/* The same for the byte-level alphabet. Added tokens, and texts outside the alphabet, stand for themselves. */
static enum status finish_by_byte(struct tokenizer *t, struct token *k, int32_t id, const int16_t alphabet[ALPHABET])
{
    k->bytes = k->text;
    k->n_bytes = k->n_text;
    if (k->flags & TOKEN_ADDED) return OK;
    char *bytes = texts_take(t, k->n_text);
    size_t n = alphabet_decode(alphabet, k->text, k->n_text, bytes);
    if (n == 0) return OK;
    k->bytes = bytes;
    k->n_bytes = (uint32_t)n;
    if (k->flags & TOKEN_UNUSED) return OK;
    if (n == 1) t->bpe.byte_id[(uint8_t)bytes[0]] = id;
    return t->bpe.whole ? map_put(t->bpe.whole, bytes, n, (uint64_t)id, NULL) : OK;
}

/* Says what a vocabulary without tokens for some bytes means. */
static enum status check_bytes(struct ctx *c, const struct tokenizer *t)
{
    int missing = 0;
    for (int i = 0; i < 256; i++) missing += t->bpe.byte_id[i] < 0;
    if (t->by_char) {
        if (map64_count(t->bpe.chars) == 0)
            return ctx_fail(c, E_INPUT, "%s: no token stands for a single character", t->name);
        return OK;
    }
    if (missing == 256) return ctx_fail(c, E_INPUT, "%s: no token of the vocabulary stands for a byte", t->name);
    if (missing > 0 && t->bpe.byte_fallback)
        return tokenizer_refuse(c, t, "model", "byte_fallback with a ByteLevel pre_tokenizer");
    if (missing > 0 && t->bpe.unknown_id < 0)
        ctx_log(c, LOG_DEBUG, "%s: %d of the 256 bytes have no token; texts lose them, as in the reference", t->name,
                missing);
    return OK;
}

enum status tokenizer_vocab_finish(struct ctx *c, struct tokenizer *t, bool whole)
{
    int16_t alphabet[ALPHABET];
    alphabet_init(alphabet);
    if (whole) t->bpe.whole = map_new(c, map_count(t->by_text));
    if (t->by_char) t->bpe.chars = map64_new(c, 0);
    if (!ctx_ok(c)) return c->status;
    for (int64_t id = 0; id < t->n_tokens; id++) {
        struct token *k = &t->tokens[id];
        if (!(k->flags & TOKEN_PRESENT)) continue;
        TRY(t->by_char ? finish_by_char(t, k, (int32_t)id) : finish_by_byte(t, k, (int32_t)id, alphabet));
    }
    return check_bytes(c, t);
}

/* The id of one half of a merge. */
static enum status merge_half(struct ctx *c, struct tokenizer *t, size_t index, const char *text, size_t n, int32_t *id)
{
    *id = tokenizer_vocab_find(t, text, n);
    if (*id >= 0) return OK;
    return ctx_fail(c, E_INPUT, "%s: merge %zu makes or takes \"%.*s\", which is not in the vocabulary", t->name, index,
                    n < 80 ? (int)n : 80, text);
}

enum status tokenizer_vocab_merge(struct ctx *c, struct tokenizer *t, size_t index, const char *left, size_t n_left,
                                  const char *right, size_t n_right)
{
    int32_t ids[3];
    char small[256];
    TRY(merge_half(c, t, index, left, n_left, &ids[0]));
    TRY(merge_half(c, t, index, right, n_right, &ids[1]));
    /* Both halves are tokens, so their lengths are bounded by the file. */
    size_t n = n_left + n_right;
    char *joined = n <= sizeof small ? small : mem_alloc(c, n, 1);
    if (!joined) return c->status;
    memcpy(joined, left, n_left);
    memcpy(joined + n_left, right, n_right);
    enum status st = merge_half(c, t, index, joined, n, &ids[2]);
    if (joined != small) mem_free(c, joined);
    if (st != OK) return st;
    return bpe_add_merge(&t->bpe, ids[0], ids[1], ids[2]);
}

enum status tokenizer_vocab_merge_line(struct ctx *c, struct tokenizer *t, size_t index, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    size_t n_left = space ? (size_t)(space - line) : 0;
    if (!space || memchr(space + 1, ' ', n - n_left - 1))
        return ctx_fail(c, E_INPUT, "%s: merge %zu, \"%.*s\", is not two tokens with a space between them", t->name, index,
                        n < 80 ? (int)n : 80, line);
    return tokenizer_vocab_merge(c, t, index, line, n_left, space + 1, n - n_left - 1);
}

enum status tokenizer_refuse(struct ctx *c, const struct tokenizer *t, const char *field, const char *value)
{
    return ctx_fail(c, E_UNSUPPORTED,
                    "%s: %s \"%.200s\" is not supported (this program reads byte-level BPE and BPE with byte fallback)",
                    t->name, field, value);
}

void tokenizer_vocab_mark_stops(struct tokenizer *t)
{
    static const char *const names[] = {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|endoftext|>", "<|end_of_text|>"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        int32_t id = tokenizer_find(t, names[i]);
        if (id >= 0 && tokenizer_is_special(t, id)) t->tokens[id].flags |= TOKEN_STOP;
    }
    if (t->eos >= 0) t->tokens[t->eos].flags |= TOKEN_STOP;
}

enum status tokenizer_vocab_set_id(struct ctx *c, struct tokenizer *t, const char *field, int64_t id, int32_t *out)
{
    if (id < 0 || id >= t->n_tokens || !(t->tokens[id].flags & TOKEN_PRESENT))
        return ctx_fail(c, E_INPUT, "%s: %s is %lld, which is not a token (the vocabulary ends at %lld)", t->name, field,
                        (long long)id, (long long)t->n_tokens - 1);
    *out = (int32_t)id;
    return OK;
}
