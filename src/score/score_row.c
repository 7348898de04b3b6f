/* score_row: reads, scores and writes one row. A row is read by a scanner in one pass, without building a tree of its JSON:
 * the scanner stops at each member, members by these names are kept, all others are skipped. A string that has no escapes is
 * not copied either; the text of most rows is scored where it lies in the input. For a row
 *
 *   {"text": "Patented in 1921 ...", "year": 1921, "id": 7}
 *
 * `direct` points to the 20-odd bytes between the quotes, field[FIELD_YEAR] is the integer 1921, and "id" is skipped. What
 * is written is the row up to its last brace as it stood, then ,"auth_weight":...,"prov_entropy":...} : a row comes out with
 * exactly the bytes that it came in with, numbers like 1e400 and unusual escapes included. */
#include "score/score_row.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/foreign_file.h"

/* Members by name. The first SCORE_FIELDS are the scorers'. */
enum row_member {
    MEMBER_TEXT = SCORE_FIELDS,
    MEMBER_PIECE,    /* a string, or messages */
    MEMBER_METADATA, /* an object that may hold the scorers' members */
    MEMBER_OTHER,
    MEMBER_SCORE, /* these are what `data score` writes */
    MEMBER_AUTH,
    MEMBER_BITS
};

static const struct {
    const char *name;
    int member;
} members[] = {
    {"source", FIELD_SOURCE},       {"url", FIELD_URL},
    {"publisher", FIELD_PUBLISHER}, {"source_type", FIELD_SOURCE_TYPE},
    {"type", FIELD_TYPE},           {"year", FIELD_YEAR},
    {"date", FIELD_DATE},           {"publication_date", FIELD_PUBLICATION_DATE},
    {"published", FIELD_PUBLISHED}, {"created", FIELD_CREATED},
    {"citations", FIELD_CITATIONS}, {"citation_count", FIELD_CITATION_COUNT},
    {"has_scan", FIELD_HAS_SCAN},   {"text", MEMBER_TEXT},
    {"prompt", MEMBER_PIECE},       {"completion", MEMBER_PIECE},
    {"messages", MEMBER_PIECE},     {"conversations", MEMBER_PIECE},
    {"instruction", MEMBER_PIECE},  {"input", MEMBER_PIECE},
    {"output", MEMBER_PIECE},       {"system", MEMBER_PIECE},
    {"metadata", MEMBER_METADATA},  {"auth_weight", MEMBER_AUTH},
    {"prov_entropy", MEMBER_BITS},  {"provenance_score", MEMBER_SCORE},
};
enum { N_MEMBERS = sizeof members / sizeof *members, NOT_LISTED = -1 };
static const char OTHER_BORDER = 1; /* between strings of other members: no word and no phrase crosses it */

enum status score_row_init(struct score_row *s, struct ctx *c, const struct rules *rules, struct score_row_options options)
{
    *s = (struct score_row){.c = c, .rules = rules, .options = options};
    json_scan_init(&s->scan, c, "", "", 0);
    buf_init(&s->text, c, 0);
    buf_init(&s->values, c, 0);
    buf_init(&s->other, c, 0);
    s->counts = score_counts_new(c, rules);
    return c->status;
}

void score_row_release(struct score_row *s)
{
    json_scan_release(&s->scan);
    buf_release(&s->text);
    buf_release(&s->values);
    buf_release(&s->other);
    mem_free(s->c, s->counts);
    mem_free(s->c, s->kept);
}

/* ---- values ---- */

/* Index into members of the key that was just read, or NOT_LISTED. */
static int find_member(const struct json_scan *scan)
{
    for (int i = 0; i < N_MEMBERS; i++)
        if (members[i].name[0] == scan->string[0] && json_scan_is(scan, members[i].name)) return i;
    return NOT_LISTED;
}

/* The last string as a value, copied where it will not lie still. Values point into `values`, so it gets memory for the
 * whole row at its first string: decoded strings are never longer than the row. */
