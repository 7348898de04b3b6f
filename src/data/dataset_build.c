/* dataset_build: one pass over the rows; tokens go to the file as they come, the document table follows at the end. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "data/dataset_layout.h"

struct builder {
    struct ctx *c;
    const struct tokenizer *t;
    struct dataset_options options;
    struct records *rows;
    enum chat_template chat;

    struct ids ids; /* of the current row, and which of them are trained */
    struct buf trained;

    struct file_writer *out;
    struct sha256 sha;
    int64_t at; /* bytes written */

    struct dataset_document *documents;
    size_t room;
    struct dataset_counts counts;
    int64_t spelled_rows; /* rows whose plain text spells special tokens out */
    int64_t spelled_row;  /* the first of them, and its file and first such token */
    uint32_t spelled_file;
    int32_t spelled_token;
};

struct dataset_options dataset_options_default(const char *const *paths, size_t n_paths)
{
    return (struct dataset_options){.paths = paths,
                                    .n_paths = n_paths,
                                    .max_length = 2048,
                                    .long_documents = LONG_SPLIT,
                                    .default_auth_weight = NAN,
                                    .default_prov_entropy = NAN,
                                    .chat = CHAT_NONE};
}

static enum status check_options(struct ctx *c, const struct dataset_options *o)
{
    double w = o->default_auth_weight, h = o->default_prov_entropy;
    if (o->n_paths < 1 || o->n_paths > DATASET_FILES_MAX)
        return ctx_fail(c, E_INPUT, "%zu data files: want 1 to %d", o->n_paths, DATASET_FILES_MAX);
    if (o->max_length < 2 || o->max_length > DATASET_LENGTH_MAX)
        return ctx_fail(c, E_INPUT, "maximal length %lld: want 2 to %d tokens", (long long)o->max_length,
                        DATASET_LENGTH_MAX);
    if (!isnan(w) && !(w >= 0 && w <= 0.99)) return ctx_fail(c, E_INPUT, "default auth_weight %g: want 0 to 0.99", w);
    if (!isnan(h) && !(h >= 0 && isfinite(h))) return ctx_fail(c, E_INPUT, "default prov_entropy %g: want 0 or more", h);
    return OK;
}

/* ---- the file ---- */

static void put(struct builder *b, const void *bytes, size_t n)
{
    sha256_update(&b->sha, bytes, n);
    file_writer_write(b->out, bytes, n);
    b->at += (int64_t)n;
}

static void pad_to(struct builder *b, int64_t multiple)
{
    static const char zeros[8];
    put(b, zeros, (size_t)((multiple - b->at % multiple) % multiple));
}

static struct dataset_document *new_document(struct builder *b)
{
    size_t n = (size_t)b->counts.documents;
    if (n == b->room) {
        size_t room = n ? n + n / 2 : 64;
        struct dataset_document *moved = mem_resize(b->c, b->documents, n, room, sizeof *moved);
        if (!moved) return NULL;
        b->documents = moved;
        b->room = room;
    }
    b->counts.documents++;
    return &b->documents[n];
}

static int64_t sum(const char *trained, int64_t n)
{
    int64_t s = 0;
    for (int64_t i = 0; i < n; i++) s += trained[i];
    return s;
}

/* Writes tokens [first, first + n) of the row as a document, unless none of them is trained. `own` of them have not been in
 * the document before. */
static enum status put_document(struct builder *b, const struct record *row, int64_t first, int64_t n, int64_t own)
{
    const int32_t *tokens = b->ids.data + first;
    char *trained = b->trained.data + first;
    trained[0] = 0; /* nothing comes before it: not a target */
    int64_t n_trained = sum(trained, n);
    if (n_trained == 0) {
        b->counts.left_out_tokens += own;
        return OK;
    }
    struct dataset_document *d = new_document(b);
    if (!d) return b->c->status;
    *d = (struct dataset_document){.first = b->at,
                                   .row = row->row,
                                   .file = row->file,
                                   .n = (int32_t)n,
                                   .n_trained = (int32_t)n_trained,
                                   .auth_weight = row->auth_weight,
                                   .prov_entropy = row->prov_entropy,
                                   .loss_weight = row->loss_weight};
    put(b, tokens, (size_t)n * sizeof *tokens);
    put(b, trained, (size_t)n);
    pad_to(b, 4);
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] > b->counts.max_token) b->counts.max_token = tokens[i];
    b->counts.tokens += n;
    b->counts.trained += n_trained;
    b->counts.masked += n - n_trained;
    return b->c->status;
}

