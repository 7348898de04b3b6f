/* dataset_build: one pass over the rows. Each row becomes tokens with a mask, and those become one or several documents of
 * the cache file.
 *
 *   row       {"prompt": "2+2=", "completion": "4"}         (raw: without a chat template)
 *   tokens    [BOS]  2  +  2  =  4  [EOS]
 *   trained     0    0  0  0  0  1    1                     1: the token is a target
 *
 * `ids` and `trained` hold the current row and are reused, so memory does not grow with the data. A row of a chat template
 * that rewrites earlier turns gives several sequences, each of which goes through put_row by itself. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/dataset.h"
#include "data/dataset_write.h"

/* One call of dataset_build. */
struct builder {
    struct ctx *c;
    const struct tokenizer *t;
    struct dataset_options options;
    struct records *rows;
    struct chat_train chat; /* its template is opened when a row needs it */

    struct ids ids; /* of the current row, and which of them are trained */
    struct buf trained;

    struct dataset_writer *out;
    struct dataset_counts counts;
    int64_t pairs;        /* rows of prompt and completion, put into the template or joined although there is one */
    int64_t spelled_rows; /* rows whose plain text spells special tokens out */
    int64_t spelled_row;  /* the first of them, and its file and first such token */
    uint32_t spelled_file;
    int32_t spelled_token;

    struct record *row; /* being rendered, and how many sequences it has given so far */
    int64_t sequences;
    bool rejected; /* the row was declared faulty: what is said then names it already */
};

struct dataset_options dataset_options_default(const char *const *paths, size_t n_paths)
{
    return (struct dataset_options){.paths = paths,
                                    .n_paths = n_paths,
                                    .max_length = 2048,
                                    .long_documents = LONG_SPLIT,
                                    .default_auth_weight = NAN,
                                    .default_prov_entropy = NAN,
                                    .chat = CHAT_OWN};
}

/* E_INPUT naming the option that is out of its range. */
static enum status build_check_options(struct ctx *c, const struct dataset_options *o)
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

/* ---- a row's tokens ---- */

/* Appends one token to the row. */
static enum status add_id(struct builder *b, int32_t id, bool trained)
{
    TRY(ids_push(b->c, &b->ids, id));
    buf_append_char(&b->trained, trained);
    return b->c->status;
}

