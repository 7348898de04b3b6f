/* score_run: see the header. A batch of rows is cut into blocks of about BLOCK_BYTES, whose number does not depend on the
 * threads. Each block has a ctx, scratch and an output of its own, so threads share nothing but the rules. The digests,
 * which have to be taken in order, are blocks of the same loop: that of the batch's input, and that of the output of the
 * batch before, which is then written. */
#include "score/score_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/threads.h"
#include "io/row_file.h"
#include "io/row_line.h"
#include "score/score_manifest.h"

enum { BLOCK_BYTES = 1 << 18, BLOCKS_MAX = ROW_BATCH_BYTES / BLOCK_BYTES + 1, HASH_BLOCKS = 2 };
enum { OUT_KEPT_BYTES = 4 << 20 }; /* of an output's memory, between two batches */
enum { FAULTS_LOGGED = 10 };
static const size_t OUT_CAP_BYTES = (size_t)1 << 32;

/* Rows [first, end) of a batch and what became of them. Two outputs: one is filled while the other is hashed. */
struct score_block {
    struct ctx *c; /* its own */
    struct score_row row;
    struct buf out[2];
    struct buf text; /* a text as the JSON row that it would be */
    size_t first, end;
    int64_t rows, skipped;
    char *faults[FAULTS_LOGGED]; /* messages of the first faulty rows, owned */
    size_t n_faults;
    enum status status; /* not OK: of a failure that ends the run */
};

/* Where rows go: a file, or standard output, and the digest of what went there. */
struct score_sink {
    struct file_writer *file; /* NULL: standard output */
    struct sha256 sha;
    uint64_t bytes;
};

/* One call of score_run. */
struct run {
    struct ctx *c;
    const struct score_run_options *o;
    struct row_file *source;
    struct row_batch batch;
    struct score_block blocks[BLOCKS_MAX];
    size_t n_blocks, n_before; /* of this batch; of the one before, whose outputs wait */
    int side;                  /* the output that is filled */
    struct score_sink sink;
    struct score_progress progress;
    int64_t logged;
};

/* ---- blocks, on any thread ------------------------------------------------------------------------------------------- */

/* A faulty row, whose failure stands in the block's ctx: its message is kept for collect_block, which says it in the order
 * of the rows, and unless faulty rows are skipped the block ends with it. */
static void block_fault(struct run *r, struct score_block *b)
{
    b->skipped++;
    if (b->n_faults < FAULTS_LOGGED) {
        char message[CTX_MESSAGE_BYTES];
        memcpy(message, b->c->message, sizeof message);
        enum status status = b->c->status;
        ctx_clear(b->c);
        b->faults[b->n_faults] = mem_strdup(b->c, message);
        if (b->faults[b->n_faults]) b->n_faults++;
        if (!r->o->skip_faulty && ctx_ok(b->c)) b->status = status;
    }
    if (ctx_ok(b->c) || b->c->status == E_INPUT) ctx_clear(b->c);
}

/* Scores one row's bytes into the block's output. False when that is faulty, or nothing more can be done. */
static bool block_score(struct run *r, struct score_block *b, const char *what, const char *bytes, size_t n, bool is_text)
{
    if (!is_text) return score_row_write(&b->row, what, bytes, n, &b->out[r->side]) == OK;
    buf_clear(&b->text);
    buf_append_str(&b->text, "{\"text\":");
    json_append_string(&b->text, bytes, n);
    buf_append_char(&b->text, '}');
    return buf_ok(&b->text) && score_row_write(&b->row, what, buf_str(&b->text), b->text.len, &b->out[r->side]) == OK;
}

/* One row of a span. A faulty one leaves nothing in the output and is scored once more for a message with its name. */
static void block_row(struct run *r, struct score_block *b, const struct row_span *span, const char *bytes, size_t n)
{
    struct buf *out = &b->out[r->side];
    size_t before = out->len;
    if (!span->too_long && block_score(r, b, "", bytes, n, span->is_text)) {
        b->rows++;
        return;
    }
    out->len = before;
    if (!ctx_ok(b->c) && b->c->status != E_INPUT) return;
    ctx_clear(b->c);
    char *what = mem_printf(b->c, "%s:%lld", row_file_name(r->source), (long long)span->row);
    if (!what) return;
    if (span->too_long)
        ctx_fail(b->c, E_INPUT, "%s: the row is longer than %d bytes", what, ROW_FILE_MAX_BYTES);
    else
        block_score(r, b, what, bytes, n, span->is_text);
    mem_free(b->c, what);
    block_fault(r, b);
}

/* Whether several rows stand on a line: then each is scored. False when the first of them takes up the whole line, which is
 * then faulty as a line. */
static bool block_pieces(struct run *r, struct score_block *b, const struct row_span *span)
{
    const char *line = r->batch.bytes + span->at;
    size_t at = 0, row_at, n;
    if (!span->is_line || !row_line_next(line, span->n, &at, &row_at, &n) || at == span->n) return false;
    for (at = 0; ctx_ok(b->c) && b->status == OK && row_line_next(line, span->n, &at, &row_at, &n);)
        block_row(r, b, span, line + row_at, n);
    return true;
}

