/* records: training rows from files, one at a time (io/row_file.h has which files: JSON Lines, JSON arrays and objects,
 * texts, packed or not, standard input).
 *
 * A row is a JSON object of one of these forms, the first that it has when it has several (then it is said):
 *   {"messages":[{"role","content"}][,"system"]}         every assistant turn is trained
 *   {"conversations":[{"from","value"}][,"system"]}      ShareGPT; the spellings of the two lists may be mixed
 *   {"instruction"[,"input"],"output"[,"system"][,"history":[[user, assistant]]]}    Alpaca; user = instruction "\n" input
 *   {"prompt","completion"[,"system"]}                   strings: the completion is trained; or lists of messages
 *   {"text"}                                             all of it is trained
 * and may carry auth_weight in [0, 0.99], prov_entropy >= 0 (bits), loss_weight or weight in [0, 1e6], source_type (string).
 * A conversation may have `tools` (a list, or JSON of one in a string) and `chat_template_kwargs`, further variables of the
 * chat template. record_turn.c has the roles, the forms of a content, the members that say how a turn is trained (weight: 0
 * to 1; train, loss, trainable: 0 or false), and calls of tools; all members of a message reach the template. Members that
 * are known to hold pictures or a mask and are not read are refused unless empty; all others are listed once, with their
 * number, after the last row.
 *
 * A faulty row is E_INPUT "FILE:ROW: what", or it is skipped, counted by reason and logged. A row longer than 64 MiB is
 * faulty and passed over in small pieces, never held. A file that is none of rows is an error in any case. */
#ifndef YA_DATA_RECORDS_H
#define YA_DATA_RECORDS_H

#include "io/row_file.h"
#include "io/template/chat_train.h"

enum {
    RECORDS_LINE_MAX_BYTES = ROW_FILE_MAX_BYTES, /* of a row, and of a .txt file */
    RECORDS_LOSS_WEIGHT_MAX = 1000000,
};

/* Which form is read of rows that may have several. AUTO: the first in the order above. */
enum row_form {
    ROW_FORM_AUTO,
    ROW_FORM_TEXT,
    ROW_FORM_PROMPT,
    ROW_FORM_MESSAGES,
    ROW_FORM_CONVERSATIONS,
    ROW_FORM_INSTRUCTION
};

/* Why a row is faulty. The last two are found by `dataset`, which knows the tokens. */
enum record_fault {
    FAULT_LONG_LINE,
    FAULT_UTF8,
    FAULT_JSON,
    FAULT_FORM,      /* no known form, several at once, a member of the wrong type, empty text, an unknown role */
    FAULT_SCORE,     /* auth_weight, prov_entropy, loss_weight or weight out of range */
    FAULT_UNTRAINED, /* no token is trained */
    FAULT_BOS,       /* begins with the text of BOS although BOS is added */
    FAULT_COUNT
};
const char *record_fault_name(enum record_fault fault); /* "line too long", ... */

enum record_kind { RECORD_TEXT, RECORD_COMPLETION, RECORD_MESSAGES };

/* One row. All pointers are valid until the next call of records_next. */
struct record {
    enum record_kind kind;
    int file;         /* index into the paths */
    int64_t row;      /* number in the file, from 1 (io/row_file.h) */
    const char *text; /* the text, or the completion */
    size_t text_bytes;
    const char *prompt; /* RECORD_COMPLETION; may be empty */
    size_t prompt_bytes;
    /* RECORD_MESSAGES: a list of objects with role, content and what else a template may read; the tools, or NULL; further
     * variables of the template, an object or NULL; and how each message is trained if it is the assistant's (chat_train.h).
     */
    const json_t *messages, *tools, *more;
    const uint8_t *codes;
    size_t n_messages;
    double auth_weight, prov_entropy; /* NaN: the row has none */
    double loss_weight;               /* of the row (1: it has none) times that of its file */
    const char *source_type;          /* NULL: the row has none */
};

struct records; /* opaque */

/* Opens the files one after the other as they are reached. `paths` are those of row_path.h: a name, or NAME:WEIGHT; borrowed
 * during the call. Owner of the result: the caller. NULL with E_INPUT (a weight out of range, standard input twice) or
 * E_MEMORY. */
struct records *records_open(struct ctx *c, const char *const *paths, size_t n_paths, bool skip_bad_rows,
                             enum row_form form);
void records_close(struct records *r); /* accepts NULL */

/* Reads the next good row. False at the end and on failure (then the ctx holds it). */
bool records_next(struct records *r, struct record *out);

/* Declares the row that records_next gave last faulty. OK when bad rows are skipped (it is counted and logged), else E_INPUT
 * "FILE:ROW: ...". */
enum status records_reject(struct records *r, enum record_fault fault, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Rows seen so far, faulty ones included, and those skipped for one reason. */
int64_t records_rows(const struct records *r);
int64_t records_faults(const struct records *r, enum record_fault why);

/* What messages call a file: its path without the weight, or "standard input". */
const char *records_name(const struct records *r, size_t file);
/* Size and SHA-256 (hex) of an input file; complete once records_next has returned false without failure. */
void records_digest(const struct records *r, size_t file, uint64_t *bytes, char hex[65]);

#endif
