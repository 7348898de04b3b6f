/* ollama_template: see ollama_template.h. */
#include "export/gguf/ollama_template.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "io/template/chat_template.h"

/* What stands around messages. SYSTEM_BEFORE holds whatever the whole text begins with; NO_SYSTEM is that beginning where no
 * system message comes first; GENERATE is what asks for an answer. */
enum affix {
    SYSTEM_BEFORE,
    SYSTEM_AFTER,
    NO_SYSTEM,
    USER_BEFORE,
    USER_AFTER,
    ASSISTANT_BEFORE,
    ASSISTANT_AFTER,
    GENERATE,
    AFFIXES
};

struct ollama_template {
    struct ctx *c;
    struct chat_template *chat;
    const char *bos; /* left out at the beginning; "" for none */
    char *affix[AFFIXES];
};

/* A conversation as roles ("s", "u", "a") and the text of each. */
struct ollama_talk {
    const char *roles;
    const char *const *texts;
};

/* The model's template on a conversation, without BOS. NULL when it refuses it. Owner: the caller. */
static char *render_own(struct ollama_template *o, const struct ollama_talk *talk, bool prompt)
{
    struct chat_conversation all = {.messages = json_array()};
    struct jinja_output out = {0};
    char *text = NULL;
    size_t n = strlen(talk->roles), bos = strlen(o->bos);
    for (size_t i = 0; i < n && ctx_ok(o->c); i++) {
        const char *role = talk->roles[i] == 's' ? "system" : talk->roles[i] == 'u' ? "user" : "assistant";
        chat_template_add(o->c, (json_t *)(uintptr_t)all.messages, role, talk->texts[i], strlen(talk->texts[i]));
    }
    if (ctx_ok(o->c) && chat_template_render(o->c, o->chat, &all, n, prompt, &out) == OK) {
        bool cut = bos > 0 && out.n >= bos && memcmp(out.text, o->bos, bos) == 0;
        text = mem_printf(o->c, "%.*s", (int)(out.n - (cut ? bos : 0)), out.text + (cut ? bos : 0));
        jinja_output_release(o->c, &out);
    }
    json_decref((json_t *)(uintptr_t)all.messages);
    return text;
}

/* The text between two marks: from the start where `from` is NULL, to the end where `to` is. NULL when a mark is not there
 * once and in order. Owner: the caller. */
static char *between(struct ctx *c, const char *text, const char *from, const char *to)
{
    const char *begin = text ? text : "", *end;
    if (!text) return NULL;
    if (from) {
        begin = strstr(text, from);
        if (!begin || strstr(begin + 1, from)) return NULL;
        begin += strlen(from);
    }
    end = to ? strstr(begin, to) : begin + strlen(begin);
    return end ? mem_printf(c, "%.*s", (int)(end - begin), begin) : NULL;
}

/* What is left of `all` without `tail` at its end, or with `head` without that at its beginning. NULL: it is not there.
 * Frees all. */
static char *without_tail(struct ctx *c, char *all, const char *tail)
{
    char *left =
        all && tail && str_has_suffix(all, tail) ? mem_printf(c, "%.*s", (int)(strlen(all) - strlen(tail)), all) : NULL;
    mem_free(c, all);
    return left;
}
static char *without_head(struct ctx *c, char *all, const char *head)
{
    char *left = all && head && strncmp(all, head, strlen(head)) == 0 ? mem_printf(c, "%s", all + strlen(head)) : NULL;
    mem_free(c, all);
    return left;
}

/* Finds the affixes: a text's end, where nothing follows, tells what belongs to the last message, and so what the next one
 * begins with. False when the template has another form. */
static bool learn(struct ollama_template *o)
{
    static const char *const marks[] = {"Mark1", "Mark2", "Mark3", "Mark4"};
    const struct ollama_talk whole = {"suau", marks}, answered = {"sua", marks}, bare = {"u", marks};
    struct ctx *c = o->c;
    char *asked = render_own(o, &whole, true), *told = render_own(o, &whole, false), *done = render_own(o, &answered, false),
         *first = render_own(o, &bare, false), **x = o->affix;
    x[USER_AFTER] = between(c, told, marks[3], NULL);
    x[ASSISTANT_AFTER] = between(c, done, marks[2], NULL);
    x[GENERATE] = without_head(c, between(c, asked, marks[3], NULL), x[USER_AFTER]);
    x[ASSISTANT_BEFORE] = without_head(c, between(c, told, marks[1], marks[2]), x[USER_AFTER]);
    x[USER_BEFORE] = without_head(c, between(c, told, marks[2], marks[3]), x[ASSISTANT_AFTER]);
    x[SYSTEM_AFTER] = without_tail(c, between(c, told, marks[0], marks[1]), x[USER_BEFORE]);
    x[SYSTEM_BEFORE] = between(c, told, NULL, marks[0]);
    x[NO_SYSTEM] = without_tail(c, between(c, first, NULL, marks[0]), x[USER_BEFORE]);
    char *const texts[] = {asked, told, done, first};
    for (int i = 0; i < 4; i++) mem_free(c, texts[i]);
    for (int i = 0; i < AFFIXES; i++)
        if (!x[i]) return false;
    return true;
}