/* ---- a row's tokens ---- */

static enum status add_id(struct builder *b, int32_t id, bool trained)
{
    TRY(ids_push(b->c, &b->ids, id));
    buf_append_char(&b->trained, trained);
    return b->c->status;
}

static enum status add_text(struct builder *b, const char *text, size_t n, bool trained)
{
    TRY(tokenizer_encode(b->c, b->t, text, n, false, &b->ids));
    char run[256];
    memset(run, trained, sizeof run);
    while (ctx_ok(b->c) && b->trained.len < b->ids.n) {
        size_t left = b->ids.n - b->trained.len;
        buf_append(&b->trained, run, left < sizeof run ? left : sizeof run);
    }
    return b->c->status;
}

/* What can fail here is the model's template, not the row; the message still says which row asked for it. */
static enum status render_messages(struct builder *b, const struct record *row)
{
    if (b->chat == CHAT_NONE) b->chat = chat_template_detect(b->c, b->t);
    if (b->chat != CHAT_NONE)
        chat_template_render(b->c, b->chat, b->t, row->messages, row->n_messages, false, &b->ids, &b->trained);
    ctx_prefix(b->c, "%s:%lld", b->options.paths[row->file], (long long)row->row);
    return b->c->status;
}

/* Remembers rows whose plain text spells special tokens: a template was rendered into them, most likely by mistake. */
static void note_spelled(struct builder *b, const struct record *row)
{
    size_t in_prompt = 0, in_text = 0;
    int32_t token =
        row->kind == RECORD_COMPLETION ? tokenizer_find_spelled(b->t, row->prompt, row->prompt_bytes, &in_prompt) : -1;
    int32_t second = tokenizer_find_spelled(b->t, row->text, row->text_bytes, &in_text);
    if (in_prompt + in_text == 0 || b->spelled_rows++ > 0) return;
    b->spelled_row = row->row;
    b->spelled_file = (uint32_t)row->file;
    b->spelled_token = token >= 0 ? token : second;
}

static void warn_spelled(const struct builder *b)
{
    if (b->spelled_rows == 0) return;
    ctx_log(
        b->c, LOG_WARN,
        "%s:%lld: the text spells the control token %s, which is trained as plain characters and not as the token it names "
        "(%lld rows like it). Give conversations as \"messages\" instead",
        b->options.paths[b->spelled_file], (long long)b->spelled_row, tokenizer_token(b->t, b->spelled_token),
        (long long)b->spelled_rows);
}

static enum status render(struct builder *b, const struct record *row)
{
    if (row->kind == RECORD_MESSAGES) return render_messages(b, row);
    note_spelled(b, row);
    if (tokenizer_adds_bos(b->t)) TRY(add_id(b, tokenizer_bos(b->t), false));
    if (row->kind == RECORD_COMPLETION) TRY(add_text(b, row->prompt, row->prompt_bytes, false));
    TRY(add_text(b, row->text, row->text_bytes, true));
    return tokenizer_eos(b->t) < 0 ? OK : add_id(b, tokenizer_eos(b->t), true);
}

/* True when BOS would stand twice: as ids, or because the row's text spells it out. As text it would be encoded as plain
 * characters and trained on, which nobody wants either. */
static bool doubles_bos(const struct builder *b, const struct record *row)
{
    int32_t bos = tokenizer_bos(b->t);
    if (bos < 0) return false;
    if (b->ids.n >= 2 && b->ids.data[0] == bos && b->ids.data[1] == bos) return true;
    const char *start = row->kind == RECORD_COMPLETION && row->prompt_bytes > 0 ? row->prompt : row->text;
    size_t n = start == row->text ? row->text_bytes : row->prompt_bytes;
    const char *spelling = tokenizer_token(b->t, bos);
    if (row->kind == RECORD_MESSAGES || !tokenizer_adds_bos(b->t) || !spelling) return false;
    return strlen(spelling) <= n && memcmp(start, spelling, strlen(spelling)) == 0;
}

/* ---- a row's documents ---- */

static enum status put_split(struct builder *b, const struct record *row, int64_t n)
{
    b->counts.split_rows++;
    for (int64_t first = 0; first + 1 < n; first += b->options.max_length - 1) {
        int64_t left = n - first, take = left < b->options.max_length ? left : b->options.max_length;
        TRY(put_document(b, row, first, take, first == 0 ? take : take - 1));
    }
    return OK;
}