static struct score_value score_row_take_string(struct score_row *s, enum score_value_kind kind)
{
    struct score_value v = {.kind = kind, .n = s->scan.string_bytes, .text = s->scan.string};
    bool inside = v.text >= s->bytes && v.text <= s->bytes + s->n;
    if (inside) return v;
    size_t at = s->values.len;
    if (at == 0 && s->values.capacity <= s->n) {
        buf_append(&s->values, s->bytes, s->n);
        buf_clear(&s->values);
    }
    buf_append(&s->values, v.text, v.n);
    v.text = buf_str(&s->values) + at;
    return v;
}

/* A string of another member, for the heuristic scorer. */
static void add_other(struct score_row *s)
{
    if (s->rules->scorer != SCORER_HEURISTIC) return;
    buf_append(&s->other, s->scan.string, s->scan.string_bytes);
    buf_append(&s->other, &OTHER_BORDER, 1);
}

/* Skips the value that starts with token `t`; its strings (with the original's rules its keys too) are other strings. */
static bool skip_value(struct score_row *s, enum json_token t)
{
    int outside = s->scan.depth - (t == SCAN_OBJECT || t == SCAN_ARRAY);
    for (;; t = json_scan_next(&s->scan)) {
        if (t == SCAN_FAILED) return false;
        if (t == SCAN_STRING || (t == SCAN_KEY && s->rules->original)) add_other(s);
        if (s->scan.depth == outside && t != SCAN_KEY) return true;
    }
}

/* The value that starts with token `t` for a scorer. */
static bool read_field(struct score_row *s, enum json_token t, struct score_value *out)
{
    size_t begin = s->scan.token_at;
    *out = (struct score_value){.kind = t == SCAN_NULL ? VALUE_ABSENT : t == SCAN_TRUE ? VALUE_TRUE : VALUE_OTHER};
    if (t == SCAN_STRING) *out = score_row_take_string(s, VALUE_STRING);
    if (t == SCAN_INTEGER) {
        *out = score_row_take_string(s, VALUE_INTEGER);
        if (!json_scan_i64(&s->scan, &out->integer)) out->kind = VALUE_OTHER;
    }
    if (!skip_value(s, t)) return false;
    if (out->kind == VALUE_OTHER) {
        out->text = s->bytes + begin;
        out->n = s->scan.at - begin;
    }
    return true;
}

/* Fields of the object "metadata", one level deep. */
static bool read_metadata(struct score_row *s, enum json_token t)
{
    if (t != SCAN_OBJECT || s->rules->original) return skip_value(s, t);
    for (;;) {
        t = json_scan_next(&s->scan);
        if (t == SCAN_FAILED) return false;
        if (t == SCAN_OBJECT_END) return true;
        int i = find_member(&s->scan);
        t = json_scan_next(&s->scan);
        bool field = i != NOT_LISTED && members[i].member < SCORE_FIELDS;
        if (!(field ? read_field(s, t, &s->nested[members[i].member]) : skip_value(s, t))) return false;
    }
}

/* ---- text ---- */

/* Takes the last string as the text, or as one more piece of it. */
static void add_text(struct score_row *s, bool piece)
{
    const char *string = s->scan.string;
    size_t n = s->scan.string_bytes;
    bool inside = string >= s->bytes && string <= s->bytes + s->n;
    if (!piece) {
        s->direct = NULL;
        buf_clear(&s->text);
    } else if (s->has_pieces) {
        if (s->direct) buf_append(&s->text, s->direct, s->input.n);
        s->direct = NULL;
        buf_append_char(&s->text, '\n');
        inside = false;
    }
    if (inside) {
        s->direct = string;
        s->input.n = n;
    } else {
        buf_append(&s->text, string, n);
    }
    s->has_pieces |= piece;
}

/* prompt, messages, ...: a string, or every string under "content", "value" or "text" in it. */
static bool read_pieces(struct score_row *s, enum json_token t)
{
    int outside = s->scan.depth - (t == SCAN_OBJECT || t == SCAN_ARRAY);
    bool wanted = true;
    for (;; t = json_scan_next(&s->scan)) {
        if (t == SCAN_FAILED) return false;
        if (t == SCAN_KEY)
            wanted = json_scan_is(&s->scan, "content") || json_scan_is(&s->scan, "value") || json_scan_is(&s->scan, "text");
        else if (t == SCAN_STRING && wanted && !s->has_text)
            add_text(s, true);
        if (s->scan.depth == outside && t != SCAN_KEY) return true;
    }
}

