/* tokenizer_proto: tokenizer.model of SentencePiece, a protobuf message ModelProto. Read are the pieces (text, score, type),
 * the kind of model, what is done to a text beforehand, and the ids of the special pieces; other fields, such as the
 * trainer's settings, do not change ids. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "io/tokenizer/tokenizer_internal.h"
#include "io/wire.h"

enum { PROTO_MAX_BYTES = 256 << 20, CONFIG_MAX_BYTES = 64 << 20, EXTRA_MAX = 4096 };
/* SentencePiece.Type */
enum { PIECE_NORMAL = 1, PIECE_UNKNOWN, PIECE_CONTROL, PIECE_USER, PIECE_UNUSED, PIECE_BYTE };

/* One entry of the vocabulary. */
struct proto_piece {
    const char *text;
    size_t n;
    float score;
    uint64_t type;
};

/* What a file says that matters. */
struct proto_model {
    struct proto_piece *pieces; /* owned */
    size_t n, room;
    uint64_t type; /* 1 unigram, 2 BPE, 3 word, 4 char */
    int64_t unk, bos, eos, pad;
    bool byte_fallback, suffix, prefix, remove_extra, escape;
    size_t charsmap; /* bytes of a precompiled normaliser */
    bool broken;
};

/* Message SentencePiece: 1 piece, 2 score, 3 type. */
static void read_piece(struct proto_model *m, struct wire_message bytes, struct proto_piece *out)
{
    struct wire_field f;
    *out = (struct proto_piece){.text = "", .type = PIECE_NORMAL};
    while (wire_next(&bytes, &f, &m->broken)) {
        if (f.number == 1 && f.kind == WIRE_BYTES) {
            out->text = (const char *)f.bytes.at;
            out->n = (size_t)(f.bytes.end - f.bytes.at);
        } else if (f.number == 2 && f.kind == WIRE_32) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&out->score, &bits, sizeof bits);
        } else if (f.number == 3 && f.kind == WIRE_VARINT) {
            out->type = f.value;
        }
    }
}

/* Appends a piece. */
static enum status add_piece(struct ctx *c, struct proto_model *m, struct wire_message bytes)
{
    if (m->n == m->room) {
        size_t room = m->room * 2 + 1024;
        struct proto_piece *pieces = mem_resize(c, m->pieces, m->room, room, sizeof *pieces);
        if (!pieces) return c->status;
        m->pieces = pieces;
        m->room = room;
    }
    read_piece(m, bytes, &m->pieces[m->n++]);
    return OK;
}

/* An int32 is written as the 64 bits of its sign extension. */
static int64_t signed_value(uint64_t value)
{
    return (int64_t)(int32_t)(uint32_t)value;
}

/* Message TrainerSpec: the numbers are those of sentencepiece_model.proto. */
static void read_trainer(struct proto_model *m, struct wire_message bytes)
{
    struct wire_field f;
    while (wire_next(&bytes, &f, &m->broken)) {
        if (f.kind != WIRE_VARINT) continue;
        if (f.number == 3) m->type = f.value;
        if (f.number == 24) m->suffix = f.value;
        if (f.number == 35) m->byte_fallback = f.value;
        if (f.number == 40) m->unk = signed_value(f.value);
        if (f.number == 41) m->bos = signed_value(f.value);
        if (f.number == 42) m->eos = signed_value(f.value);
        if (f.number == 43) m->pad = signed_value(f.value);
    }
}

/* Message NormalizerSpec: 2 precompiled_charsmap, 3 add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces. */
static void proto_read_normalizer(struct proto_model *m, struct wire_message bytes)
{
    struct wire_field f;
    while (wire_next(&bytes, &f, &m->broken)) {
        if (f.number == 2 && f.kind == WIRE_BYTES) m->charsmap = (size_t)(f.bytes.end - f.bytes.at);
        if (f.number == 3 && f.kind == WIRE_VARINT) m->prefix = f.value;
        if (f.number == 4 && f.kind == WIRE_VARINT) m->remove_extra = f.value;
        if (f.number == 5 && f.kind == WIRE_VARINT) m->escape = f.value;
    }
}

/* Message ModelProto: 1 pieces, 2 trainer_spec, 3 normalizer_spec. What is absent has the defaults of proto2. */
static enum status read_model(struct ctx *c, struct proto_model *m, const char *name, struct wire_message bytes)
{
    struct wire_field f;
    *m = (struct proto_model){
        .type = 1, .unk = 0, .bos = 1, .eos = 2, .pad = -1, .prefix = true, .remove_extra = true, .escape = true};
    while (wire_next(&bytes, &f, &m->broken)) {
        if (f.kind != WIRE_BYTES) continue;
        if (f.number == 1) TRY(add_piece(c, m, f.bytes));
        if (f.number == 2) read_trainer(m, f.bytes);
        if (f.number == 3) proto_read_normalizer(m, f.bytes);
    }
    if (m->broken || m->n == 0) return ctx_fail(c, E_INPUT, "%s: this is no SentencePiece model", name);
    return OK;
}

