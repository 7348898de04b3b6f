/* tokenizer_internal: what the files tokenizer*.c share. Nobody else includes it.
 *
 * A tokenizer is built in three steps: tokenizer_vocab_reserve with the sizes that the file implies, one call of
 * tokenizer_vocab_add a token (then one of tokenizer_added_add an added token), and tokenizer_vocab_finish; the merges
 * follow.
 */
#ifndef YA_IO_TOKENIZER_INTERNAL_H
#define YA_IO_TOKENIZER_INTERNAL_H

#include "base/map.h"
#include "io/tokenizer/bpe.h"
#include "io/json.h"
#include "io/tokenizer/pretokenizer.h"
#include "io/tokenizer/rewriter.h"
#include "io/tokenizer/tokenizer.h"

/* U+2581, which stands for a space where tokens are spelled in characters (SentencePiece). */
#define TOKENIZER_SPACE "\xE2\x96\x81"

enum {
    TOKEN_PRESENT = 1,
    TOKEN_ADDED = 2,   /* recognised in text as a whole */
    TOKEN_SPECIAL = 4, /* ... but only when the caller asks for special tokens; left out by skip_special */
    TOKEN_STOP = 8,    /* ends a generation */
    TOKEN_UNUSED = 16, /* a placeholder of a GGUF file: has a text, is never produced */
    TOKEN_BYTE = 32    /* stands for one byte by its spelling, "<0x0A>" */
};

struct token {
    const char *text;  /* as stored, NUL-terminated; in tokenizer.texts */
    const char *bytes; /* what it stands for; in tokenizer.texts */
    uint32_t n_text, n_bytes;
    uint8_t flags;
};

/* A token that is found in text before anything else is done to it. The flags are Hugging Face's. */
struct added {
    int32_t id;
    bool lstrip, rstrip; /* swallows white space to its left, right */
    bool single_word;    /* only where no word character stands beside it */
    bool normalized;     /* looked for in the normalised text, after those that are not */
};

struct trie_node {
    uint32_t child, sibling; /* 0: none */
    int32_t added;           /* index of the added token that ends here; -1: none */
    uint8_t byte;
};
struct trie {
    struct trie_node *nodes; /* owned; nodes[0] is not used */
    size_t n, room;
    uint32_t root[256]; /* the first byte's node; 0: none */
};

struct tokenizer {
    struct ctx *c; /* the ctx it was made with: used only to free it */
    char *name;    /* owned: where it came from, for messages */
    char *texts;   /* owned: all texts and bytes of tokens */
    size_t texts_used, texts_room;
    struct token *tokens; /* owned: by id */
    int64_t n_tokens;     /* largest id + 1 */
    struct map *by_text;  /* stored text -> id */
    struct added *added;  /* owned */
    size_t n_added;
    struct trie raw, normalized; /* added tokens looked for before and after the normaliser */
    struct bpe bpe;
    struct rewriter normal;    /* before added tokens of normalised text are looked for */
    struct rewriter pre_write; /* behind that */
    struct pretokenizer pre;
    bool by_char;      /* SentencePiece: tokens are spelled in characters, a space as U+2581 */
    bool drops_prefix; /* decoding a whole text leaves out a space at its start */
    bool adds_bos, adds_eos;
    int32_t bos, eos;
    struct {
        int32_t left, right;
    } * merges; /* owned: those made out of scores, in order; NULL otherwise */
    size_t n_merges;
    char *chat_template; /* owned; NULL: none */
    char *tool_template; /* owned: for conversations with tools; NULL: the same */
    int32_t named[4];    /* by enum tokenizer_name; -1: the model does not name one */
    bool *told;          /* owned: that something of a text was left out was said */
};

/* Everything empty. `name` is copied. */
struct tokenizer *tokenizer_vocab_new(struct ctx *c, const char *name);
/* Allocates for ids up to max_id in n_tokens tokens whose texts have text_bytes together. Ids far above the number of tokens
 * are refused (E_INPUT), so that a small file cannot ask for much memory. */