/* The member "text". It replaces pieces that came before it and makes later ones unread. */
static bool read_text(struct score_row *s, enum json_token t)
{
    if (t == SCAN_NULL) return true;
    if (t != SCAN_STRING) return json_scan_fail(&s->scan, "\"text\" must be a string");
    add_text(s, false);
    s->has_text = true;
    return true;
}

/* ---- the row ---- */

/* Remembers a member that is written out again when old scores are left out. */
static bool keep_member(struct score_row *s, size_t begin)
{
    if (s->n_kept == s->kept_room) {
        size_t wider = s->kept_room ? 2 * s->kept_room : 32;
        struct row_range *moved = mem_resize(s->c, s->kept, s->kept_room, wider, sizeof *moved);
        if (!moved) return false;
        s->kept = moved;
        s->kept_room = wider;
    }
    s->kept[s->n_kept++] = (struct row_range){begin, s->scan.at};
    return true;
}

/* One member, its key just read. */
static bool read_member(struct score_row *s)
{
    size_t begin = s->scan.token_at;
    int i = find_member(&s->scan), member = i == NOT_LISTED ? MEMBER_OTHER : members[i].member;
    if (i != NOT_LISTED) {
        if (s->seen >> i & 1) return json_scan_fail(&s->scan, "duplicate key \"%s\"", members[i].name);
        s->seen |= UINT32_C(1) << i;
    }
    if (s->rules->original && member != MEMBER_TEXT) add_other(s);
    enum json_token t = json_scan_next(&s->scan);
    bool ok;
    if (s->options.read_scores && (member == MEMBER_AUTH || member == MEMBER_BITS) && (t == SCAN_INTEGER || t == SCAN_REAL))
        *(member == MEMBER_AUTH ? &s->given_auth : &s->given_entropy) = strtod(s->scan.string, NULL);
    if (member < SCORE_FIELDS)
        ok = read_field(s, t, &s->input.field[member]);
    else if (member == MEMBER_TEXT)
        ok = read_text(s, t);
    else if (member == MEMBER_PIECE)
        ok = read_pieces(s, t);
    else if (member == MEMBER_METADATA)
        ok = read_metadata(s, t);
    else
        ok = skip_value(s, t);
    if (!ok) return false;
    if (member < MEMBER_SCORE) return keep_member(s, begin);
    s->has_scores |= t != SCAN_NULL;
    s->has_members = true;
    return true;
}

/* Empties the scratch. */
static void score_row_begin(struct score_row *s, const char *what, const char *bytes, size_t n)
{
    json_scan_restart(&s->scan, what, bytes, n);
    s->text.cap_bytes = s->values.cap_bytes = s->other.cap_bytes = 2 * n + 64;
    buf_clear(&s->text);
    buf_clear(&s->values);
    buf_clear(&s->other);
    memset(&s->input, 0, sizeof s->input);
    memset(s->nested, 0, sizeof s->nested);
    s->bytes = bytes;
    s->n = n;
    s->direct = NULL;
    s->has_text = s->has_pieces = s->has_scores = s->has_members = s->no_text = false;
    s->given_auth = s->given_entropy = NAN;
    s->seen = 0;
    s->n_kept = 0;
}

/* Reads the row's members. False with the failure in the ctx. */
static bool read_object(struct score_row *s)
{
    if (json_scan_next(&s->scan) != SCAN_OBJECT)
        return ctx_ok(s->c) && json_scan_fail(&s->scan, "a row must be a JSON object");
    for (;;) {
        enum json_token t = json_scan_next(&s->scan);
        if (t == SCAN_FAILED) return false;
        if (t == SCAN_OBJECT_END) break;
        if (!read_member(s)) return false;
    }
    s->close = s->scan.token_at;
    return json_scan_next(&s->scan) == SCAN_END;
}

