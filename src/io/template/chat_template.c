/* A model's chat template is a program in Jinja. Running programs out of model files is not done here (llama-cpp-python's
 * CVE-2024-34359 came of it); the templates of two families are written out in C, and the source is only searched for what
 * tells them apart. A source with anything in it that could change the text in a way not known here is refused by name.
 *
 * ChatML     <|im_start|>ROLE\nCONTENT<|im_end|>\n a message. SmolLM2, Qwen 2 and 2.5 put a system message of their own
 * before a conversation that has none: it is read out of the source. Qwen 3 also rewrites assistant turns: reasoning
 *            ("<think>...</think>") is cut from those before the last question, and the last turn gets a block, empty if
 *            need be.
 * Llama 3    BOS, then <|start_header_id|>ROLE<|end_header_id|>\n\nCONTENT<|eot_id|> a message, CONTENT without white space
 *            at its ends. Llama 3.1 to 3.3 always start with a system message that names two dates. The second is today's
 *            where the template can ask the clock; here it is always the one that the template has for the other case,
 *            26 Jul 2024, so that the same rows give the same ids tomorrow.
 *
 * Between two control tokens text is tokenised in one go, header and content together, because the reference tokenises the
 * rendered text and merges may cross that border. A token that has bytes of both counts as content.
 */
#include "io/template/chat_template.h"

#include <stdio.h>
#include <string.h>

#include "io/template/chat_template_source.h"
#include "io/tokenizer/unicode.h"

static const char DATES[] = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

const char *chat_template_name(enum chat_template t)
{
    switch (t) {
    case CHAT_CHATML:
        return "chatml";
    case CHAT_LLAMA3:
        return "llama3";
    case CHAT_NONE:
        break;
    }
    return "none";
}

enum status chat_template_parse(struct ctx *c, const char *name, enum chat_template *out)
{
    for (int kind = CHAT_CHATML; kind <= CHAT_LLAMA3; kind++)
        if (strcmp(name, chat_template_name((enum chat_template)kind)) == 0) {
            *out = (enum chat_template)kind;
            return OK;
        }
    return ctx_fail(c, E_INPUT, "no chat template is called \"%s\"; there are chatml and llama3", name);
}

/* The recipe of a tokenizer's own template, when it is understood and of this family; else what the plain family does. */
static struct chat_recipe recipe_of(enum chat_template kind, const struct tokenizer *t)
{
    const char *source = tokenizer_chat_template(t);
    struct chat_recipe own;
    if (source && !chat_template_source_read(source, &own) && own.kind == kind) return own;
    return (struct chat_recipe){.kind = kind};
}

enum chat_template chat_template_detect(struct ctx *c, const struct tokenizer *t)
{
    const char *source = tokenizer_chat_template(t);
    struct chat_recipe found;
    if (!source) {
        ctx_fail(c, E_UNSUPPORTED, "the model has no chat template; name one: chatml or llama3");
        return CHAT_NONE;
    }
    const char *why = chat_template_source_read(source, &found);
    if (!why) return found.kind;
    if (found.kind == CHAT_NONE)
        ctx_fail(c, E_UNSUPPORTED, "the model's chat template (%s) is not supported, only ChatML and Llama 3", why);
    else
        ctx_fail(c, E_UNSUPPORTED, "the model's chat template looks like %s, but not all of it is known here: %s",
                 chat_template_name(found.kind), why);
    return CHAT_NONE;
}

struct renderer {
    struct ctx *c;
    const struct tokenizer *t;
    struct chat_recipe recipe;
    const struct chat_message *messages;
    size_t n;
    struct ids *ids;
    struct buf *trained;
    struct buf text;                      /* of the section between two control tokens */
    int32_t open, close, header_end, bos; /* control tokens of the family */
};

static enum status push_id(struct renderer *r, int32_t id, bool trained)
{
    TRY(ids_push(r->c, r->ids, id));
    buf_append_char(r->trained, trained ? 1 : 0);
    return buf_ok(r->trained) ? OK : r->c->status;
}

/* Tokenises r->text and empties it. With `trained`, tokens are trained from the one on that reaches past the header. */
static enum status push_text(struct renderer *r, size_t header_bytes, bool trained)
{
    size_t first = r->ids->n;
    if (!buf_ok(&r->text)) return r->c->status;
    TRY(tokenizer_encode(r->c, r->t, buf_str(&r->text), r->text.len, false, r->ids));
    buf_clear(&r->text);
    size_t passed = 0;
    bool content = false;
    for (size_t i = first; i < r->ids->n; i++) {
        if (!content) { /* the header is ASCII, so bytes of text and bytes of tokens are the same there */
            TRY(tokenizer_decode(r->c, r->t, &r->ids->data[i], 1, false, &r->text));
            passed += r->text.len;
            buf_clear(&r->text);
            content = passed > header_bytes;
        }
        buf_append_char(r->trained, trained && content ? 1 : 0);
    }
    return buf_ok(r->trained) ? OK : r->c->status;
}

