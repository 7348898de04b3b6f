/* cmd_tokenize: text to ids and back, through pipes: what a script or a test needs to see the tokenizer's work; and rows as
 * training will see them. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/tokenize_rows.h"
#include "data/data_rows.h"
#include "export/peft.h"
#include "io/tokenizer/tokenizer.h"

struct tokenize_values {
    const char *model;
    bool decode, special;
    const char *adapter;
    struct option_list data;
    struct tokenize_rows_options rows;
};
#define V struct tokenize_values

enum { BLOCK_BYTES = 1 << 16 };
static const size_t STDIN_CAP_BYTES = (size_t)1 << 32;

static const struct option_spec specs[] = {
    REQUIRED_ROW(V, model, "model", 'm', "MODEL", "Input", "folder, tokenizer.json or .gguf file"),
    STRING_ROW(V, adapter, "adapter", 0, NULL, "DIR", "Input",
               "adapter whose tokenizer and chat template are compared with those of the model"),
    FLAG_ROW(V, decode, "decode", 0, "false", "Running", "turn ids into text; special tokens are written by their names"),
    FLAG_ROW(V, special, "special", 's', "false", "Running",
             "read the name of a special token (<|im_end|>) as that token instead of as plain text"),
    LIST_ROW(V, data, "data", 'd', false, "FILE", "Rows", "show rows, in the files that train -d takes, instead of a text"),
    FLAG_ROW(V, rows.json, "json", 0, "false", "Rows", "print a line of JSON for each document: row, ids, trained, omega"),
    DATA_ROWS(V, rows.rows, "512", "Rows"),
    OBJECTIVE_ROWS(V, rows.objective, rows.rows, "Rows"),
};

static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* All of standard input, at most STDIN_CAP_BYTES. */
static enum status read_stdin(struct ctx *c, struct buf *out)
{
    char block[BLOCK_BYTES];
    size_t n;
    while ((n = fread(block, 1, sizeof block, stdin)) > 0 && buf_ok(out)) buf_append(out, block, n);
    if (!buf_ok(out)) return c->status;
    return ferror(stdin) ? ctx_fail(c, E_IO, "standard input cannot be read") : OK;
}

/* Text to one line of ids. */
static enum status print_ids(struct ctx *c, const struct tokenizer *t, bool special, const struct buf *text)
{
    struct ids ids = {0};
    enum status status = tokenizer_encode(c, t, buf_str(text), text->len, special, &ids);
    if (status == OK) {
        for (size_t i = 0; i < ids.n; i++) printf(i ? " %d" : "%d", ids.data[i]);
        putchar('\n');
    }
    ids_release(c, &ids);
    return status;
}

/* Reads decimal numbers between white space. */
static enum status parse_ids(struct ctx *c, const struct buf *text, struct ids *ids)
{
    const char *at = buf_str(text), *end = at + text->len;
    for (;;) {
        while (at < end && isspace((unsigned char)*at)) at++;
        if (at == end) return OK;
        const char *word = at;
        int64_t id = 0;
        while (at < end && isdigit((unsigned char)*at) && id <= INT32_MAX) id = id * 10 + (*at++ - '0');
        if (at == word || id > INT32_MAX || (at < end && !isspace((unsigned char)*at)))
            return ctx_fail(c, E_INPUT, "standard input: number %zu, \"%.*s\", is not a token id", ids->n + 1,
                            end - word < 20 ? (int)(end - word) : 20, word);
        TRY(ids_push(c, ids, (int32_t)id));
    }
}

/* Ids to the bytes that they stand for. */
static enum status tokenize_print_text(struct ctx *c, const struct tokenizer *t, const struct buf *text)
{
    struct ids ids = {0};
    struct buf out;
    enum status status = parse_ids(c, text, &ids);
    buf_init(&out, c, STDIN_CAP_BYTES);
    if (status == OK) status = tokenizer_decode_text(c, t, ids.data, ids.n, false, &out);
    if (status == OK) fwrite(buf_str(&out), 1, out.len, stdout);
    buf_release(&out);
    ids_release(c, &ids);
    return status;
}

static enum status convert_stdin(struct ctx *c, const struct tokenizer *t, const struct tokenize_values *v)
{
    struct buf text;
    buf_init(&text, c, STDIN_CAP_BYTES);
    enum status status = read_stdin(c, &text);
    if (status == OK) status = v->decode ? tokenize_print_text(c, t, &text) : print_ids(c, t, v->special, &text);
    buf_release(&text);
    return status;
}

/* The command's second form: rows as training will see them (-d). */
static enum status print_rows(struct ctx *c, const struct tokenizer *t, const struct tokenize_values *v)
{
    struct tokenize_rows_options o = v->rows;
    if (v->decode) return ctx_fail(c, E_INPUT, "--decode turns ids on standard input into text; it does not go with -d");
    o.rows.paths = v->data.items;
    o.rows.n_paths = v->data.n;
    o.rows.special = v->special;
    data_rows_settle(&o.rows);
    return tokenize_rows(c, t, &o);
}

static enum status cmd_tokenize_run(const struct command_call *call)
{
    const struct tokenize_values *v = call->values;
    struct ctx *c = call->c;
    if (v->rows.json && v->data.n == 0) return ctx_fail(c, E_INPUT, "--json is for rows, which -d names");
    if (v->decode && v->special) return ctx_fail(c, E_INPUT, "--special is for encoding; --decode always writes them");
    struct tokenizer *t = tokenizer_open(c, v->model);
    if (!t) return c->status;
    enum status status = v->adapter ? peft_check_tokenizer(c, t, v->adapter) : OK;
    if (status == OK) status = v->data.n > 0 ? print_rows(c, t, v) : convert_stdin(c, t, v);
    tokenizer_free(t);
    return status;
}

const struct command command_tokenize = {
    .name = "tokenize",
    .summary = "turns text into token ids or back; shows rows as training will see them",
    .usage = "-m MODEL [--special | --decode] < INPUT  or  -m MODEL -d ROWS [--adapter DIR] [--json]",
    .about =
        "Reads all of standard input, which may be any bytes, and prints its token ids on one line, separated by spaces,\n"
        "without BOS or EOS. With --decode it reads ids and prints exactly the bytes that they stand for.\n\n"
        "With -d it prints rows as training will see them, document by document: the text with the trained part in [[ ]]\n"
        "(green on a terminal), and the weight omega that the row's scores give it. The options are those of train.",
    .table = &table,
    .values_bytes = sizeof(struct tokenize_values),
    .run = cmd_tokenize_run,
};
