/* chat_train: finds what the assistant wrote in a rendered conversation (chat_train.h has the rule).
 *
 * Where a turn begins and ends is found by rendering prefixes. For user, assistant, user, assistant:
 *
 *   A  messages 0..0 with a generation prompt    <user>Hi</user><assistant>
 *   B  messages 0..1                             <user>Hi</user><assistant>Hello</assistant>
 *
 * A is a prefix of B, so the turn is what B has beyond A. When B in turn is not a prefix of the whole conversation, the
 * template rewrites earlier turns, and B becomes a sequence of its own. */
#include "io/template/chat_train.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"

/* Bytes [start, end) of a rendered text that are trained, and how (chat_weight). */
struct trained_range {
    size_t start, end;
    uint8_t code;
};

struct range_list {
    struct trained_range *data; /* owned; in order, without overlap */
    size_t n, room;
};

/* A turn of the assistant that is trained. */
struct turn {
    size_t message;
    uint8_t code;
    bool done;
    struct range_list ranges;
    size_t end;         /* of its last range */
    uint8_t before[32]; /* SHA-256 of the text up to there, when the turn is the last message */
};

/* One conversation while it is looked at. */
struct chat_work {
    struct ctx *c;
    struct chat_train *t;
    const struct chat_conversation *talk;
    size_t n; /* messages */
    struct turn *turns;
    size_t n_turns;
    struct jinja_output whole; /* the conversation */
    bool extended, unended, unlike;
};

int chat_weight_code(double weight)
{
    double steps = round(weight * CHAT_WEIGHT_STEPS);
    if (weight == 0 || weight == 1) return (int)weight;
    if (!(steps > 0 && steps < CHAT_WEIGHT_STEPS) || fabs(steps / CHAT_WEIGHT_STEPS - weight) > 1e-12) return -1;
    return (int)steps + 1;
}

/* ---- ranges ---- */

/* Appends a range of bytes that is trained by a code; an empty one is left out. */
static enum status range_push(struct ctx *c, struct range_list *l, size_t start, size_t end, uint8_t code)
{
    if (end <= start) return OK;
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 4;
        struct trained_range *data = mem_resize(c, l->data, l->room, room, sizeof *data);
        if (!data) return c->status;
        l->data = data;
        l->room = room;
    }
    l->data[l->n++] = (struct trained_range){start, end, code};
    return OK;
}

/* Frees the list. */
static void range_release(struct ctx *c, struct range_list *l)
{
    mem_free(c, l->data);
    *l = (struct range_list){0};
}

/* Tokenises a text and gives it on, with the tokens trained that have a byte in a range. */
static enum status give_sequence(struct chat_work *w, const struct jinja_output *text, const struct range_list *l,
                                 chat_sequence_fn take, void *user)
{
    struct ids ids = {0};
    struct token_spans spans = {0};
    struct ctx *c = w->c;
    char *codes = NULL;
    size_t at = 0;
    if (chat_template_encode(c, w->t->template, text, &ids, &spans) == OK) codes = mem_alloc(c, ids.n + 1, 1);
    for (size_t i = 0; codes && i < ids.n; i++) {
        const struct token_span *k = &spans.data[i];
        size_t end = k->end > k->start ? k->end : k->start + 1; /* the first half of a character has no width */
        while (at < l->n && l->data[at].end <= k->start) at++;
        /* A token that straddles the start of a range counts as inside: the model has to produce it. */
        bool in = at < l->n && end > l->data[at].start;
        codes[i] = (char)(in ? l->data[at].code : 0);
    }
    if (codes) take(user, &ids, codes);
    mem_free(c, codes);
    ids_release(c, &ids);
    token_spans_release(c, &spans);
    return c->status;
}

/* ---- where a turn is ---- */

/* How far two texts agree, in whole characters. */
static size_t common_bytes(const struct jinja_output *a, const struct jinja_output *b)
{
    size_t n = a->n < b->n ? a->n : b->n, i = 0;
    while (i < n && a->text[i] == b->text[i]) i++;
    while (i > 0 && i < n && ((unsigned char)a->text[i] & 0xC0) == 0x80) i--;
    return i;
}

