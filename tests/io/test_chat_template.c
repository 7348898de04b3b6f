/* Rendered conversations against transformers: ids and trained tokens (golden cases made by tools/gen_tokenizer_golden.py
 * and tools/gen_chat_golden.py), and what becomes of templates that rewrite, mark or leave open their turns. */
#include "io/template/chat_train.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "support_file.h"
#include "support_tokenizer.h"

/* The source of a golden case's template: one of tests/data/io/chat, or "corpus:NAME". free() it. */
static char *template_source(struct ctx *c, const char *name)
{
    char path[512];
    size_t n;
    if (strncmp(name, "corpus:", 7) != 0) {
        snprintf(path, sizeof path, "%s/io/chat/%s.jinja", TEST_DATA, name);
        return test_load(path, &n);
    }
    snprintf(path, sizeof path, "%s/corpora/templates/%s.tokenizer_config.json", SHARED_DIR, name + 7);
    json_t *config = json_parse_file(c, path, 1 << 24);
    if (!config) fail_msg("missing test data: %s: %s", path, c->message);
    const char *source = json_string_value(json_object_get(config, "chat_template"));
    assert_non_null(source);
    char *copy = strdup(source);
    json_decref(config);
    return copy;
}

/* A small tokenizer with a template of its own. */
static struct tokenizer *open_with(struct ctx *c, const char *name, const char *source)
{
    struct buf config;
    buf_init(&config, c, 1 << 20);
    buf_append_str(&config, "{\"chat_template\":");
    json_append_string(&config, source, strlen(source));
    buf_append_str(&config, "}");
    const char *const files[][2] = {{"tokenizer_config.json", buf_str(&config)}, {NULL, NULL}};
    struct tokenizer *t = test_tokenizer(c, test_tokenizer_folder(name, files));
    buf_release(&config);
    return t;
}

/* ---- what training sees, as text: "<trained>" in double brackets, one sequence a line ---- */

struct seen {
    struct ctx *c;
    const struct tokenizer *t;
    struct buf text;
    struct ids first; /* of the first sequence, and its codes */
    struct buf codes;
    int sequences;
};

static enum status see(void *user, const struct ids *ids, const char *codes)
{
    struct seen *s = user;
    char on = 0;
    if (s->sequences++ > 0) buf_append_str(&s->text, "\n--\n");
    for (size_t i = 0; i < ids->n; i++) {
        if (s->sequences == 1) ids_push(s->c, &s->first, ids->data[i]);
        if (codes[i] != on && on) buf_append_str(&s->text, "]]");
        if (codes[i] != on && codes[i] == 1) buf_append_str(&s->text, "[[");
        if (codes[i] != on && codes[i] > 1) buf_printf(&s->text, "[[%g:", chat_weight((uint8_t)codes[i]));
        on = codes[i];
        tokenizer_decode(s->c, s->t, &ids->data[i], 1, false, &s->text);
    }
    if (s->sequences == 1) buf_append(&s->codes, codes, ids->n);
    if (on) buf_append_str(&s->text, "]]");
    return s->c->status;
}

static void seen_init(struct seen *s, struct ctx *c, const struct tokenizer *t)
{
    *s = (struct seen){.c = c, .t = t};
    buf_init(&s->text, c, 1 << 20);
    buf_init(&s->codes, c, 1 << 20);
}

static void seen_release(struct seen *s)
{
    buf_release(&s->text);
    buf_release(&s->codes);
    ids_release(s->c, &s->first);
}

/* ---- golden ids and masks ---- */

/* The template of the last row, kept open: rows of one template stand together. */
struct golden {
    char name[64];
    struct tokenizer *t;
    struct chat_train train;
    int templates, several;
};

static void golden_close(struct golden *g)
{
    chat_template_close(g->train.template);
    tokenizer_free(g->t);
}

static void golden_open(struct ctx *c, struct golden *g, const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "template"));
    if (strcmp(name, g->name) == 0) return;
    golden_close(g);
    char *source = template_source(c, name);
    g->t = open_with(c, json_string_value(json_object_get(row, "tokenizer")), source);
    g->train = (struct chat_train){.template = chat_template_open(c, g->t, CHAT_OWN, NULL)};
    if (!g->train.template) fail_msg("%s: %s", name, c->message);
    snprintf(g->name, sizeof g->name, "%s", name);
    g->templates++;
    free(source);
}