enum status tokenizer_vocab_reserve(struct ctx *c, struct tokenizer *t, int64_t max_id, size_t n_tokens, size_t text_bytes);
/* Adds a token; its id and its text must be new. */
enum status tokenizer_vocab_add(struct ctx *c, struct tokenizer *t, int64_t id, const char *text, size_t n, unsigned flags);
/* Id of a token's stored text, or -1. */
int32_t tokenizer_vocab_find(const struct tokenizer *t, const char *text, size_t n);
/* Works out the bytes of every token and the tokens of single bytes. With `whole`, pieces that are tokens are not merged. */
enum status tokenizer_vocab_finish(struct ctx *c, struct tokenizer *t, bool whole);
/* Appends a merge given by the texts of its two halves; `index` is for messages. */
enum status tokenizer_vocab_merge(struct ctx *c, struct tokenizer *t, size_t index, const char *left, size_t n_left,
                                  const char *right, size_t n_right);
/* The same for one string "left right". */
enum status tokenizer_vocab_merge_line(struct ctx *c, struct tokenizer *t, size_t index, const char *line, size_t n);
/* Turns the scores (by id) of SentencePiece's pieces into the list of merges; after tokenizer_vocab_finish. Pieces that are
 * neither added tokens nor bytes nor unused take part. */
enum status tokenizer_scores_apply(struct ctx *c, struct tokenizer *t, const float *scores);
/* What SentencePiece does to a text: a space in front (with `prefix`: of every section between added tokens, or with `first`
 * of the whole text only), U+2581 for every space. */
enum status tokenizer_escape_spaces(struct ctx *c, struct tokenizer *t, bool prefix, bool first);
/* The "type" of an object of a tokenizer.json, "" when it has none; a member that is true or false, `absent` otherwise. */
const char *tokenizer_member_type(const json_t *o);
bool tokenizer_member_true(const json_t *o, const char *key, bool absent);
/* normalizer, pre_tokenizer and decoder of a tokenizer.json. */
enum status tokenizer_text_read(struct ctx *c, struct tokenizer *t, const json_t *doc);
/* E_UNSUPPORTED: field "value". */
enum status tokenizer_refuse(struct ctx *c, const struct tokenizer *t, const char *field, const char *value);
/* Fills an empty tokenizer from the file at `path`: vocabulary, merges, normaliser. */
typedef enum status (*tokenizer_read_fn)(struct ctx *c, struct tokenizer *t, const char *path);
/* Opens `path` by `read`, then reads what lies beside it and marks the stops. Owner of the result: the caller
 * (tokenizer_free). NULL with the errors of `read` and of tokenizer_config_read. */
struct tokenizer *tokenizer_open_with(struct ctx *c, const char *path, tokenizer_read_fn read);

/* Marks the special tokens with well-known names that end a turn or a text as stops. */
void tokenizer_vocab_mark_stops(struct tokenizer *t);
/* Sets bos or eos after checking the range; `field` is for the message. */
enum status tokenizer_vocab_set_id(struct ctx *c, struct tokenizer *t, const char *field, int64_t id, int32_t *out);

/* Declares a token that tokenizer_vocab_add took as an added one. tokenizer_added_reserve has allocated for all of them. */
enum status tokenizer_added_reserve(struct ctx *c, struct tokenizer *t, size_t n);
void tokenizer_added_add(struct tokenizer *t, const struct added *a, bool special);
/* Builds the two tries; after tokenizer_vocab_finish. */
enum status tokenizer_added_finish(struct ctx *c, struct tokenizer *t);

/* The leftmost, then longest, added token in text[from, n); false when there is none. */
struct added_match {
    const struct added *added;
    size_t start, end;
};
bool tokenizer_added_find(const struct tokenizer *t, const struct trie *trie, const char *text, size_t n, size_t from,
                          struct added_match *out);

/* Reads what lies beside a tokenizer.json in `dir`: BOS, EOS, stops, chat template. Files that are not there are passed
 * over. E_INPUT for a special token that is none or an id out of range, and the errors of json_parse_file. */
enum status tokenizer_config_read(struct ctx *c, struct tokenizer *t, const char *dir);

#endif