/* Whether all bytes of a range came from messages. */
static bool is_outside(const struct jinja_output *text, size_t start, size_t end)
{
    return !memchr(text->outside + start, 0, end - start);
}

/* The next control token that the template wrote. */
static bool next_control(const struct chat_work *w, const struct jinja_output *text, size_t from, size_t *start, size_t *end,
                         int32_t *id)
{
    const struct tokenizer *t = chat_template_tokenizer(w->t->template);
    while (tokenizer_next_special(t, text->text, text->n, from, start, end, id)) {
        if (!is_outside(text, *start, *end)) return true;
        from = *end;
    }
    return false;
}

/* Where the turn that begins at `from` ends: behind the first token that stops a generation, else behind its last control
 * token; 0 when it has none. */
static size_t find_end(const struct chat_work *w, const struct jinja_output *text, size_t from)
{
    const struct tokenizer *t = chat_template_tokenizer(w->t->template);
    size_t last = 0, start, end;
    int32_t id;
    for (size_t at = from; next_control(w, text, at, &start, &end, &id); at = end) {
        last = end;
        if (tokenizer_is_stop(t, id)) break;
    }
    return last;
}

/* The first n messages, with a generation prompt behind them or not. */
static enum status render_first(struct chat_work *w, size_t n, bool prompt, struct jinja_output *out)
{
    return chat_template_render(w->c, w->t->template, w->talk, n, prompt, out);
}

/* The same turn with another content, to see from where on the text depends on it. */
static enum status render_other(struct chat_work *w, size_t message, struct jinja_output *out)
{
    const json_t *m = json_array_get(w->talk->messages, message);
    const char *content = json_string_value(json_object_get(m, "content"));
    json_t *list = json_copy((json_t *)w->talk->messages), *other = json_object();
    const char *text = content && content[strspn(content, " \t\r\n")] == 'Z' ? "Y" : "Z";
    if (!list || !other || json_object_set_new(other, "role", json_string("assistant")) != 0 ||
        json_object_set_new(other, "content", json_string(text)) != 0 || json_array_set(list, message, other) != 0)
        ctx_fail(w->c, E_MEMORY, "out of memory for a message");
    struct chat_conversation talk = *w->talk;
    talk.messages = list;
    if (ctx_ok(w->c)) chat_template_render(w->c, w->t->template, &talk, message + 1, false, out);
    json_decref(other);
    json_decref(list);
    return w->c->status;
}

/* The first byte of the last message of `text` that the model writes itself. */
static enum status find_start(struct chat_work *w, size_t message, const struct jinja_output *text, size_t *start)
{
    struct jinja_output prompt = {0}, other = {0};
    struct ctx *c = w->c;
    enum status status = render_first(w, message, true, &prompt);
    bool known = status == OK;
    *start = known ? common_bytes(&prompt, text) : 0;
    /* The usual case: the text begins with the whole generation prompt, and the turn follows it. */
    bool whole = known && *start == prompt.n;
    jinja_output_release(c, &prompt);
    if (whole || (!known && status != E_INPUT)) return c->status;
    /* Here the generation prompt is not how the turn begins in the finished text. Two other clues are left: up to where the
     * prompt and the text agree, and up to where the text stays the same when the answer is another one. The earlier of the
     * two is safe. */
    known = known && message > 0; /* without a message some templates render nothing that could be compared */
    if (known) w->unlike = true;
    ctx_clear(c);
    status = render_other(w, message, &other);
    size_t common = status == OK ? common_bytes(&other, text) : *start;
    if (status == E_INPUT && known) ctx_clear(c);
    if (!known || common < *start) *start = common;
    jinja_output_release(c, &other);
    return c->status;
}

/* The marks of a turn, the last of them extended to the token that ends it. */
static enum status push_marks(struct chat_work *w, const struct jinja_output *text, size_t from, struct turn *turn)
{
    struct range_list *l = &turn->ranges;
    size_t start, end;
    int32_t id;
    for (size_t i = 0; i < text->n_marks && !text->marks_lost; i++)
        if (text->marks[i].end > from) TRY(range_push(w->c, l, text->marks[i].start, text->marks[i].end, turn->code));
    if (l->n == 0) return OK;
    struct trained_range *last = &l->data[l->n - 1];
    size_t inside = find_end(w, text, last->start);
    if (inside > last->start && inside <= last->end) return OK;
    if (!next_control(w, text, last->end, &start, &end, &id)) return OK;
    size_t space = last->end;
    while (space < start && strchr(" \t\r\n", text->text[space])) space++;
    if (space < start) return OK;
    last->end = end;
    w->extended = true;
    return OK;
}