/* What would change ids and is not done here is refused by its name. */
static enum status proto_check_model(struct ctx *c, const struct tokenizer *t, const struct proto_model *m)
{
    static const char *const types[] = {"", "unigram", "BPE", "word", "char"};
    if (m->type != 2) return tokenizer_refuse(c, t, "SentencePiece model type", m->type < 5 ? types[m->type] : "?");
    if (m->charsmap > 0) return tokenizer_refuse(c, t, "SentencePiece normalizer", "precompiled_charsmap");
    if (m->remove_extra) return tokenizer_refuse(c, t, "SentencePiece normalizer", "remove_extra_whitespaces");
    if (!m->escape) return tokenizer_refuse(c, t, "SentencePiece normalizer", "escape_whitespaces: false");
    if (m->suffix) return tokenizer_refuse(c, t, "SentencePiece trainer", "treat_whitespace_as_suffix");
    return OK;
}

/* ---- added tokens beside the file ---- */

/* A token of added_tokens.json (text: id) or of tokenizer_config.json's added_tokens_decoder (id: what it is). */
struct extra {
    const char *text;
    int64_t id;
    struct added flags;
    bool special;
};
/* The added tokens of the files beside a tokenizer.model. */
struct extras {
    json_t *docs[2]; /* owned: the texts lie in them */
    struct extra list[EXTRA_MAX];
    size_t n;
};

/* A JSON file beside the model; NULL when it is not there, and on failure. */
static json_t *parse_beside(struct ctx *c, const char *dir, const char *name)
{
    char *path = path_join(c, dir, name);
    json_t *doc = path && file_exists(path) ? json_parse_file(c, path, CONFIG_MAX_BYTES) : NULL;
    mem_free(c, path);
    return doc;
}

/* Notes an added token unless an earlier file named it. */
static enum status push_extra(struct ctx *c, struct tokenizer *t, struct extras *x, const char *text, int64_t id,
                              const json_t *o)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->list[i].id == id || strcmp(x->list[i].text, text) == 0) return OK; /* the first file that says so */
    if (x->n == EXTRA_MAX || id < 0 || id > INT32_MAX)
        return ctx_fail(c, E_INPUT, "%s: added token \"%.80s\" with id %lld: too many, or a wrong id", t->name, text,
                        (long long)id);
    bool special = !o || json_is_true(json_object_get(o, "special"));
    x->list[x->n++] = (struct extra){text,
                                     id,
                                     {.id = (int32_t)id,
                                      .lstrip = json_is_true(json_object_get(o, "lstrip")),
                                      .rstrip = json_is_true(json_object_get(o, "rstrip")),
                                      .single_word = json_is_true(json_object_get(o, "single_word")),
                                      .normalized = false},
                                     special};
    return OK;
}

/* tokenizer_config.json first, then added_tokens.json. */
static enum status read_extras(struct ctx *c, struct tokenizer *t, const char *path, struct extras *x)
{
    const char *slash = strrchr(path, '/'), *key;
    char *dir = slash ? mem_strndup(c, path, (size_t)(slash - path) + (slash == path)) : mem_strdup(c, ".");
    json_t *v;
    if (!dir) return c->status;
    x->docs[0] = parse_beside(c, dir, "tokenizer_config.json");
    x->docs[1] = ctx_ok(c) ? parse_beside(c, dir, "added_tokens.json") : NULL;
    mem_free(c, dir);
    TRY(c->status);
    json_object_foreach(json_object_get(x->docs[0], "added_tokens_decoder"), key, v)
    {
        const char *text = json_string_value(json_object_get(v, "content"));
        char *end;
        long long id = strtoll(key, &end, 10);
        if (!text || *end || !*key)
            return ctx_fail(c, E_INPUT, "%s: added_tokens_decoder has a wrong entry \"%.80s\"", t->name, key);
        TRY(push_extra(c, t, x, text, id, v));
    }
    json_object_foreach(x->docs[1], key, v)
    {
        if (!json_is_integer(v))
            return ctx_fail(c, E_INPUT, "%s: added_tokens.json: the id of \"%.80s\" is not an integer", t->name, key);
        TRY(push_extra(c, t, x, key, json_integer_value(v), NULL));
    }
    return OK;
}

/* Adds one to the vocabulary, or marks the token that it repeats. */
static enum status add_extra(struct ctx *c, struct tokenizer *t, const struct extra *e)
{
    size_t n = strlen(e->text);
    int32_t known = tokenizer_vocab_find(t, e->text, n);
    if (known < 0) TRY(tokenizer_vocab_add(c, t, e->id, e->text, n, 0));
    if (known >= 0 && known != e->id)
        return ctx_fail(c, E_INPUT, "%s: added token \"%.80s\" has id %lld but is already token %d", t->name, e->text,
                        (long long)e->id, known);
    if (!(t->tokens[e->id].flags & TOKEN_ADDED)) tokenizer_added_add(t, &e->flags, e->special);
    return OK;
}