/* What the row leaves open: members in "metadata", the text, the prior. */
static bool score_row_finish(struct score_row *s, const char *what)
{
    struct score_input *in = &s->input;
    for (int f = 0; f < SCORE_FIELDS; f++)
        if (in->field[f].kind == VALUE_ABSENT) in->field[f] = s->nested[f];
    s->no_text = !s->has_text && !s->has_pieces;
    if (s->no_text) return ctx_fail(s->c, E_INPUT, "%s: the row has no text (text, prompt, messages, ...)", what), false;
    in->text = s->direct ? s->direct : buf_str(&s->text);
    if (!s->direct) in->n = s->text.len;
    in->other = buf_str(&s->other);
    in->other_n = s->other.len;
    const struct score_value *type = &in->field[FIELD_SOURCE_TYPE];
    if (type->kind != VALUE_ABSENT && type->kind != VALUE_STRING)
        return ctx_fail(s->c, E_INPUT, "%s: \"source_type\" must be a string", what), false;
    if (s->options.use_prior) in->prior = *type;
    if (s->rules->original && s->rules->scorer == SCORER_CITATION) /* it looks at the text alone */
        in->field[FIELD_CITATIONS].kind = in->field[FIELD_CITATION_COUNT].kind = VALUE_ABSENT;
    if (!s->has_scores || s->options.existing != EXISTING_STOP)
        return buf_ok(&s->text) && buf_ok(&s->values) && buf_ok(&s->other);
    ctx_fail(s->c, E_INPUT, "%s: the row has scores already; --existing keep leaves such rows, replace scores them anew",
             what);
    return false;
}

/* ---- writing ---- */