static enum status put_row(struct builder *b, struct record *row)
{
    int64_t n = (int64_t)b->ids.n, longest = b->options.max_length;
    bool truncate = n > longest && b->options.long_documents == LONG_TRUNCATE;
    int64_t kept = truncate ? longest : n;
    if (doubles_bos(b, row)) return records_reject(b->rows, FAULT_BOS, "begins with BOS, which is added to every row");
    if (kept < 2 || sum(b->trained.data + 1, kept - 1) == 0)
        return records_reject(b->rows, FAULT_UNTRAINED, "none of its first %lld tokens (of %lld) is trained",
                              (long long)kept, (long long)n);
    if (!isnan(row->auth_weight) && !isnan(row->prov_entropy)) b->counts.scored_rows++;
    if (isnan(row->auth_weight)) row->auth_weight = b->options.default_auth_weight;
    if (isnan(row->prov_entropy)) row->prov_entropy = b->options.default_prov_entropy;
    if (kept > longest) return put_split(b, row, n);
    if (truncate) b->counts.truncated_rows++;
    b->counts.left_out_tokens += n - kept;
    return put_document(b, row, 0, kept, kept);
}

static enum status add_row(struct builder *b, struct record *row)
{
    if (row->loss_weight == 0) {
        b->counts.unweighted_rows++;
        return OK;
    }
    b->ids.n = 0;
    buf_clear(&b->trained);
    TRY(render(b, row));
    return put_row(b, row);
}

/* ---- the whole ---- */

static void put_files(struct builder *b)
{
    pad_to(b, 8);
    for (size_t i = 0; i < b->options.n_paths; i++) {
        struct dataset_file_entry e = {.path_bytes = (uint32_t)strlen(b->options.paths[i])};
        char hex[65];
        records_digest(b->rows, i, &e.bytes, hex);
        memcpy(e.sha256, hex, sizeof e.sha256);
        put(b, &e, sizeof e);
        put(b, b->options.paths[i], e.path_bytes);
        pad_to(b, 8);
    }
}

static void put_end(struct builder *b)
{
    struct dataset_footer f = {.max_length = b->options.max_length, .n_files = (int64_t)b->options.n_paths};
    pad_to(b, 8);
    f.files_at = b->at;
    put_files(b);
    f.table_at = b->at;
    put(b, b->documents, (size_t)b->counts.documents * sizeof *b->documents);
    f.counts = b->counts;
    put(b, &f, offsetof(struct dataset_footer, sha256));
    sha256_final(&b->sha, f.sha256);
    file_writer_write(b->out, f.sha256, sizeof f.sha256);
}

static void count_faults(struct builder *b)
{
    b->counts.rows = records_rows(b->rows);
    for (int i = 0; i < FAULT_COUNT; i++) {
        b->counts.bad[i] = records_faults(b->rows, (enum record_fault)i);
        b->counts.bad_rows += b->counts.bad[i];
    }
}

static enum status fill(struct builder *b)
{
    struct dataset_header h = {.magic = DATASET_MAGIC, .version = DATASET_VERSION, .byte_order = DATASET_BYTE_ORDER};
    struct record row;
    put(b, &h, sizeof h);
    while (records_next(b->rows, &row)) TRY(add_row(b, &row));
    TRY(b->c->status);
    count_faults(b);
    warn_spelled(b);
    if (b->counts.documents == 0)
        return ctx_fail(b->c, E_INPUT, "%s%s: no row can be used: %lld rows, %lld of them bad, %lld of weight 0",
                        b->options.paths[0], b->options.n_paths > 1 ? " and others" : "", (long long)b->counts.rows,
                        (long long)b->counts.bad_rows, (long long)b->counts.unweighted_rows);
    put_end(b);
    return b->c->status;
}

enum status dataset_build(struct ctx *c, const struct tokenizer *t, const struct dataset_options *options,
                          const char *cache_path, struct dataset_counts *counts)
{
    TRY(check_options(c, options));
    struct builder b = {.c = c, .t = t, .options = *options, .chat = options->chat, .counts.max_token = -1};
    sha256_init(&b.sha);
    buf_init(&b.trained, c, SIZE_MAX / 4); /* bounded by the ids, and they by the length of a line */
    b.rows = records_open(c, options->paths, options->n_paths, options->skip_bad_rows);
    b.out = b.rows ? file_writer_open(c, cache_path) : NULL;
    if (b.out && fill(&b) == OK) {
        file_writer_commit(b.out);
        b.out = NULL;
        *counts = b.counts;
    }
    file_writer_abort(b.out);
    records_close(b.rows);
    ids_release(c, &b.ids);
    buf_release(&b.trained);
    mem_free(c, b.documents);
    return c->status;
}