/* Appends the tokens of a text, all trained or none. */
static enum status build_add_text(struct builder *b, const char *text, size_t n, bool trained)
{
    TRY(tokenizer_encode(b->c, b->t, text, n, b->options.special, &b->ids));
    char run[256];
    memset(run, trained, sizeof run);
    while (ctx_ok(b->c) && b->trained.len < b->ids.n) {
        size_t left = b->ids.n - b->trained.len;
        buf_append(&b->trained, run, left < sizeof run ? left : sizeof run);
    }
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

/* Says once what note_spelled has found. */
static void warn_spelled(const struct builder *b)
{
    if (b->spelled_rows == 0) return;
    ctx_log(
        b->c, LOG_WARN,
        "%s:%lld: the text spells the control token %s, which is trained as plain characters and not as the token it names "
        "(%lld rows like it). Give conversations as \"messages\" instead, or --special makes tokens of them",
        records_name(b->rows, b->spelled_file), (long long)b->spelled_row, tokenizer_token(b->t, b->spelled_token),
        (long long)b->spelled_rows);
}

/* A BOS that the text spells itself stands behind the one that was added: one of them goes. */
static void drop_doubled_bos(struct builder *b)
{
    if (b->ids.n < 2 || b->ids.data[0] != b->ids.data[1] || !tokenizer_adds_bos(b->t)) return;
    b->ids.n--;
    memmove(b->ids.data, b->ids.data + 1, b->ids.n * sizeof *b->ids.data);
    memmove(b->trained.data, b->trained.data + 1, --b->trained.len);
}

/* The tokens of a row without a conversation: BOS, the prompt, the text, EOS, as the example at the top. A text that ends
 * with EOS already gets no second one. */
static enum status render_text(struct builder *b, const struct record *row)
{
    if (tokenizer_adds_bos(b->t)) TRY(add_id(b, tokenizer_bos(b->t), false));
    if (row->kind == RECORD_COMPLETION) TRY(build_add_text(b, row->prompt, row->prompt_bytes, false));
    TRY(build_add_text(b, row->text, row->text_bytes, true));
    if (b->options.special) drop_doubled_bos(b);
    int32_t eos = tokenizer_eos(b->t);
    return eos < 0 || b->ids.data[b->ids.n - 1] == eos ? OK : add_id(b, eos, true);
}

/* Whether prompts and completions can become conversations. */
static bool has_template(const struct builder *b)
{
    return b->options.chat != CHAT_OWN || tokenizer_chat_template(b->t) != NULL;
}

/* Says once what became of rows of prompt and completion, which could be read either way. */
static void report_pairs(const struct builder *b)
{
    if (b->pairs == 0) return;
    if (b->options.raw)
        ctx_log(
            b->c, LOG_WARN,
            "%lld rows of prompt and completion are joined as they stand (--raw), without the model's chat template: a chat "
            "will not show what is learned from them",
            (long long)b->pairs);
    else
        ctx_log(
            b->c, LOG_INFO,
            "%lld rows of prompt and completion are put into the model's chat template, as user and assistant (--raw joins "
            "them as they stand)",
            (long long)b->pairs);
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
    if (row->kind == RECORD_MESSAGES || b->options.special || !tokenizer_adds_bos(b->t) || !spelling) return false;
    return strlen(spelling) <= n && memcmp(start, spelling, strlen(spelling)) == 0;
}

/* ---- a row's documents ---- */

/* Trained tokens among n. */
static int64_t sum(const char *trained, int64_t n)
{
    int64_t s = 0;
    for (int64_t i = 0; i < n; i++) s += trained[i] != 0;
    return s;
}

/* Writes tokens [first, first + n) of the row as a document. */
static enum status put_document(struct builder *b, const struct record *row, int64_t first, int64_t n)
{
    struct dataset_document d = {.row = row->row,
                                 .file = row->file,
                                 .n = (int32_t)n,
                                 .source_type = dataset_write_type(b->out, row->source_type),
                                 .auth_weight = row->auth_weight,
                                 .prov_entropy = row->prov_entropy,
                                 .loss_weight = row->loss_weight};
    b->trained.data[first] = 0; /* nothing comes before it: not a target */
    return dataset_write_document(b->out, &d, b->ids.data + first, b->trained.data + first);
}

/* First token of the trained run that `at` or what follows it belongs to; n when there is none. */
static int64_t find_trained(const struct builder *b, int64_t at, int64_t n)
{
    while (at < n && !b->trained.data[at]) at++;
    return at;
}

/* One past the trained run that `at` is in. */
static int64_t find_untrained(const struct builder *b, int64_t at, int64_t n)
{
    while (at < n && b->trained.data[at]) at++;
    return at;
}

/* The piece for the targets from `target` on: tokens [*first, *end). A run of targets that fits is taken whole, with as much
 * of what stands before it as fits, so that an answer keeps the end of a long prompt; more runs follow while they fit whole.
 * A run that does not fit is cut: its first piece gets up to half its length of what stands before it, each further one the
 * last token of the one before, since a target needs a token to be predicted from.
 *
 * Example: 4 tokens of a prompt (0 to 3), 10 targets (4 to 13), pieces of at most 8. The run does not fit, so the first
 * piece is [0, 8) with 4 tokens of prompt, and its targets are 4 to 7. The run goes on at 8: the second piece is [7, 14),
 * where 7 is there as what 8 is predicted from, and put_split marks it as not trained. */
static void place_piece(const struct builder *b, int64_t target, int64_t n, int64_t *first, int64_t *end)
{
    int64_t longest = b->options.max_length, seen = n - target > longest ? target + longest + 1 : n;
    int64_t run_end = find_untrained(b, target, seen); /* no further than it matters: a row may be one run of millions */
    bool continued = target > 0 && b->trained.data[target - 1];
    if (continued || run_end - target >= longest) {
        int64_t before = continued ? 1 : target < longest / 2 ? target : longest / 2;
        *first = target - (before < 1 ? 1 : before);
        *end = *first + longest < run_end ? *first + longest : run_end;
        if (*end < run_end) return;
    } else {
        *first = run_end > longest ? run_end - longest : 0;
        *end = run_end;
    }
    for (;;) {
        int64_t next = find_trained(b, *end, n), next_end = find_untrained(b, next, n);
        if (next == n || next_end - *first > longest) return;
        *end = next_end;
    }
}

/* Cuts a row into pieces in which every target is trained once. */
static enum status put_split(struct builder *b, const struct record *row, int64_t n)
{
    int64_t passed = 0, kept = 0; /* end of the last piece; tokens that are in some piece */
    b->counts.split_rows++;
    b->trained.data[0] = 0;
    for (int64_t target = find_trained(b, 0, n); target < n; target = find_trained(b, passed, n)) {
        int64_t first, end;
        place_piece(b, target, n, &first, &end);
        memset(b->trained.data + first, 0, (size_t)(target - first)); /* trained in an earlier piece: context here */
        TRY(put_document(b, row, first, end - first));
        kept += end - (first > passed ? first : passed);
        passed = end;
    }
    b->counts.left_out_tokens += n - kept;
    return OK;
}

/* Scores that the row has not, out of the options; once a row. */
static void settle_scores(struct builder *b, struct record *row)
{
    if (!isnan(row->auth_weight) && !isnan(row->prov_entropy)) b->counts.scored_rows++;
    if (isnan(row->auth_weight)) row->auth_weight = b->options.default_auth_weight;
    if (isnan(row->prov_entropy)) row->prov_entropy = b->options.default_prov_entropy;
}

/* One sequence of a row, which is in b->ids and b->trained. A row whose first sequence is no use is faulty; of further ones
 * the tokens are counted. */
static enum status put_row(struct builder *b, struct record *row)
{
    int64_t n = (int64_t)b->ids.n, longest = b->options.max_length;
    bool truncate = n > longest && b->options.long_documents == LONG_TRUNCATE;
    int64_t kept = truncate ? longest : n;
    b->rejected = true;
    if (doubles_bos(b, row))
        return records_reject(b->rows, FAULT_BOS,
                              row->kind == RECORD_MESSAGES ? "begins with BOS twice: the chat template writes it twice"
                                                           : "begins with BOS, which is added to every row");
    if (kept < 2 || sum(b->trained.data + 1, kept - 1) == 0) {
        b->counts.left_out_tokens += b->sequences > 0 ? n : 0;
        if (b->sequences > 0) return OK;
        return records_reject(
            b->rows, FAULT_UNTRAINED, "none of its first %lld tokens (of %lld) is trained%s", (long long)kept, (long long)n,
            truncate                       ? ": raise --max-length, or use --long split"
            : row->kind == RECORD_MESSAGES ? ": no turn of the assistant is trained, or the chat template writes none"
                                           : "");
    }
    b->rejected = false;
    if (b->sequences++ == 0) settle_scores(b, row);
    if (kept > longest) return put_split(b, row, n);
    if (truncate) b->counts.truncated_rows++;
    b->counts.left_out_tokens += n - kept;
    return put_document(b, row, 0, kept);
}

/* ---- conversations ---- */

/* Called by chat_train for each sequence of a conversation. */
static enum status put_sequence(void *user, const struct ids *ids, const char *codes)
{
    struct builder *b = user;
    if (b->rejected) return OK; /* an earlier sequence has made the row faulty */
    b->ids.n = 0;
    buf_clear(&b->trained);
    for (size_t i = 0; i < ids->n; i++) TRY(ids_push(b->c, &b->ids, ids->data[i]));
    buf_append(&b->trained, codes, ids->n);
    return buf_ok(&b->trained) ? put_row(b, b->row) : b->c->status;
}

/* Opens the chat template at the first row that needs one: data without conversations never asks whether the model has any.
 */
static enum status open_template(struct builder *b)
{
    if (b->chat.template) return OK;
    b->chat.template = chat_template_open(b->c, b->t, b->options.chat, b->options.date);
    if (b->chat.template && chat_template_reads_clock(b->chat.template) && !b->options.date)
        ctx_log(b->c, LOG_INFO, "the chat template asks for the date: it is told 26 Jul 2024 on any day (--date)");
    return b->c->status;
}

/* A conversation that the template refuses is a faulty row; what the template cannot do at all is not the row's fault, but
 * the message still says which row asked for it. */
static enum status put_conversation(struct builder *b, struct record *row)
{
    const struct chat_conversation talk = {row->messages, row->tools, row->more};
    enum status status = open_template(b);
    if (status == OK && chat_train_run(b->c, &b->chat, &talk, row->codes, put_sequence, b) == OK) return OK;
    if (b->c->status == E_INPUT && status == OK && b->sequences == 0 && b->options.skip_bad_rows && !b->rejected) {
        char why[CTX_MESSAGE_BYTES];
        snprintf(why, sizeof why, "%s", b->c->message);
        ctx_clear(b->c);
        return records_reject(b->rows, FAULT_FORM, "%s", why);
    }
    if (!b->rejected) ctx_prefix(b->c, "%s:%lld", records_name(b->rows, (size_t)row->file), (long long)row->row);
    return b->c->status;
}

/* A prompt and its completion as the conversation that a chat model has seen. */
static enum status put_pair(struct builder *b, struct record *row)
{
    static const uint8_t codes[2] = {0, 1};
    json_t *messages = json_array();
    if (!messages) return ctx_fail(b->c, E_MEMORY, "out of memory for messages");
    chat_template_add(b->c, messages, "user", row->prompt, row->prompt_bytes);
    chat_template_add(b->c, messages, "assistant", row->text, row->text_bytes);
    row->kind = RECORD_MESSAGES;
    row->messages = messages;
    row->tools = row->more = NULL;
    row->codes = codes;
    if (ctx_ok(b->c)) put_conversation(b, row);
    row->messages = NULL;
    json_decref(messages);
    return b->c->status;
}

/* What was noticed while conversations were rendered, once. */
static void report_conversations(const struct builder *b)
{
    const struct chat_notes *n = &b->chat.notes;
    if (n->rewritten > 0)
        ctx_log(b->c, LOG_INFO,
                "%lld rows: the chat template rewrites earlier turns, so each turn that looks otherwise in the whole "
                "conversation became a sequence of its own, as the model sees it when it writes the turn",
                (long long)n->rewritten);
    if (n->extended > 0)
        ctx_log(
            b->c, LOG_INFO,
            "%lld rows: the template's marks leave out the token that ends a turn; it is trained too (--mask exact: not)",
            (long long)n->extended);
    if (n->unended > 0)
        ctx_log(b->c, LOG_WARN, "%lld rows: the chat template ends a turn with no control token, so none is learnt there",
                (long long)n->unended);
    if (n->unlike > 0)
        ctx_log(b->c, LOG_WARN,
                "%lld rows: the template's generation prompt is not what stands before these turns, so training and use "
                "begin a turn otherwise",
                (long long)n->unlike);
}

/* A row into the data set, by its kind. */
static enum status build_add_row(struct builder *b, struct record *row)
{
    if (row->loss_weight == 0) {
        b->counts.unweighted_rows++;
        return OK;
    }
    b->ids.n = 0;
    buf_clear(&b->trained);
    b->row = row;
    b->sequences = 0;
    b->rejected = false;
    if (row->kind == RECORD_MESSAGES) return put_conversation(b, row);
    if (!b->options.special) note_spelled(b, row);
    bool pair = row->kind == RECORD_COMPLETION && has_template(b);
    b->pairs += pair;
    if (pair && !b->options.raw) return put_pair(b, row);
    TRY(render_text(b, row));
    return put_row(b, row);
}

/* ---- the whole ---- */

/* The source files with their digests, now that all of them have been read to their ends. */
static void put_files(struct builder *b)
{
    for (size_t i = 0; i < b->options.n_paths; i++) {
        struct dataset_file file = {.path = records_name(b->rows, i)};
        records_digest(b->rows, i, &file.bytes, file.sha256);
        dataset_write_file(b->out, &file);
    }
}

/* Rows seen, and rows skipped for each reason. */
static void count_faults(struct builder *b)
{
    b->counts.rows = records_rows(b->rows);
    for (int i = 0; i < FAULT_COUNT; i++) {
        b->counts.bad[i] = records_faults(b->rows, (enum record_fault)i);
        b->counts.bad_rows += b->counts.bad[i];
    }
}

/* All rows, then what was noticed on the way. */
static enum status build_fill(struct builder *b)
{
    struct record row;
    while (records_next(b->rows, &row)) TRY(build_add_row(b, &row));
    TRY(b->c->status);
    count_faults(b);
    warn_spelled(b);
    report_pairs(b);
    report_conversations(b);
    if (dataset_write_count(b->out) == 0)
        return ctx_fail(b->c, E_INPUT, "%s%s: no row can be used: %lld rows, %lld of them bad, %lld of weight 0",
                        records_name(b->rows, 0), b->options.n_paths > 1 ? " and others" : "", (long long)b->counts.rows,
                        (long long)b->counts.bad_rows, (long long)b->counts.unweighted_rows);
    put_files(b);
    return b->c->status;
}

enum status dataset_build(struct ctx *c, const struct tokenizer *t, const struct dataset_options *options,
                          const char *cache_path, struct dataset_counts *counts)
{
    TRY(build_check_options(c, options));
    struct builder b = {.c = c, .t = t, .options = *options, .chat = {.on = options->train_on, .mask = options->mask}};
    buf_init(&b.trained, c, SIZE_MAX / 4); /* bounded by the ids, and they by the length of a line */
    b.rows = records_open(c, options->paths, options->n_paths, options->skip_bad_rows, options->form);
    b.out = b.rows ? dataset_write_open(c, cache_path) : NULL;
    if (b.out && build_fill(&b) == OK) {
        dataset_write_commit(b.out, options->max_length, &b.counts);
        b.out = NULL;
        *counts = b.counts;
        if (options->notes) *options->notes = (struct dataset_notes){b.chat.notes, b.pairs};
    }
    dataset_write_abort(b.out);
    chat_template_close(b.chat.template);
    records_close(b.rows);
    ids_release(c, &b.ids);
    buf_release(&b.trained);
    return c->status;
}