/* Digits of an integer; snprintf would cost more than the whole scan. */
static size_t digits(char *out, uint64_t v)
{
    char last_first[24];
    size_t n = 0, at = 0;
    do last_first[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    while (n > 0) out[at++] = last_first[--n];
    return at;
}

/* A number with at most six decimals, rounded, without zeros behind them. Scores and their parts are far below 2^40. */
static size_t fixed6(char *out, double v)
{
    uint64_t scaled = (uint64_t)(fabs(v) * 1e6 + 0.5), part = scaled % 1000000;
    size_t at = 0;
    if (v < 0 && scaled > 0) out[at++] = '-';
    at += digits(out + at, scaled / 1000000);
    if (part == 0) return at;
    out[at++] = '.';
    for (uint64_t place = 100000; part > 0; place /= 10) {
        out[at++] = (char)('0' + part / place);
        part %= place;
    }
    return at;
}

static void add_integer(struct buf *out, const char *before, int64_t v)
{
    char text[24];
    buf_append_str(out, before);
    if (v < 0) buf_append_char(out, '-');
    buf_append(out, text, digits(text, v < 0 ? -(uint64_t)v : (uint64_t)v));
}

static void score_row_add_number(struct buf *out, const char *before, double v)
{
    char text[48];
    buf_append_str(out, before);
    buf_append(out, text, fixed6(text, v));
}

/* One object of parts: {"base":0.3,"citations":0.02, ...}. */
static void add_parts(struct buf *out, const char *name, const char *const *names, const double *parts)
{
    buf_append_str(out, name);
    for (int i = 0; names[i]; i++) {
        buf_append_str(out, i ? ",\"" : "\"");
        buf_append_str(out, names[i]);
        score_row_add_number(out, "\":", parts[i]);
    }
    buf_append_char(out, '}');
}

/* The kinds of source found, with their counts; kinds that were not found are left out. */
static void add_types(struct buf *out, const struct rules *r, const struct score_result *result)
{
    bool any = false;
    buf_append_str(out, ",\"source_types\":{");
    for (size_t i = 0; i < r->n_types; i++) {
        if (result->types[i] == 0) continue;
        buf_append_str(out, any ? ",\"" : "\"");
        buf_append_str(out, r->types[i]);
        add_integer(out, "\":", result->types[i]);
        any = true;
    }
    buf_append_char(out, '}');
}

/* What all rows say together about the topic of this one (score_evidence.h). */
static void add_evidence(struct buf *out, const struct score_evidence *e)
{
    add_integer(out, ",\"evidence\":{\"rows\":", e->rows);
    add_integer(out, ",\"copy_groups\":", e->groups);
    add_integer(out, ",\"kinds\":", e->kinds);
    score_row_add_number(out, ",\"entropy\":", e->entropy);
    score_row_add_number(out, ",\"copies\":", e->copies);
    score_row_add_number(out, ",\"compression\":", e->compression);
    score_row_add_number(out, ",\"coordination\":", e->coordination);
    buf_append_char(out, '}');
}

/* The members that this command adds to a row. */
static void add_scores(struct score_row *s, struct buf *out)
{
    const struct score_result *r = &s->result;
    score_row_add_number(out, "\"auth_weight\":", r->auth_weight);
    score_row_add_number(out, ",\"prov_entropy\":", r->prov_entropy);
    if (!s->options.breakdown) return;
    buf_append_str(out, ",\"provenance_score\":{\"method\":\"");
    buf_append_str(out, r->method);
    if (r->has_year)
        add_integer(out, "\",\"year\":", r->year);
    else
        buf_append_str(out, "\",\"year\":null");
    add_integer(out, ",\"citations\":", r->citations);
    add_integer(out, ",\"primary\":", r->primary);
    add_parts(out, ",\"authority\":{", score_authority_names(s->rules->scorer), r->authority);
    add_parts(out, ",\"entropy\":{", score_entropy_names(s->rules->scorer), r->entropy);
    if (s->rules->scorer == SCORER_CITATION) add_types(out, s->rules, r);
    if (s->has_evidence) add_evidence(out, &s->evidence);
    buf_append_char(out, '}');
}

/* Bytes of the row on one line: outside of strings a line end is white space, and inside of them it cannot stand. */
void score_row_line(const char *bytes, size_t n, struct buf *out)
{
    size_t from = out->len;
    buf_append(out, bytes, n);
    if (!buf_ok(out) || !memchr(bytes, '\n', n)) return;
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r') out->data[i] = ' ';
}

/* The row's own members, without its last brace. Rows with a member of ours (null counts as no score, but it is there) are
 * put together again from the others; all others are copied as they are. */
static void score_row_add_members(struct score_row *s, struct buf *out)
{
    if (!s->has_members) {
        size_t end = s->close;
        while (s->bytes[end - 1] == ' ' || s->bytes[end - 1] == '\t' || s->bytes[end - 1] == '\n' ||
               s->bytes[end - 1] == '\r')
            end--;
        score_row_line(s->bytes, end, out);
        return;
    }
    for (size_t i = 0; i < s->n_kept; i++) {
        buf_append_char(out, i ? ',' : '{');
        score_row_line(s->bytes + s->kept[i].begin, s->kept[i].end - s->kept[i].begin, out);
    }
}

/* A row as it is written: unchanged where its scores are kept, else its own members and then the scores. */
static void add_row(struct score_row *s, struct buf *out)
{
    if (s->has_scores && s->options.existing == EXISTING_KEEP) {
        score_row_line(s->bytes, s->close + 1, out);
    } else {
        score_row_add_members(s, out);
        buf_append_char(out, ',');
        add_scores(s, out);
        buf_append_char(out, '}');
    }
    buf_append_char(out, '\n');
}

enum status score_row_read(struct score_row *s, const char *what, const char *bytes, size_t n)
{
    score_row_begin(s, what, bytes, n);
    if (read_object(s))
        score_row_finish(s, what);
    else
        foreign_row_explain(s->c, what, bytes, n);
    return s->c->status;
}

enum status score_row_write(struct score_row *s, const char *what, const char *bytes, size_t n, struct buf *out)
{
    if (score_row_read(s, what, bytes, n) != OK) return s->c->status;
    if (!s->has_scores || s->options.existing == EXISTING_REPLACE) {
        const struct score_evidence_source *e = s->options.evidence;
        score_document(s->rules, s->counts, &s->input, &s->result);
        s->has_evidence = e && e->find(e->evidence, s->input.text, s->input.n, &s->evidence);
        if (s->has_evidence) score_take_evidence(&s->result, &s->evidence);
    }
    add_row(s, out);
    return s->c->status;
}