/* A digest of the text before a place: whether two renderings agree up to there is told without keeping both. */
static void digest_before(const struct jinja_output *text, size_t end, uint8_t digest[32])
{
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, text->text, end);
    sha256_final(&s, digest);
}

/* Finds the ranges of a turn in the text that ends with it. */
static enum status locate_turn(struct chat_work *w, struct turn *turn)
{
    struct jinja_output text = {0};
    size_t start = 0;
    enum status status = render_first(w, turn->message + 1, false, &text);
    if (status == OK) status = find_start(w, turn->message, &text, &start);
    if (status == OK) status = push_marks(w, &text, start, turn);
    if (status == OK && turn->ranges.n == 0) {
        /* Some templates write the token that ends a turn only when another message follows; then the whole conversation
         * shows it. */
        size_t end = find_end(w, &text, start), all = text.n, first, last;
        int32_t id;
        if (end == 0 && w->whole.n > all && common_bytes(&w->whole, &text) == all &&
            next_control(w, &w->whole, all, &first, &last, &id) && first == all &&
            tokenizer_is_stop(chat_template_tokenizer(w->t->template), id)) {
            status = range_push(w->c, &turn->ranges, start, last, turn->code); /* closed only when a message follows */
            all = last;
        } else {
            w->unended = w->unended || end == 0;
            status = range_push(w->c, &turn->ranges, start, end > 0 ? end : all, turn->code);
        }
    }
    if (status == OK && turn->ranges.n > 0) {
        turn->end = turn->ranges.data[turn->ranges.n - 1].end;
        const struct jinja_output *from = turn->end > text.n ? &w->whole : &text;
        digest_before(from, turn->end, turn->before);
    }
    turn->done = turn->ranges.n == 0;
    jinja_output_release(w->c, &text);
    return status;
}

/* ---- sequences ---- */

/* Gives a text with all turns that look in it as they do when they are the last; they are done then. */
static enum status give_matching(struct chat_work *w, const struct jinja_output *text, size_t n_turns, chat_sequence_fn take,
                                 void *user, bool *any)
{
    struct range_list all = {0};
    uint8_t digest[32];
    *any = false;
    for (size_t i = 0; i < n_turns && ctx_ok(w->c); i++) {
        struct turn *turn = &w->turns[i];
        if (turn->done || turn->end > text->n) continue;
        digest_before(text, turn->end, digest);
        if (memcmp(digest, turn->before, sizeof digest) != 0) continue;
        for (size_t k = 0; k < turn->ranges.n; k++)
            range_push(w->c, &all, turn->ranges.data[k].start, turn->ranges.data[k].end, turn->code);
        turn->done = *any = true;
    }
    if (ctx_ok(w->c) && *any) give_sequence(w, text, &all, take, user);
    range_release(w->c, &all);
    return w->c->status;
}

/* The whole conversation first; then, from the end, texts for the turns that look otherwise in it. */
static enum status give_turns(struct chat_work *w, chat_sequence_fn take, void *user)
{
    bool any, several = false;
    TRY(give_matching(w, &w->whole, w->n_turns, take, user, &any));
    bool nothing = !any;
    for (size_t i = w->n_turns; i-- > 0;) {
        struct jinja_output text = {0};
        if (w->turns[i].done) continue;
        several = several || !nothing || i > 0;
        enum status status = render_first(w, w->turns[i].message + 1, false, &text);
        if (status == OK) status = give_matching(w, &text, i + 1, take, user, &any);
        jinja_output_release(w->c, &text);
        TRY(status);
        BUG_ON(w->c, !w->turns[i].done, "turn %zu is not in its own text", i);
        nothing = false;
    }
    w->t->notes.rewritten += several;
    if (!nothing) return OK;
    const struct range_list none = {0}; /* no turn is trained: the caller says what becomes of such a row */
    return give_sequence(w, &w->whole, &none, take, user);
}

