/* suite_read: files of prompts and checks, by type and range. See suite.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "eval/suite.h"
#include "io/json.h"
#include "io/row_file.h"
#include "score/word.h"

enum { ITEMS_MAX = 1 << 16, CHECKS_MAX = 64, PHRASES_MAX = 1024, PHRASE_BYTES = 1000, CHARS_MAX = 1 << 20 };
static const double WEIGHT_MAX = 1e6;

/* Where messages say that something is. */
struct suite_place {
    struct ctx *c;
    char text[600]; /* "prompts.jsonl:3" */
};

/* The members that an object may have; any other is a mistake that would be passed over. */
static enum status suite_read_check_members(const struct suite_place *at, const json_t *o, const char *const *known)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)o, key, value)
    {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0) i++;
        if (!known[i]) return ctx_fail(at->c, E_INPUT, "%s: there is no member \"%s\"", at->text, key);
    }
    return OK;
}

/* A copy of a string; `fallback` where it is absent, NULL: it is required, and not empty. */
static char *suite_text(const struct suite_place *at, const json_t *o, const char *key, const char *fallback)
{
    const char *text = fallback;
    if (!json_member_string(at->c, at->text, o, key, !fallback, &text)) return NULL;
    if (!fallback && !*text) ctx_fail(at->c, E_INPUT, "%s: \"%s\" is empty", at->text, key);
    return ctx_ok(at->c) ? mem_strdup(at->c, text) : NULL;
}

/* A list of phrases in lower case; absent: an empty one. */
static enum status read_phrases(const struct suite_place *at, const json_t *o, const char *key, struct suite_phrases *out)
{
    const json_t *list = json_object_get(o, key);
    size_t n = json_array_size(list);
    if (!list || json_is_null(list)) return OK;
    if (!json_is_array(list) || n == 0 || n > PHRASES_MAX)
        return ctx_fail(at->c, E_INPUT, "%s: \"%s\" must be a list of 1 to %d phrases", at->text, key, PHRASES_MAX);
    out->list = mem_alloc(at->c, n, sizeof *out->list);
    for (; out->list && out->n < n; out->n++) {
        const json_t *one = json_array_get(list, out->n);
        size_t length = json_string_length(one);
        if (!json_is_string(one) || length == 0 || length > PHRASE_BYTES || strlen(json_string_value(one)) != length)
            return ctx_fail(at->c, E_INPUT, "%s: \"%s\"[%zu] must be a text of 1 to %d bytes", at->text, key, out->n,
                            PHRASE_BYTES);
        char *copy = mem_strdup(at->c, json_string_value(one));
        if (!copy) return at->c->status;
        for (char *p = copy; *p; p++) *p = word_lower(*p);
        out->list[out->n] = copy;
    }
    return at->c->status;
}

static enum status read_check(const struct suite_place *at, const json_t *o, struct suite_check *k)
{
    static const char *const known[] = {"name", "find", "min", "avoid", "penalty", "weight", "where", NULL};
    const char *where = "answer";
    if (!json_is_object(o)) return ctx_fail(at->c, E_INPUT, "%s: \"checks\" must be a list of objects", at->text);
    TRY(suite_read_check_members(at, o, known));
    k->name = suite_text(at, o, "name", "");
    if (!k->name) return at->c->status;
    TRY(read_phrases(at, o, "find", &k->find));
    TRY(read_phrases(at, o, "avoid", &k->avoid));
    if (k->find.n + k->avoid.n == 0) return ctx_fail(at->c, E_INPUT, "%s: a check needs \"find\" or \"avoid\"", at->text);
    k->min = k->find.n > 0;
    k->penalty = 0.2;
    k->weight = 1;
    json_member_i64(at->c, at->text, o, "min", false, 0, (int64_t)k->find.n, &k->min);
    json_member_f64(at->c, at->text, o, "penalty", false, 0, 1, &k->penalty);
    json_member_f64(at->c, at->text, o, "weight", false, 1e-6, WEIGHT_MAX, &k->weight);
    if (json_member_string(at->c, at->text, o, "where", false, &where)) k->all = strcmp(where, "all") == 0;
    if (ctx_ok(at->c) && !k->all && strcmp(where, "answer") != 0)
        ctx_fail(at->c, E_INPUT, "%s: \"where\" is \"answer\" or \"all\"", at->text);
    return at->c->status;
}