/* The ids of the whole text, and the trained tokens where the conversation stays one sequence. */
static void golden_row(struct ctx *c, const json_t *row, void *user)
{
    struct golden *g = user;
    golden_open(c, g, row);
    const struct chat_conversation talk = {.messages = json_object_get(row, "messages")};
    const char *want = json_string_value(json_object_get(row, "trained"));
    bool prompt = json_is_true(json_object_get(row, "prompt"));
    struct jinja_output text = {0};
    struct ids ids = {0};
    struct seen s;
    uint8_t codes[64];
    char *label = json_dumps(row, 0);
    memset(codes, 1, sizeof codes);
    seen_init(&s, c, g->t);
    if (chat_template_render(c, g->train.template, &talk, json_array_size(talk.messages), prompt, &text) != OK ||
        chat_template_encode(c, g->train.template, &text, &ids, NULL) != OK)
        fail_msg("%s: %s", label, c->message);
    test_ids_equal(&ids, json_object_get(row, "ids"), label);
    if (!prompt) {
        if (chat_train_run(c, &g->train, &talk, codes, see, &s) != OK) fail_msg("%s: %s", label, c->message);
        g->several += s.sequences > 1;
        if (s.sequences == 1) {
            test_ids_equal(&s.first, json_object_get(row, "ids"), label);
            assert_int_equal(s.codes.len, strlen(want));
            for (size_t i = 0; i < s.codes.len; i++)
                if (s.codes.data[i] != want[i] - '0') fail_msg("trained differs at %zu: %s\n%s", i, label, buf_str(&s.text));
        }
    }
    free(label);
    seen_release(&s);
    ids_release(c, &ids);
    jinja_output_release(c, &text);
}

static bool is_of_corpora(const json_t *row)
{
    return strncmp(json_string_value(json_object_get(row, "template")), "corpus:", 7) == 0;
}

/* Rows whose template is committed, and those that take it from the corpora. */
static void committed_row(struct ctx *c, const json_t *row, void *user)
{
    if (!is_of_corpora(row)) golden_row(c, row, user);
}

static void corpora_row(struct ctx *c, const json_t *row, void *user)
{
    if (is_of_corpora(row)) golden_row(c, row, user);
}