/* What the Go template makes of a conversation. */
static void render_affixes(const struct ollama_template *o, const struct ollama_talk *talk, struct buf *b)
{
    char *const *x = o->affix;
    if (talk->roles[0] != 's') buf_append_str(b, x[NO_SYSTEM]);
    for (size_t i = 0; talk->roles[i]; i++) {
        enum affix before = talk->roles[i] == 's'   ? SYSTEM_BEFORE
                            : talk->roles[i] == 'u' ? USER_BEFORE
                                                    : ASSISTANT_BEFORE,
                   after = talk->roles[i] == 's'   ? SYSTEM_AFTER
                           : talk->roles[i] == 'u' ? USER_AFTER
                                                   : ASSISTANT_AFTER;
        buf_printf(b, "%s%s%s", x[before], talk->texts[i], x[after]);
    }
    buf_append_str(b, x[GENERATE]);
}

static bool renders_the_same(struct ollama_template *o)
{
    static const char *const texts[] = {"Be brief, and \"quote\" it.",
                                        "What is 2 + 2?\n\n{{ x }} <b>&amp;</b>",
                                        "4.\n- 1\n- 2",
                                        "Grüße, it's 東京",
                                        "Yes",
                                        "one more"};
    const struct ollama_talk talks[] = {
        {"u", texts}, {"su", texts}, {"uau", texts + 1}, {"suauau", texts}, {"uauau", texts + 1}};
    bool same = true;
    for (size_t i = 0; i < sizeof talks / sizeof *talks && same; i++) {
        struct buf b;
        char *own = render_own(o, &talks[i], true);
        buf_init(&b, o->c, 1 << 20);
        render_affixes(o, &talks[i], &b);
        same = own && buf_ok(&b) && strcmp(own, buf_str(&b)) == 0;
        buf_release(&b);
        mem_free(o->c, own);
    }
    return same;
}

/* Text of a Go template means itself, but for what begins an action, and what would end the Modelfile's quotes. */
static bool can_be_written(const struct ollama_template *o)
{
    for (int i = 0; i < AFFIXES; i++) {
        size_t n = strlen(o->affix[i]);
        if (strstr(o->affix[i], "{{") || strstr(o->affix[i], "\"\"\"")) return false;
        if (n > 0 && (o->affix[i][n - 1] == '{' || o->affix[i][n - 1] == '"')) return false;
    }
    return true;
}

static void append_go(const struct ollama_template *o, struct buf *out)
{
    char *const *x = o->affix;
    buf_printf(out, "{{ if .System }}%s{{ .System }}%s", x[SYSTEM_BEFORE], x[SYSTEM_AFTER]);
    if (x[NO_SYSTEM][0]) buf_printf(out, "{{ else }}%s", x[NO_SYSTEM]);
    buf_printf(out, "{{ end }}{{ range .Messages }}{{ if eq .Role \"user\" }}%s{{ .Content }}%s", x[USER_BEFORE],
               x[USER_AFTER]);
    buf_printf(out, "{{ else if eq .Role \"assistant\" }}%s{{ .Content }}%s{{ end }}{{ end }}%s", x[ASSISTANT_BEFORE],
               x[ASSISTANT_AFTER], x[GENERATE]);
}

bool ollama_template_append(struct ctx *c, const struct tokenizer *t, struct buf *out)
{
    struct ollama_template o = {.c = c, .bos = ""};
    bool written = false;
    if (!t || !tokenizer_chat_template(t)) return false;
    const char *bos = tokenizer_adds_bos(t) && tokenizer_bos(t) >= 0 ? tokenizer_token(t, tokenizer_bos(t)) : NULL;
    if (bos) o.bos = bos;
    o.chat = chat_template_open(c, t, CHAT_OWN, NULL);
    if (o.chat && !chat_template_reads_clock(o.chat) && learn(&o) && renders_the_same(&o) && can_be_written(&o)) {
        append_go(&o, out);
        written = true;
    }
    for (int i = 0; i < AFFIXES; i++) mem_free(c, o.affix[i]);
    chat_template_close(o.chat);
    if (c->status == E_INPUT || c->status == E_UNSUPPORTED)
        ctx_clear(c); /* a template that refuses is one that is left out */
    return written && ctx_ok(c);
}