static bool is_role(const struct chat_message *m, const char *role)
{
    return strcmp(m->role, role) == 0;
}

static bool is_trained(const struct chat_message *m)
{
    return is_role(m, "assistant") && m->weight != 0;
}

/* A string of n bytes; helpers for Qwen 3's string methods. */
struct span {
    const char *s;
    size_t n;
};

static struct span strip_breaks(struct span a, bool left, bool right)
{
    for (; left && a.n > 0 && a.s[0] == '\n'; a.n--) a.s++;
    while (right && a.n > 0 && a.s[a.n - 1] == '\n') a.n--;
    return a;
}

/* First or last place of a word, or NULL. */
static const char *find_word(struct span a, const char *word, bool last)
{
    size_t n = strlen(word);
    const char *found = NULL;
    for (const char *at = a.s; (at = memmem(at, a.n - (size_t)(at - a.s), word, n)) != NULL; at++) {
        found = at;
        if (!last) break;
    }
    return found;
}

/* content.split('</think>')[-1].lstrip('\n'), and what stands before it inside <think>, as the template takes it apart. */
static void split_reasoning(struct span *content, struct span *reasoning)
{
    static const char open[] = "<think>", close[] = "</think>";
    const char *first = find_word(*content, close, false), *last = find_word(*content, close, true);
    *reasoning = (struct span){"", 0};
    if (!first) return;
    struct span before = strip_breaks((struct span){content->s, (size_t)(first - content->s)}, false, true);
    const char *start = find_word(before, open, true);
    if (start) before = (struct span){start + strlen(open), before.n - (size_t)(start - before.s) - strlen(open)};
    *reasoning = strip_breaks(before, true, true);
    const char *rest = last + strlen(close);
    *content = strip_breaks((struct span){rest, content->n - (size_t)(rest - content->s)}, true, false);
}

/* Index of the last message that is a question and not the answer of a tool; the last message when there is none. */
static size_t last_query(const struct renderer *r)
{
    static const char open[] = "<tool_response>", close[] = "</tool_response>";
    for (size_t i = r->n; i-- > 0;) {
        const struct chat_message *m = &r->messages[i];
        size_t n = m->content_bytes, n_open = strlen(open), n_close = strlen(close);
        if (!is_role(m, "user")) continue;
        bool answer =
            n >= n_close && memcmp(m->content, open, n_open) == 0 && memcmp(m->content + n - n_close, close, n_close) == 0;
        if (!answer) return i;
    }
    return r->n - 1;
}

/* Writes the content of message i as Qwen 3's template rewrites it. */
static void write_qwen3(struct renderer *r, size_t i, size_t query)
{
    struct span content = {r->messages[i].content, r->messages[i].content_bytes}, reasoning;
    if (is_role(&r->messages[i], "assistant")) {
        split_reasoning(&content, &reasoning);
        if (i > query && (i + 1 == r->n || reasoning.n > 0)) {
            buf_append_str(&r->text, "<think>\n");
            buf_append(&r->text, reasoning.s, reasoning.n);
            buf_append_str(&r->text, "\n</think>\n\n");
            content = strip_breaks(content, true, false);
        }
    }
    buf_append(&r->text, content.s, content.n);
}

/* <|im_start|>, r->text, <|im_end|> and the line break after it. */
static enum status push_chatml_turn(struct renderer *r, size_t header_bytes, bool trained)
{
    TRY(push_id(r, r->open, false));
    TRY(push_text(r, header_bytes, trained));
    TRY(push_id(r, r->close, trained));
    buf_append_char(&r->text, '\n');
    return push_text(r, 0, false);
}

static enum status render_chatml(struct renderer *r, bool prompt)
{
    size_t query = last_query(r);
    if (r->recipe.system && !is_role(&r->messages[0], "system")) {
        buf_append_str(&r->text, "system\n");
        buf_append(&r->text, r->recipe.system, r->recipe.system_bytes);
        TRY(push_chatml_turn(r, 0, false));
    }
    for (size_t i = 0; i < r->n; i++) {
        const struct chat_message *m = &r->messages[i];
        buf_append_str(&r->text, m->role);
        buf_append_char(&r->text, '\n');
        size_t header_bytes = r->text.len;
        if (r->recipe.reasoning)
            write_qwen3(r, i, query);
        else
            buf_append(&r->text, m->content, m->content_bytes);
        TRY(push_chatml_turn(r, header_bytes, is_trained(m)));
    }
    if (!prompt) return OK;
    TRY(push_id(r, r->open, false));
    buf_append_str(&r->text, "assistant\n");
    return push_text(r, 0, false);
}