/* Marks alone: of all turns, or of those that a mark falls into with their own weight. */
static enum status give_exact(struct chat_work *w, chat_sequence_fn take, void *user)
{
    struct range_list all = {0};
    struct jinja_output *text = &w->whole;
    if (!chat_template_has_marks(w->t->template) || text->marks_lost)
        return ctx_fail(
            w->c, E_UNSUPPORTED,
            "--mask exact needs a chat template with {%% generation %%} marks%s; leave it out, or use the copy of "
            "the template that was made for training",
            text->marks_lost ? " outside of macros" : "");
    for (size_t i = 0; i < text->n_marks; i++) {
        uint8_t code = 1;
        if (text->n_marks == w->n_turns) code = w->turns[i].code;
        if (code > 0) range_push(w->c, &all, text->marks[i].start, text->marks[i].end, code);
    }
    for (size_t i = 0; i < w->n_turns && text->n_marks != w->n_turns && ctx_ok(w->c); i++)
        if (w->turns[i].code != 1)
            ctx_fail(w->c, E_UNSUPPORTED, "--mask exact with turns that are not trained alike: %zu marks for %zu turns",
                     text->n_marks, w->n_turns);
    if (ctx_ok(w->c)) give_sequence(w, text, &all, take, user);
    range_release(w->c, &all);
    return w->c->status;
}

/* The whole conversation, every token trained. */
static enum status give_all(struct chat_work *w, chat_sequence_fn take, void *user)
{
    struct range_list all = {0};
    enum status status = range_push(w->c, &all, 0, w->whole.n, 1);
    if (status == OK) status = give_sequence(w, &w->whole, &all, take, user);
    range_release(w->c, &all);
    return status;
}

/* ---- the turns of a conversation ---- */

/* Whether the assistant wrote a message. */
static bool is_assistant(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role && strcmp(role, "assistant") == 0;
}

/* The assistant's turns that are trained; with EXACT also the others, with code 0, because marks are counted. */
static enum status list_turns(struct chat_work *w, const uint8_t *codes)
{
    size_t last = w->n;
    for (size_t i = 0; i < w->n; i++)
        if (is_assistant(json_array_get(w->talk->messages, i))) last = i;
    w->turns = mem_alloc(w->c, w->n, sizeof *w->turns);
    if (!w->turns) return w->c->status;
    for (size_t i = 0; i < w->n; i++) {
        if (!is_assistant(json_array_get(w->talk->messages, i))) continue;
        uint8_t code = w->t->on == CHAT_TRAIN_LAST && i != last ? 0 : codes[i];
        if (code > 0 || w->t->mask == CHAT_MASK_EXACT) w->turns[w->n_turns++] = (struct turn){.message = i, .code = code};
    }
    return OK;
}

/* The sequences of a conversation, by what is to be trained of it. */
static enum status run_turns(struct chat_work *w, chat_sequence_fn take, void *user)
{
    if (w->t->on == CHAT_TRAIN_ALL) return give_all(w, take, user);
    if (w->t->mask == CHAT_MASK_EXACT) return give_exact(w, take, user);
    for (size_t i = 0; i < w->n_turns; i++) TRY(locate_turn(w, &w->turns[i]));
    return give_turns(w, take, user);
}

enum status chat_train_run(struct ctx *c, struct chat_train *t, const struct chat_conversation *talk, const uint8_t *codes,
                           chat_sequence_fn take, void *user)
{
    struct chat_work w = {.c = c, .t = t, .talk = talk, .n = json_array_size(talk->messages)};
    if (w.n == 0) return ctx_fail(c, E_INPUT, "a conversation without messages");
    enum status status = list_turns(&w, codes);
    if (status == OK) status = render_first(&w, w.n, false, &w.whole);
    if (status == OK) status = run_turns(&w, take, user);
    t->notes.extended += w.extended;
    t->notes.unended += w.unended;
    t->notes.unlike += w.unlike;
    for (size_t i = 0; w.turns && i < w.n_turns; i++) range_release(c, &w.turns[i].ranges);
    mem_free(c, w.turns);
    jinja_output_release(c, &w.whole);
    return status;
}