/* A span of the batch: mostly a line with one row, tried as such first. */
static void block_span(struct run *r, struct score_block *b, const struct row_span *span)
{
    struct buf *out = &b->out[r->side];
    size_t before = out->len;
    const char *bytes = r->batch.bytes + span->at;
    if (!span->is_line || span->too_long) {
        block_row(r, b, span, bytes, span->n);
    } else if (block_score(r, b, "", bytes, span->n, false)) {
        b->rows++;
    } else if (b->c->status == E_INPUT) {
        ctx_clear(b->c);
        out->len = before;
        if (!block_pieces(r, b, span)) block_row(r, b, span, bytes, span->n);
    }
}

/* All rows of a block. */
static void score_block(struct run *r, struct score_block *b)
{
    buf_clear(&b->out[r->side]);
    for (size_t i = b->first; i < b->end && b->status == OK; i++) {
        block_span(r, b, &r->batch.spans[i]);
        if (!ctx_ok(b->c)) b->status = b->c->status;
    }
}

/* Takes the output of the batch before into the digest, while this batch is scored. */
static void hash_before(struct run *r)
{
    for (size_t i = 0; i < r->n_before; i++) {
        const struct buf *out = &r->blocks[i].out[!r->side];
        sha256_update(&r->sink.sha, buf_str(out), out->len);
    }
}

/* Work item `block` of threads_run: the two digests, then the blocks of rows. */
static void run_block(void *arg, int64_t block, int worker)
{
    struct run *r = arg;
    (void)worker;
    if (block == 0)
        row_file_hash(r->source);
    else if (block == 1)
        hash_before(r);
    else
        score_block(r, &r->blocks[block - HASH_BLOCKS]);
}

/* ---- batches --------------------------------------------------------------------------------------------------------- */

/* Makes a block's ctx and scratch the first time that it is used. */
static enum status block_open(struct run *r, struct score_block *b)
{
    if (b->c) return OK;
    b->c = ctx_new(&r->c->hooks);
    if (!b->c) return ctx_fail(r->c, E_MEMORY, "out of memory");
    buf_init(&b->out[0], b->c, OUT_CAP_BYTES);
    buf_init(&b->out[1], b->c, OUT_CAP_BYTES);
    buf_init(&b->text, b->c, OUT_CAP_BYTES);
    if (score_row_init(&b->row, b->c, r->o->rules, r->o->row) == OK) return OK;
    return ctx_fail(r->c, b->c->status, "%s", b->c->message);
}

/* Frees a block; one that was never used holds nothing. */
static void block_close(struct score_block *b)
{
    if (!b->c) return;
    for (size_t i = 0; i < b->n_faults; i++) mem_free(b->c, b->faults[i]);
    score_row_release(&b->row);
    buf_release(&b->out[0]);
    buf_release(&b->out[1]);
    buf_release(&b->text);
    ctx_clear(b->c);
    ctx_free(b->c);
}

/* Deals the batch's rows out to blocks by bytes, not by threads. The last block takes what is left, since there are no more.
 */
static enum status deal(struct run *r)
{
    size_t n = r->batch.n_spans, at = 0;
    for (r->n_blocks = 0; at < n; r->n_blocks++) {
        struct score_block *b = &r->blocks[r->n_blocks];
        TRY(block_open(r, b));
        b->first = at;
        size_t bytes = 0;
        bool last = r->n_blocks == BLOCKS_MAX - 1;
        for (; at < n && (last || bytes < BLOCK_BYTES); at++) bytes += r->batch.spans[at].n;
        b->end = at;
        b->rows = b->skipped = 0;
        b->status = OK;
    }
    return OK;
}

/* Writes a block's output. */
static enum status write_out(struct run *r, const struct buf *out)
{
    r->sink.bytes += out->len;
    if (r->sink.file) {
        file_writer_write(r->sink.file, buf_str(out), out->len);
        return r->c->status;
    }
    if (fwrite(buf_str(out), 1, out->len, stdout) == out->len) return OK;
    return ctx_fail(r->c, E_IO, "standard output cannot be written: %s", strerror(errno));
}

/* Takes over what a block found: counts, messages, the failure that ends the run. */
static enum status collect_block(struct run *r, struct score_block *b)
{
    r->progress.rows += b->rows;
    r->progress.skipped += r->o->skip_faulty ? b->skipped : 0;
    for (size_t i = 0; i < b->n_faults; i++) {
        if (!r->o->skip_faulty)
            ctx_fail(r->c, E_INPUT, "%s", b->faults[i]);
        else if (r->logged++ < FAULTS_LOGGED)
            ctx_log(r->c, LOG_WARN, "skipped: %s", b->faults[i]);
        mem_free(b->c, b->faults[i]);
    }
    if (r->logged == FAULTS_LOGGED && b->n_faults > 0) {
        ctx_log(r->c, LOG_WARN, "further faulty rows are only counted");
        r->logged++;
    }
    b->n_faults = 0;
    if (!ctx_ok(b->c)) ctx_fail(r->c, b->c->status, "%s", b->c->message);
    return r->c->status;
}

