/* try_line: looks for a prompt among the first rows of each file and prints the command with it, for instance
 *
 *   try it:  ./your_ai generate -m models/SmolLM2 --adapter runs/a/adapter --chat -p 'Who wrote the log?'
 *
 * A conversation gives the user's first message with the system message before it, a row with prompt and completion gives
 * its prompt, and a text its first six words. Rows whose prompt is empty, long or of several lines are passed over. */
#include "cli/try_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/shell_word.h"
#include "base/system.h"
#include "data/row_path.h"
#include "io/json.h"

/* Rows looked at, the longest prompt that is taken, and how much of a text stands as one. */
enum { ROWS_TRIED = 200, PROMPT_BYTES = 300, TEXT_WORDS = 6, LINE_BYTES = 1 << 14 };

/* A row's prompt; copies, because the record lasts until the next one only. */
struct try_prompt {
    char user[PROMPT_BYTES + 1], system[PROMPT_BYTES + 1];
    bool chat, has_system;
};

/* Copies a text that fits on a line; false for another one. */
static bool try_line_take(char out[PROMPT_BYTES + 1], const char *text, size_t n)
{
    if (!text || n == 0 || n > PROMPT_BYTES || memchr(text, '\n', n) || memchr(text, '\0', n)) return false;
    memcpy(out, text, n);
    out[n] = '\0';
    return true;
}

/* The first words of a text: what stands after them is what the model should say. */
static bool take_beginning(char out[PROMPT_BYTES + 1], const char *text, size_t n)
{
    size_t at = 0;
    for (int words = 0; at < n && at <= PROMPT_BYTES && words < TEXT_WORDS; words++) {
        while (at < n && text[at] == ' ') at++;
        while (at < n && text[at] != ' ' && text[at] != '\n') at++;
    }
    return at < n && try_line_take(out, text, at);
}

static bool take_content(char out[PROMPT_BYTES + 1], const json_t *message, const char *role)
{
    const char *is = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content");
    return is && strcmp(is, role) == 0 && try_line_take(out, json_string_value(content), json_string_length(content));
}

/* The first turn of the user, with the system message before it. Conversations with tools need more than a command line. */
static bool take_messages(struct try_prompt *p, const struct record *r)
{
    const json_t *first = json_array_get(r->messages, 0);
    if (r->tools || r->more) return false;
    p->chat = true;
    p->has_system = take_content(p->system, first, "system");
    return take_content(p->user, p->has_system ? json_array_get(r->messages, 1) : first, "user");
}

static bool take_record(struct try_prompt *p, const struct trainer *t, const struct record *r)
{
    const struct dataset_options *o = &t->config.rows;
    *p = (struct try_prompt){0};
    if (r->loss_weight == 0) return false;
    switch (r->kind) {
    case RECORD_MESSAGES:
        return take_messages(p, r);
    case RECORD_COMPLETION:
        p->chat = !o->raw && (o->chat != CHAT_OWN || tokenizer_chat_template(t->tokenizer));
        return try_line_take(p->user, r->prompt, r->prompt_bytes);
    case RECORD_TEXT:
        return take_beginning(p->user, r->text, r->text_bytes);
    }
    return false;
}

/* Looks through the first rows of a file. In a ctx of its own: what it would say has been said when the rows were read for
 * training, and that it cannot be read now is no fault of the run. */
static bool find_prompt(struct try_prompt *p, const struct trainer *t, const char *path)
{
    struct row_path parsed;
    struct record row;
    struct ctx *c = ctx_new(NULL);
    bool found = false;
    if (!c) return false;
    if (row_path_parse(c, path, &parsed) == OK) {
        bool again = !row_path_is_stdin(&parsed);
        row_path_release(c, &parsed);
        struct records *r = again ? records_open(c, &path, 1, true, t->config.rows.form) : NULL;
        for (int i = 0; r && !found && i < ROWS_TRIED && records_next(r, &row); i++) found = take_record(p, t, &row);
        records_close(r);
    }
    ctx_free(c);
    return found;
}

static void append_chat(struct buf *b, const struct trainer *t, const struct try_prompt *p)
{
    static const char *const template[] = {[CHAT_OWN] = NULL, [CHAT_CHATML] = "chatml", [CHAT_LLAMA3] = "llama3"};
    const struct dataset_options *o = &t->config.rows;
    buf_append_str(b, " --chat");
    if (template[o->chat]) buf_printf(b, " --template %s", template[o->chat]);
    if (o->date) {
        buf_append_str(b, " --date");
        shell_word_append(b, o->date);
    }
    if (!p->has_system) return;
    buf_append_str(b, " --system");
    shell_word_append(b, p->system);
}

enum status try_line_print(const struct trainer *t)
{
    const char *options = model_options_text(&t->model->options);
    struct try_prompt p = {0};
    struct buf b;
    bool found = false;
    for (size_t i = 0; i < t->config.rows.n_paths && !found; i++) found = find_prompt(&p, t, t->config.rows.paths[i]);
    buf_init(&b, t->c, LINE_BYTES);
    buf_append_str(&b, system_program());
    buf_append_str(&b, " generate -m");
    shell_word_append(&b, t->config.model);
    buf_append_str(&b, " --adapter");
    char *adapter = mem_printf(t->c, "%s/adapter", t->config.run);
    if (adapter) shell_word_append(&b, adapter);
    mem_free(t->c, adapter);
    if (*options) buf_printf(&b, " %.*s", (int)strlen(options) - 1, options); /* without the space at its end */
    if (found && p.chat) append_chat(&b, t, &p);
    buf_append_str(&b, " -p");
    if (found)
        shell_word_append(&b, p.user);
    else
        buf_append_str(&b, " 'a prompt of your rows'");
    if (buf_ok(&b)) printf("try it:  %s\n", buf_str(&b));
    buf_release(&b);
    return t->c->status;
}