static enum status read_checks(const struct suite_place *at, const json_t *o, struct suite_item *item)
{
    const json_t *list = json_object_get(o, "checks");
    size_t n = json_array_size(list);
    if (!json_is_array(list) || n == 0 || n > CHECKS_MAX)
        return ctx_fail(at->c, E_INPUT, "%s: \"checks\" must be a list of 1 to %d objects", at->text, CHECKS_MAX);
    item->checks = mem_alloc(at->c, n, sizeof *item->checks);
    if (!item->checks) return at->c->status;
    item->n_checks = n; /* zeroed: suite_close may free them at any time */
    for (size_t i = 0; i < n; i++) TRY(read_check(at, json_array_get(list, i), &item->checks[i]));
    return OK;
}

static enum status suite_read_item(const struct suite_place *at, int64_t row, const json_t *o, struct suite_item *item)
{
    static const char *const known[] = {"suite", "id",      "prompt",    "max_tokens", "min_chars",
                                        "match", "refusal", "threshold", "checks",     NULL};
    const char *match = "words";
    char number[24];
    if (!json_is_object(o)) return ctx_fail(at->c, E_INPUT, "%s: the row is no object", at->text);
    TRY(suite_read_check_members(at, o, known));
    snprintf(number, sizeof(number), "%" PRId64, row);
    item->suite = suite_text(at, o, "suite", "");
    item->id = suite_text(at, o, "id", number);
    item->prompt = suite_text(at, o, "prompt", NULL);
    item->threshold = NAN;
    json_member_i64(at->c, at->text, o, "max_tokens", false, 1, CHARS_MAX, &item->max_tokens);
    json_member_i64(at->c, at->text, o, "min_chars", false, 0, CHARS_MAX, &item->min_chars);
    json_member_f64(at->c, at->text, o, "threshold", false, 0, 1, &item->threshold);
    json_member_string(at->c, at->text, o, "match", false, &match);
    TRY(at->c->status);
    item->words = strcmp(match, "words") == 0;
    if (!item->words && strcmp(match, "substrings") != 0)
        return ctx_fail(at->c, E_INPUT, "%s: \"match\" is \"words\" or \"substrings\"", at->text);
    TRY(read_phrases(at, o, "refusal", &item->refusal));
    return read_checks(at, o, item);
}

/* Room for one more item. */
static enum status grow_items(struct suite *s, size_t *room)
{
    if (s->n == ITEMS_MAX) return ctx_fail(s->c, E_INPUT, "more than %d prompts", ITEMS_MAX);
    if (s->n < *room) return OK;
    struct suite_item *more = mem_resize(s->c, s->items, *room, 2 * *room + 16, sizeof *more);
    if (!more) return s->c->status;
    s->items = more;
    *room = 2 * *room + 16;
    return OK;
}

static enum status suite_read_file(struct suite *s, const char *path, size_t *room)
{
    struct row_bytes row;
    struct suite_place at = {.c = s->c};
    struct row_file *f = row_file_open(s->c, path);
    while (f && ctx_ok(s->c) && row_file_next(f, &row)) {
        snprintf(at.text, sizeof(at.text), "%s:%" PRId64, row_file_name(f), row.row);
        if (row.too_long || row.is_text) ctx_fail(s->c, E_INPUT, "%s: is no JSON object of a prompt", at.text);
        json_t *doc = ctx_ok(s->c) ? json_parse(s->c, at.text, row.bytes, row.n) : NULL;
        if (doc && grow_items(s, room) == OK) suite_read_item(&at, row.row, doc, &s->items[s->n++]);
        json_decref(doc);
    }
    row_file_close(f);
    return s->c->status;
}

struct suite *suite_open(struct ctx *c, const char *const *paths, size_t n_paths)
{
    size_t room = 0;
    struct suite *s = mem_alloc(c, 1, sizeof *s);
    if (!s) return NULL;
    s->c = c;
    for (size_t i = 0; i < n_paths && ctx_ok(c); i++) suite_read_file(s, paths[i], &room);
    if (ctx_ok(c) && s->n == 0) ctx_fail(c, E_INPUT, "%s: holds no prompt", paths[0]);
    if (ctx_ok(c)) return s;
    suite_close(s);
    return NULL;
}

static void release_phrases(struct ctx *c, struct suite_phrases *p)
{
    for (size_t i = 0; i < p->n; i++) mem_free(c, p->list[i]);
    mem_free(c, p->list);
}

void suite_close(struct suite *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) {
        struct suite_item *item = &s->items[i];
        for (size_t k = 0; k < item->n_checks; k++) {
            mem_free(s->c, item->checks[k].name);
            release_phrases(s->c, &item->checks[k].find);
            release_phrases(s->c, &item->checks[k].avoid);
        }
        mem_free(s->c, item->checks);
        release_phrases(s->c, &item->refusal);
        mem_free(s->c, item->suite);
        mem_free(s->c, item->id);
        mem_free(s->c, item->prompt);
    }
    mem_free(s->c, s->items);
    mem_free(s->c, s);
}