/* <|start_header_id|>ROLE<|end_header_id|>; leaves "\n\n" in r->text for the content to go on. */
static enum status push_llama3_header(struct renderer *r, const char *role)
{
    TRY(push_id(r, r->open, false));
    buf_append_str(&r->text, role);
    TRY(push_text(r, 0, false));
    TRY(push_id(r, r->header_end, false));
    buf_append_str(&r->text, "\n\n");
    return OK;
}

static void write_trimmed(struct renderer *r, const struct chat_message *m)
{
    const char *s = m->content;
    size_t n = m->content_bytes;
    unicode_strip(&s, &n);
    buf_append(&r->text, s, n);
}

static enum status render_llama3(struct renderer *r, bool prompt)
{
    size_t i = 0;
    TRY(push_id(r, r->bos, false));
    if (r->recipe.dates) {
        TRY(push_llama3_header(r, "system"));
        buf_append_str(&r->text, DATES);
        if (is_role(&r->messages[0], "system")) write_trimmed(r, &r->messages[i++]);
        TRY(push_text(r, 0, false));
        TRY(push_id(r, r->close, false));
    }
    for (; i < r->n; i++) {
        const struct chat_message *m = &r->messages[i];
        TRY(push_llama3_header(r, m->role));
        size_t header_bytes = r->text.len;
        write_trimmed(r, m);
        TRY(push_text(r, header_bytes, is_trained(m)));
        TRY(push_id(r, r->close, is_trained(m)));
    }
    if (!prompt) return OK;
    TRY(push_llama3_header(r, "assistant"));
    return push_text(r, 0, false);
}

static enum status find_control(struct renderer *r, const char *text, int32_t *id)
{
    *id = tokenizer_find(r->t, text);
    if (*id >= 0) return OK;
    return ctx_fail(r->c, E_INPUT, "the %s template needs the token \"%s\", which the tokenizer lacks",
                    chat_template_name(r->recipe.kind), text);
}

static enum status find_controls(struct renderer *r)
{
    if (r->recipe.kind == CHAT_CHATML) {
        TRY(find_control(r, "<|im_start|>", &r->open));
        return find_control(r, "<|im_end|>", &r->close);
    }
    TRY(find_control(r, "<|start_header_id|>", &r->open));
    TRY(find_control(r, "<|end_header_id|>", &r->header_end));
    TRY(find_control(r, "<|eot_id|>", &r->close));
    r->bos = tokenizer_bos(r->t);
    return r->bos >= 0 ? OK : find_control(r, "<|begin_of_text|>", &r->bos);
}

static enum status check_messages(struct ctx *c, const struct chat_message *messages, size_t n)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    if (n == 0) return ctx_fail(c, E_INPUT, "a conversation without messages");
    for (size_t i = 0; i < n; i++) {
        bool known = false;
        for (int k = 0; k < 3; k++) known = known || is_role(&messages[i], roles[k]);
        if (!known)
            return ctx_fail(c, E_UNSUPPORTED, "message %zu has role \"%.40s\"; system, user and assistant are supported", i,
                            messages[i].role);
    }
    return OK;
}

enum status chat_template_render(struct ctx *c, enum chat_template kind, const struct tokenizer *t,
                                 const struct chat_message *messages, size_t n, bool add_generation_prompt, struct ids *ids,
                                 struct buf *trained)
{
    BUG_ON(c, kind != CHAT_CHATML && kind != CHAT_LLAMA3, "chat template %d", (int)kind);
    TRY(check_messages(c, messages, n));
    struct renderer r = {.c = c, .t = t, .messages = messages, .n = n, .ids = ids, .trained = trained};
    r.recipe = recipe_of(kind, t);
    TRY(find_controls(&r));
    size_t longest = 4096 + r.recipe.system_bytes; /* headers and one token's text besides a content */
    for (size_t i = 0; i < n; i++)
        if (messages[i].content_bytes > longest) longest = messages[i].content_bytes;
    if (longest > SIZE_MAX / 8) return ctx_fail(c, E_INPUT, "a message of %zu bytes is too long", longest);
    buf_init(&r.text, c, 2 * longest);
    enum status st =
        kind == CHAT_CHATML ? render_chatml(&r, add_generation_prompt) : render_llama3(&r, add_generation_prompt);
    buf_release(&r.text);
    return st;
}