/* ---- the whole ---- */

/* Pieces that are recognised in text as a whole. */
static bool is_added(uint64_t type)
{
    return type == PIECE_UNKNOWN || type == PIECE_CONTROL || type == PIECE_USER;
}

/* Pieces have their index as id; tokens of the files beside it follow. */
static enum status fill_vocab(struct ctx *c, struct tokenizer *t, const struct proto_model *m, const struct extras *x)
{
    size_t bytes = 0, n_added = x->n;
    int64_t last = (int64_t)m->n - 1;
    for (size_t i = 0; i < m->n; i++) bytes += m->pieces[i].n;
    for (size_t i = 0; i < m->n; i++) n_added += is_added(m->pieces[i].type);
    for (size_t i = 0; i < x->n; i++) {
        bytes += strlen(x->list[i].text);
        if (x->list[i].id > last) last = x->list[i].id;
    }
    TRY(tokenizer_vocab_reserve(c, t, last, m->n + x->n, bytes));
    TRY(tokenizer_added_reserve(c, t, n_added));
    for (size_t i = 0; i < m->n; i++) {
        const struct proto_piece *p = &m->pieces[i];
        if (p->type < PIECE_NORMAL || p->type > PIECE_BYTE)
            return ctx_fail(c, E_INPUT, "%s: piece %zu has a wrong type", t->name, i);
        TRY(tokenizer_vocab_add(c, t, (int64_t)i, p->text, p->n, p->type == PIECE_UNUSED ? TOKEN_UNUSED : 0));
        if (is_added(p->type)) tokenizer_added_add(t, &(struct added){.id = (int32_t)i}, p->type != PIECE_USER);
    }
    for (size_t i = 0; i < x->n; i++) TRY(add_extra(c, t, &x->list[i]));
    return OK;
}

/* -1 in the file means that the model has no such token. */
static enum status set_ids(struct ctx *c, struct tokenizer *t, const struct proto_model *m)
{
    if (m->bos >= 0) TRY(tokenizer_vocab_set_id(c, t, "bos_id", m->bos, &t->bos));
    if (m->eos >= 0) TRY(tokenizer_vocab_set_id(c, t, "eos_id", m->eos, &t->eos));
    if (m->unk >= 0) TRY(tokenizer_vocab_set_id(c, t, "unk_id", m->unk, &t->bpe.unknown_id));
    t->adds_bos = true; /* as the models' own tokenizer class does; tokenizer_config.json may say otherwise */
    return OK;
}

/* The steps of tokenizer_internal.h in their order. */
static enum status proto_build(struct ctx *c, struct tokenizer *t, const struct proto_model *m, const struct extras *x)
{
    TRY(proto_check_model(c, t, m));
    t->by_char = true;
    t->bpe.byte_fallback = m->byte_fallback;
    t->bpe.fuse_unknown = true;
    TRY(tokenizer_escape_spaces(c, t, m->prefix, true));
    TRY(fill_vocab(c, t, m, x));
    TRY(set_ids(c, t, m));
    TRY(tokenizer_vocab_finish(c, t, false));
    float *scores = mem_alloc(c, (size_t)t->n_tokens, sizeof *scores);
    if (!scores) return c->status;
    for (size_t i = 0; i < m->n; i++) scores[i] = m->pieces[i].score;
    enum status st = tokenizer_scores_apply(c, t, scores);
    mem_free(c, scores);
    return st == OK ? tokenizer_added_finish(c, t) : st;
}

/* Reads the files and builds the tokenizer; the order of steps is that of tokenizer_internal.h. */
static enum status read_proto(struct ctx *c, struct tokenizer *t, const char *path)
{
    size_t n;
    struct proto_model m = {0};
    char *bytes = file_read(c, path, PROTO_MAX_BYTES, &n);
    struct extras *x = bytes ? mem_alloc(c, 1, sizeof *x) : NULL;
    if (x && read_model(c, &m, path, (struct wire_message){(const uint8_t *)bytes, (const uint8_t *)bytes + n}) == OK &&
        read_extras(c, t, path, x) == OK)
        proto_build(c, t, &m, x);
    if (x) {
        json_decref(x->docs[0]);
        json_decref(x->docs[1]);
    }
    mem_free(c, x);
    mem_free(c, m.pieces);
    mem_free(c, bytes);
    return c->status;
}

struct tokenizer *tokenizer_open_proto(struct ctx *c, const char *path)
{
    return tokenizer_open_with(c, path, read_proto);
}