static void golden(void (*run)(struct ctx *c, const json_t *row, void *user), int templates, int several)
{
    struct ctx *c = ctx_new(NULL);
    struct golden g = {.name = ""};
    assert_int_equal(test_each_line(c, "chat/cases.jsonl", run, &g), 7 * 13 * 2);
    assert_int_equal(g.templates, templates);
    assert_int_equal(g.several, several);
    golden_close(&g);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static void test_golden(void **state)
{
    (void)state;
    golden(committed_row, 4, 0);
}

static void test_golden_of_corpora(void **state)
{
    (void)state;
    golden(corpora_row, 3, 4);
}

/* --mask exact is transformers' return_assistant_tokens_mask. */
static void marks_row(struct ctx *c, const json_t *row, void *user)
{
    int *n = user;
    struct tokenizer *t = open_with(c, json_string_value(json_object_get(row, "tokenizer")),
                                    json_string_value(json_object_get(row, "template")));
    const struct chat_conversation talk = {.messages = json_object_get(row, "messages")};
    struct chat_train train = {.template = chat_template_open(c, t, CHAT_OWN, NULL), .mask = CHAT_MASK_EXACT};
    const char *want = json_string_value(json_object_get(row, "trained"));
    uint8_t codes[16];
    struct seen s;
    char *label = json_dumps(row, 0);
    memset(codes, 1, sizeof codes);
    seen_init(&s, c, t);
    if (!train.template || chat_train_run(c, &train, &talk, codes, see, &s) != OK) fail_msg("%s: %s", label, c->message);
    test_ids_equal(&s.first, json_object_get(row, "ids"), label);
    assert_int_equal(s.codes.len, strlen(want));
    for (size_t i = 0; i < s.codes.len; i++)
        if (s.codes.data[i] != want[i] - '0') fail_msg("trained differs at %zu: %s\n%s", i, label, buf_str(&s.text));
    ++*n;
    free(label);
    seen_release(&s);
    chat_template_close(train.template);
    tokenizer_free(t);
}

static void test_exact_marks(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    int n = 0;
    test_each_line(c, "chat/marks.jsonl", marks_row, &n);
    assert_int_equal(n, 10 * 16 + 1);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* ---- marks added to templates of models (tools/gen_corpora_masks.py) ---- */

/* The template of models/NAME with the marks of a golden line. free() it. */
static char *marked_source(const json_t *line)
{
    char path[512];
    size_t n, at = 0, i;
    json_t *mark;
    snprintf(path, sizeof path, "%s/corpora/templates/jinja/%s", SHARED_DIR,
             json_string_value(json_object_get(line, "template")));
    char *plain = test_load(path, &n), *source = calloc(n + 100, 1);
    assert_non_null(source);
    json_array_foreach(json_object_get(line, "marks"), i, mark)
    {
        size_t to = (size_t)json_integer_value(json_array_get(mark, 0));
        assert_true(at <= to && to <= n);
        strncat(source, plain + at, to - at);
        strcat(source, json_string_value(json_array_get(mark, 1)));
        at = to;
    }
    strcat(source, plain + at);
    free(plain);
    return source;
}

static void assert_digest(const void *bytes, size_t n, const json_t *want, const char *label)
{
    struct sha256 s;
    uint8_t digest[32];
    char hex[65];
    sha256_init(&s);
    sha256_update(&s, bytes, n);
    sha256_final(&s, digest);
    sha256_hex(digest, hex);
    if (strncmp(hex, json_string_value(want), 16) != 0) fail_msg("%s differs", label);
}

/* One conversation against [tokens, digest of the ids, digest of the mask]. False for one that is refused because the
 * template would lose a part of it, which transformers does without a word. */
static bool masked_talk(struct ctx *c, const struct tokenizer *t, const json_t *row, const json_t *want, const char *label)
{
    json_t *more = json_copy((json_t *)(uintptr_t)row);
    struct chat_train train = {.template = chat_template_open(c, t, CHAT_OWN, NULL), .mask = CHAT_MASK_EXACT};
    const struct chat_conversation talk = {
        .messages = json_object_get(row, "messages"), .tools = json_object_get(row, "tools"), .more = more};
    uint8_t codes[64];
    char what[512];
    struct seen s;
    bool refused = false;
    json_object_del(more, "messages");
    json_object_del(more, "tools");
    json_object_del(more, "add_generation_prompt");
    memset(codes, 1, sizeof codes);
    assert_true(json_array_size(talk.messages) <= sizeof codes);
    seen_init(&s, c, t);
    if (train.template && chat_train_run(c, &train, &talk, codes, see, &s) != OK &&
        (strstr(c->message, "so that it would be lost") || strstr(c->message, "does not show to the model")))
        refused = true;
    if (!refused && !ctx_ok(c)) fail_msg("%s: %s", label, c->message);
    if (refused) {
        ctx_clear(c);
        goto out;
    }
    assert_int_equal(s.sequences, 1);
    snprintf(what, sizeof what, "%s: ids of %zu tokens, not %d,", label, s.first.n,
             (int)json_integer_value(json_array_get(want, 0)));
    assert_digest(s.first.data, s.first.n * sizeof *s.first.data, json_array_get(want, 1), what);
    for (size_t i = 0; i < s.codes.len; i++) s.codes.data[i] += '0';
    snprintf(what, sizeof what, "%s: mask", label);
    assert_digest(s.codes.data, s.codes.len, json_array_get(want, 2), what);
out:
    seen_release(&s);
    chat_template_close(train.template);
    json_decref(more);
    return !refused;
}

struct corpora_marks {
    json_t *rows; /* of conversations.jsonl */
    int templates, talks, refused;
};

static void corpora_marks_line(struct ctx *c, const json_t *line, void *user)
{
    struct corpora_marks *m = user;
    char *source = marked_source(line), label[256];
    struct tokenizer *t = open_with(c, json_string_value(json_object_get(line, "tokenizer")), source);
    const json_t *wants = json_object_get(line, "rows");
    assert_int_equal(json_array_size(wants), json_array_size(m->rows));
    for (size_t i = 0; i < json_array_size(wants); i++) {
        if (json_is_null(json_array_get(wants, i))) continue;
        snprintf(label, sizeof label, "%s, conversation %zu", json_string_value(json_object_get(line, "template")), i);
        if (masked_talk(c, t, json_array_get(m->rows, i), json_array_get(wants, i), label))
            m->talks++;
        else
            m->refused++;
    }
    m->templates++;
    tokenizer_free(t);
    free(source);
}

static void keep_row(struct ctx *c, const json_t *row, void *user)
{
    (void)c;
    json_array_append(user, (json_t *)(uintptr_t)row);
}

static void test_marks_of_corpora(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct corpora_marks m = {.rows = json_array()};
    test_each_line(c, "../jinja/conversations.jsonl", keep_row, m.rows);
    test_each_line(c, "chat/corpora_marks.jsonl", corpora_marks_line, &m);
    print_message("%d templates, %d conversations, %d refused\n", m.templates, m.talks, m.refused);
    assert_int_equal(m.templates, 32);
    assert_int_equal(m.talks, 798);
    assert_int_equal(m.refused, 111);
    json_decref(m.rows);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* ---- turns of templates in public forms (our own wording), over a small tokenizer ---- */

static json_t *parse(struct ctx *c, const char *text)
{
    json_t *o = json_parse(c, "test", text, strlen(text));
    if (!o) fail_msg("%s: %s", text, c->message);
    return o;
}

struct turns_case {
    const char *template, *messages, *want;
    enum chat_train_on on;
    enum chat_mask mask;
    const char *codes; /* one a message; NULL: all 1 */
    struct chat_notes notes;
};

#define TALK                                                                                                                \
    "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":"     \
    "\"c\"},"                                                                                                               \
    "{\"role\":\"assistant\",\"content\":\"d\"}]"
#define TURN(role, text) "<|im_start|>" role "\n" text "<|im_end|>\n"
#define PLAIN                                                                                                               \
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"                  \
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
#define MARKED(before, inside, after)                                                                                       \
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\n" before "' }}{% generation %}"        \
    "{{ m.content" inside " }}{% endgeneration %}" after "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + "       \
    "'<|im_end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

static const struct turns_case turns_cases[] = {
    {.template = PLAIN,
     .messages = TALK,
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    {.template = PLAIN,
     .messages = TALK,
     .on = CHAT_TRAIN_LAST,
     .want = TURN("user", "a") TURN("assistant", "b") TURN("user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    {.template = PLAIN,
     .messages = TALK,
     .codes = "\1\0\1\1",
     .want = TURN("user", "a") TURN("assistant", "b") TURN("user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    {.template = PLAIN,
     .messages = TALK,
     .codes = "\1\51\1\1",
     .want = TURN("user", "a") "<|im_start|>assistant\n[[0.2:b<|im_end|>]]\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    {.template = PLAIN,
     .messages = TALK,
     .codes = "\1\0\1\0",
     .want = TURN("user", "a") TURN("assistant", "b") TURN("user", "c") TURN("assistant", "d")},
    {.template = "{{ 'a' }}" PLAIN,
     .messages = "[{\"role\":\"user\",\"content\":\"b\"}]",
     .on = CHAT_TRAIN_ALL,
     .want = "[[a<|im_start|>user\nb<|im_end|>\n]]"},
    /* no line break after the end; the header is written behind the question; closed only when a message follows */
    {.template = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}{% endfor %}"
                 "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
     .messages = TALK,
     .want = "<|im_start|>user\na<|im_end|><|im_start|>assistant\n[[b<|im_end|>]]<|im_start|>user\nc<|im_end|>"
             "<|im_start|>assistant\n[[d<|im_end|>]]"},
    {.template = "{% for m in messages %}{% if m.role == 'user' %}{{ '<|im_start|>user\n' + m.content + '<|im_end|>\n"
                 "<|im_start|>assistant\n' }}{% else %}{{ m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}",
     .messages = TALK,
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    {.template = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}{% if not loop.last %}"
                 "{{ '<|im_end|>\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}"
                 "{{ '<|im_end|>\n<|im_start|>assistant\n' }}{% endif %}",
     .messages = TALK,
     .notes = {.unended = 1},
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN("user", "c") "<|im_start|>assistant\n[[d]]"},
    /* something behind the last turn stays untrained; a generation prompt that opens a block */
    {.template = PLAIN "{% if messages[-1].role == 'assistant' %}{{ '<|endoftext|>' }}{% endif %}",
     .messages = TALK,
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n<|endoftext|>"},
    {.template = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
                 "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{% endif %}",
     .messages = TALK,
     .notes = {.unlike = 1},
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    /* the assistant begins */
    {.template = PLAIN,
     .messages = "[{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":\"c\"}]",
     .want = "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN("user", "c")},
    {.template = "{{ '' if messages[0].role else '' }}" PLAIN, /* does not render without a message */
     .messages = "[{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":\"c\"}]",
     .want = "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN("user", "c")},
    /* earlier turns are rewritten: each becomes a sequence of its own, and those that agree share one */
    {.template = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + (m.content if loop.last or m.role == 'user' "
                 "else m.content[:1]) + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
                 "{{ '<|im_start|>assistant\n' }}{% endif %}",
     .messages = "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"bb\"},{\"role\":\"user\","
                 "\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"d\"},{\"role\":\"user\",\"content\":\"e\"}]",
     .notes = {.rewritten = 1},
     .want = TURN("user", "a") TURN("assistant", "b") TURN("user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n" TURN(
         "user", "e") "\n--\n" TURN("user", "a") "<|im_start|>assistant\n[[bb<|im_end|>]]\n"},
    /* marks: with the end, without it, with more than the turn; a mark inside of a macro is not used */
    {.template = MARKED("", " + '<|im_end|>'", "{{ '\n' }}"),
     .messages = TALK,
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    {.template = MARKED("", "", "{{ '<|im_end|>\n' }}"),
     .messages = TALK,
     .notes = {.extended = 1},
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    {.template = MARKED("", "", "{{ '<|im_end|>\n' }}"),
     .messages = TALK,
     .mask = CHAT_MASK_EXACT,
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b]]<|im_end|>\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d]]<|im_end|>\n"},
    {.template = MARKED("", "", "{{ '<|im_end|>\n' }}"),
     .messages = TALK,
     .mask = CHAT_MASK_EXACT,
     .on = CHAT_TRAIN_LAST,
     .want = TURN("user", "a") TURN("assistant", "b") TURN("user", "c") "<|im_start|>assistant\n[[d]]<|im_end|>\n"},
    {.template = "{% macro turn(m) %}{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{% endmacro %}"
                 "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + turn(m) + '\n' }}{% endfor %}"
                 "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
     .messages = TALK,
     .want = TURN("user", "a") "<|im_start|>assistant\n[[b<|im_end|>]]\n" TURN(
         "user", "c") "<|im_start|>assistant\n[[d<|im_end|>]]\n"},
    /* control tokens in the text of a row are text */
    {.template = PLAIN,
     .messages = "[{\"role\":\"user\",\"content\":\"<|im_end|>\"},{\"role\":\"assistant\",\"content\":\"b<|im_end|>\\nc\"}]",
     .want = TURN("user", "<|im_end|>") "<|im_start|>assistant\n[[b<|im_end|>\nc<|im_end|>]]\n"},
    /* parts for a template that adds strings, arguments in a string for one that wants an object, and no content */
    {.template = PLAIN,
     .messages = "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]},"
                 "{\"role\":\"assistant\",\"content\":\"c\"}]",
     .want = TURN("user", "ab") "<|im_start|>assistant\n[[c<|im_end|>]]\n"},
    {.template = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}{% for t in m.tool_calls or [] %}"
                 "{{ t.function.arguments | tojson }}{% endfor %}{{ '<|im_end|>\n' }}{% endfor %}"
                 "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
     .messages = "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
                 "\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}}]}]",
     .want = TURN("user", "a") "<|im_start|>assistant\n[[{\"x\": 1}<|im_end|>]]\n"},
};

static void run_turns_case(struct ctx *c, const struct turns_case *k)
{
    struct tokenizer *t = open_with(c, "qwen", k->template);
    json_t *messages = parse(c, k->messages);
    const struct chat_conversation talk = {.messages = messages};
    struct chat_train train = {.template = chat_template_open(c, t, CHAT_OWN, NULL), .on = k->on, .mask = k->mask};
    uint8_t codes[16];
    struct seen s;
    memset(codes, 1, sizeof codes);
    if (k->codes) memcpy(codes, k->codes, json_array_size(messages));
    seen_init(&s, c, t);
    if (!train.template || chat_train_run(c, &train, &talk, codes, see, &s) != OK)
        fail_msg("%s: %s", k->template, c->message);
    size_t n = strlen(k->want);
    if (s.text.len != n || strcmp(buf_str(&s.text), k->want) != 0)
        fail_msg("%s\ngot  %s\nwant %s", k->template, buf_str(&s.text), k->want);
    if (memcmp(&train.notes, &k->notes, sizeof k->notes) != 0) fail_msg("%s: other notes", k->template);
    seen_release(&s);
    chat_template_close(train.template);
    json_decref(messages);
    tokenizer_free(t);
}

static void test_turns(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof turns_cases / sizeof turns_cases[0]; i++) run_turns_case(c, &turns_cases[i]);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* ---- templates that come with the program, tokens by name, dates, tools ---- */

static void expect_prompt(struct ctx *c, const struct tokenizer *t, enum chat_choice choice, const char *date,
                          const struct chat_conversation *talk, const char *want)
{
    struct chat_template *ct = chat_template_open(c, t, choice, date);
    struct jinja_output text = {0};
    struct ids ids = {0};
    if (!ct || chat_template_render(c, ct, talk, json_array_size(talk->messages), true, &text) != OK ||
        chat_template_prompt(c, ct, talk, &ids) != OK)
        fail_msg("%s", c->message);
    assert_string_equal(text.text, want);
    assert_true(ids.n > 0);
    ids_release(c, &ids);
    jinja_output_release(c, &text);
    chat_template_close(ct);
}

static void test_choices(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *messages = parse(c, "[{\"role\":\"user\",\"content\":\" a \"}]"), *tools = parse(c, "[{\"name\":\"f\"}]");
    struct chat_conversation talk = {.messages = messages};
    struct tokenizer *qwen = test_tokenizer_named(c, "qwen"), *llama = test_tokenizer_named(c, "llama3");
    expect_prompt(c, qwen, CHAT_CHATML, NULL, &talk, "<|im_start|>user\n a <|im_end|>\n<|im_start|>assistant\n");
    expect_prompt(c, llama, CHAT_LLAMA3, NULL, &talk,
                  "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\na<|eot_id|>"
                  "<|start_header_id|>assistant<|end_header_id|>\n\n");
    tokenizer_free(qwen);
    tokenizer_free(llama);
    const char *const files[][2] = {
        {"tokenizer_config.json",
         "{\"eos_token\":\"<|im_end|>\",\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"T{{ tools | length }}\"},"
         "{\"name\":\"default\",\"template\":\"D{{ eos_token }}{{ pad_token }}{{ strftime_now('%d %b %Y, %A') }}\"}]}"},
        {NULL, NULL}};
    struct tokenizer *t = test_tokenizer(c, test_tokenizer_folder("qwen", files));
    expect_prompt(c, t, CHAT_OWN, NULL, &talk, "D<|im_end|>26 Jul 2024, Friday");
    expect_prompt(c, t, CHAT_OWN, "2026-11-28", &talk, "D<|im_end|>28 Nov 2026, Saturday");
    talk.tools = tools;
    expect_prompt(c, t, CHAT_OWN, NULL, &talk, "T1");
    tokenizer_free(t);
    json_decref(messages);
    json_decref(tools);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* What cannot be rendered, or would lose something, is refused with the reason. */
static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *template, *messages;
        enum chat_mask mask;
        enum status status;
        const char *message;
    } cases[] = {
        {"{% include 'x' %}", TALK, CHAT_MASK_AUTO, E_UNSUPPORTED, "line 1: {% include %}"},
        {"{% if %}", TALK, CHAT_MASK_AUTO, E_INPUT, "the chat template: line 1"},
        {"\n{{ raise_exception('no ' ~ messages[0].role) }}", TALK, CHAT_MASK_AUTO, E_INPUT,
         "line 2: the template refuses the conversation: no user"},
        {PLAIN, "[]", CHAT_MASK_AUTO, E_INPUT, "without messages"},
        {PLAIN, "[7]", CHAT_MASK_AUTO, E_INPUT, "message 0 is not an object"},
        {PLAIN, TALK, CHAT_MASK_EXACT, E_UNSUPPORTED, "needs a chat template with {% generation %}"},
        {PLAIN, "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{}]}]", CHAT_MASK_AUTO, E_INPUT, "'tool_calls'"},
        {PLAIN, "[{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"x\"}]", CHAT_MASK_AUTO, E_INPUT, "'thinking'"},
    };
    struct ctx *c = ctx_new(NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tokenizer *t = open_with(c, "qwen", cases[i].template);
        json_t *messages = parse(c, cases[i].messages);
        const struct chat_conversation talk = {.messages = messages};
        struct chat_train train = {.template = chat_template_open(c, t, CHAT_OWN, NULL), .mask = cases[i].mask};
        uint8_t codes[16] = {1, 1, 1, 1};
        struct seen s;
        seen_init(&s, c, t);
        if (train.template) chat_train_run(c, &train, &talk, codes, see, &s);
        test_expect(c, cases[i].status, cases[i].message, cases[i].template);
        seen_release(&s);
        chat_template_close(train.template);
        json_decref(messages);
        tokenizer_free(t);
    }
    struct tokenizer *bare = test_tokenizer_named(c, "qwen");
    assert_null(chat_template_open(c, bare, CHAT_OWN, NULL));
    test_expect(c, E_UNSUPPORTED, "the model has no chat template", "none");
    assert_null(chat_template_open(c, bare, CHAT_LLAMA3, NULL));
    test_expect(c, E_INPUT, "needs the token \"<|start_header_id|>\"", "tokens");
    static const char *const dates[] = {"today", "2024-7-2x", "2024-13-01", "2023-02-29"};
    for (size_t i = 0; i < 4; i++) {
        assert_null(chat_template_open(c, bare, CHAT_CHATML, dates[i]));
        test_expect(c, E_INPUT, dates[i], "date");
    }
    tokenizer_free(bare);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

static enum status count_sequence(void *user, const struct ids *ids, const char *codes)
{
    (void)ids;
    (void)codes;
    ++*(int *)user;
    return OK;
}

/* Rendering, adapting and finding turns over a template that rewrites one and marks both. */
static void train_something(struct ctx *c)
{
    static const struct chat_conversation empty = {0};
    char *folder = strdup(test_tokenizer_folder("qwen", (const char *const[][2]){{NULL, NULL}}));
    struct tokenizer *t = tokenizer_open(c, folder);
    struct chat_train train = {.template = t ? chat_template_open(c, t, CHAT_CHATML, NULL) : NULL};
    static const char text[] =
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},{\"role\":\"assistant\",\"content\":\"b\"}]";
    json_t *messages = train.template ? json_parse(c, "test", text, strlen(text)) : NULL;
    struct chat_conversation talk = empty;
    uint8_t codes[2] = {1, 1};
    int n = 0;
    talk.messages = messages;
    if (messages) chat_train_run(c, &train, &talk, codes, count_sequence, &n);
    json_decref(messages);
    chat_template_close(train.template);
    tokenizer_free(t);
    free(folder);
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_true(test_every_allocation(train_something) > 20);
}

static void test_weights(void **state)
{
    (void)state;
    for (int i = 0; i <= 200; i++) {
        int code = chat_weight_code(i / 200.0);
        assert_in_range(code, 0, 200);
        assert_true(chat_weight((uint8_t)code) == i / 200.0);
    }
    assert_true(chat_weight_code(0.3333) == -1 && chat_weight_code(-0.5) == -1 && chat_weight_code(2) == -1);
}

/* With the word "corpora": the tests that need ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),    cmocka_unit_test(test_exact_marks), cmocka_unit_test(test_turns),
        cmocka_unit_test(test_choices),   cmocka_unit_test(test_refused),     cmocka_unit_test(test_weights),
        cmocka_unit_test(test_no_memory),
    };
    const struct CMUnitTest corpora[] = {
        cmocka_unit_test(test_golden_of_corpora),
        cmocka_unit_test(test_marks_of_corpora),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