/* After the loop: the blocks' outputs are written, up to the block with the fault that ends the run. */
static enum status collect(struct run *r)
{
    for (size_t i = 0; i < r->n_blocks; i++) {
        struct score_block *b = &r->blocks[i];
        enum status write = write_out(r, &b->out[r->side]);
        if (write != OK || collect_block(r, b) != OK) return r->c->status;
        /* the output of the batch before is hashed by now */
        if (b->out[!r->side].capacity > OUT_KEPT_BYTES) buf_release(&b->out[!r->side]);
    }
    r->n_before = r->n_blocks;
    r->side = !r->side;
    return OK;
}

/* Scores one batch by all threads. */
static enum status one_batch(struct run *r)
{
    TRY(deal(r));
    threads_run(r->c, (int64_t)r->n_blocks + HASH_BLOCKS, run_block, r);
    TRY(collect(r));
    return OK;
}

/* One input file. */
static enum status run_file(struct run *r, struct score_file *f)
{
    int64_t rows = r->progress.rows, skipped = r->progress.skipped;
    uint64_t before = r->progress.bytes_done;
    r->source = row_file_open(r->c, f->path);
    if (!r->source) return r->c->status;
    enum status status;
    do {
        status = row_file_fill(r->source, &r->batch);
        if (status == OK) status = one_batch(r);
        r->progress.bytes_done = before + row_file_taken(r->source);
        if (status == OK && r->o->progress) r->o->progress(r->o->user, &r->progress);
    } while (status == OK && r->batch.n_spans > 0);
    f->rows = r->progress.rows - rows;
    f->skipped = r->progress.skipped - skipped;
    if (status == OK) row_file_digest(r->source, &f->bytes, f->sha256);
    row_file_close(r->source);
    r->source = NULL;
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

/* Bytes of all inputs, 0 when one of them is not known before. Also finds what is missing before anything is written. */
static enum status add_up(struct run *r, const char *const *in, size_t n_in)
{
    bool known = true;
    for (size_t i = 0; i < n_in; i++) {
        if (strcmp(in[i], "-") == 0) {
            known = false;
            continue;
        }
        struct row_file *s = row_file_open(r->c, in[i]);
        if (!s) return r->c->status;
        known &= row_file_size(s) > 0;
        r->progress.bytes_all += row_file_size(s);
        row_file_close(s);
    }
    if (!known) r->progress.bytes_all = 0;
    return OK;
}

/* The manifest takes its name and the rows take theirs behind it: rows that stand under their name are whole and have their
 * manifest beside them. */
static enum status score_run_publish(struct run *r, struct score_file *files, size_t n_in, const char *out)
{
    uint8_t digest[32];
    struct score_file made = {.path = out, .bytes = r->sink.bytes, .rows = r->progress.rows, .skipped = r->progress.skipped};
    hash_before(r); /* the last batch, which no further one hashed */
    sha256_final(&r->sink.sha, digest);
    sha256_hex(digest, made.sha256);
    struct file_writer *both[] = {score_manifest_new(r->c, r->o, files, n_in, &made), r->sink.file};
    r->sink.file = NULL;
    return file_writers_commit(r->c, both, 2);
}

/* All inputs into one output. */
static enum status run_all(struct run *r, struct score_file *files, const char *const *in, size_t n_in, const char *out)
{
    TRY(add_up(r, in, n_in));
    sha256_init(&r->sink.sha);
    if (out) {
        r->sink.file = file_writer_open(r->c, out);
        if (!r->sink.file) return r->c->status;
    }
    for (size_t i = 0; i < n_in; i++) {
        files[i].path = in[i];
        TRY(run_file(r, &files[i]));
    }
    if (r->progress.rows == 0) return row_file_refuse_empty(r->c, in, n_in, r->progress.skipped);
    if (out) return score_run_publish(r, files, n_in, out);
    return fflush(stdout) == 0 ? OK : ctx_fail(r->c, E_IO, "standard output cannot be written: %s", strerror(errno));
}

enum status score_run(struct ctx *c, const struct score_run_options *o, const char *const *in, size_t n_in, const char *out,
                      struct score_run_result *result)
{
    *result = (struct score_run_result){0};
    if (out) TRY(score_manifest_check(c, o, in, n_in, out, &result->done_before, result));
    if (result->done_before) return OK;
    struct run *r = mem_alloc(c, 1, sizeof *r);
    struct score_file *files = mem_alloc(c, n_in, sizeof *files);
    if (r && files) {
        r->c = c;
        r->o = o;
        run_all(r, files, in, n_in, out);
        file_writer_abort(r->sink.file);
        row_file_close(r->source);
        for (size_t i = 0; i < BLOCKS_MAX; i++) block_close(&r->blocks[i]);
        row_batch_release(c, &r->batch);
        *result = (struct score_run_result){.rows = r->progress.rows, .skipped = r->progress.skipped};
    }
    mem_free(c, files);
    mem_free(c, r);
    return c->status;
}
