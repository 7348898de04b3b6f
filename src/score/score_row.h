/* score_row: one row of JSON: its text and the members that the scorers read, found by a scan without a tree; and the row
 * written out again, its own members byte for byte, with the scores behind them.
 *
 * The text of a row is its "text". A row without one is scored on the texts that a training would read: prompt, completion,
 * instruction, input, output, system, and the contents of messages and conversations, joined by line ends. Members of the
 * scorers (source, url, year, ...) are taken from the row, and where it has none from an object "metadata" in it. */
#ifndef YA_SCORE_ROW_H
#define YA_SCORE_ROW_H

#include "io/json_scan.h"
#include "score/scorer.h"

struct score_evidence_source;
enum score_existing { EXISTING_STOP, EXISTING_KEEP, EXISTING_REPLACE };

struct score_row_options {
    enum score_existing existing; /* what becomes of a row that has scores already: a fault, left as it is, scored anew */
    bool breakdown;               /* write what the scores are made of, too */
    bool use_prior;               /* source_type is a prior (the blend with known kinds of source) */
    bool read_scores;             /* take the scores that a row has into given_auth and given_entropy */
    const struct score_evidence_source *evidence; /* NULL: none */
};

/* Where a text's evidence is found. */
struct score_evidence_source {
    bool (*find)(const void *evidence, const char *text, size_t n, struct score_evidence *out); /* from any thread */
    const void *evidence;
};

/* A piece of a row: bytes [begin, end) of its JSON. */
struct row_range {
    size_t begin, end;
};

/* Scratch of one thread. All memory belongs to the ctx. */
struct score_row {
    struct ctx *c;
    const struct rules *rules;
    struct score_row_options options;
    struct json_scan scan;
    struct matcher_count *counts;
    struct buf text;   /* the text when it had escapes or several pieces */
    struct buf values; /* members' strings */
    struct buf other;  /* strings of other members, for the heuristic scorer */
    struct score_input input;
    struct score_result result;
    struct score_evidence evidence; /* of the row, where it has some */
    bool has_evidence;
    /* while a row is read */
    const char *bytes;
    size_t n, close;    /* close: offset of the row's last brace */
    const char *direct; /* text without escapes, in the row itself; NULL: in `text` */
    bool has_text;      /* the member "text" was there: pieces no longer count */
    bool has_pieces;
    bool has_members, has_scores;     /* a member of ours is there; one that is not null */
    bool no_text;                     /* the row was read, and refused for want of a text */
    double given_auth, given_entropy; /* NaN: the row has none, or it was not asked for */
    uint32_t seen;                    /* members found, a bit each */
    struct score_value nested[SCORE_FIELDS];
    struct row_range *kept; /* (n_kept, kept_room) members other than scores */
    size_t n_kept, kept_room;
};

/* Prepares the scratch; `rules` is borrowed. Undone by score_row_release. */
enum status score_row_init(struct score_row *s, struct ctx *c, const struct rules *rules, struct score_row_options options);
void score_row_release(struct score_row *s);

/* Reads a row without scoring it: `input` holds its text and members until the next row. E_INPUT as below. */
enum status score_row_read(struct score_row *s, const char *what, const char *bytes, size_t n);
/* Appends a row's bytes on one line, without a line end: byte for byte but for line ends between members, which become
 * spaces. */
void score_row_line(const char *bytes, size_t n, struct buf *out);

/* Reads a row, scores it and appends it with its scores and a line end to `out`. `what` names it in messages ("FILE:ROW").
 * E_INPUT for a row that is not a JSON object, has no text, or has scores already with EXISTING_STOP; nothing is appended
 * then. */
enum status score_row_write(struct score_row *s, const char *what, const char *bytes, size_t n, struct buf *out);

#endif
