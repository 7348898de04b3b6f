/* export_card: see export_card.h. The card is read where the folder was moved to, so it names nothing outside of it. */
#include "export/export_card.h"

#include <string.h>

#include "base/mem.h"
#include "base/shell_word.h"
#include "base/utf8.h"
#include "export/card.h"
#include "export/peft.h"

/* ---- sentences that the command prints, too ----------------------------------------------------------------------------
 */

void export_append_check(struct buf *b, const struct export_result *r)
{
    const struct export_difference *d = &r->difference;
    if (!r->verified)
        buf_append_str(b, "left out (--no-verify)");
    else if (d->weights)
        buf_printf(b, "the weights of all matrices, read again, differ by %.2g (relative) from those that were merged",
                   d->relative);
    else
        buf_printf(b,
                   "of %lld x %lld logits the largest difference is %.3g (relative %.2g); most probable token equal at %lld "
                   "of %lld",
                   (long long)d->tokens, (long long)d->vocab, d->largest, d->relative, (long long)d->same_top,
                   (long long)d->tokens);
}

static const struct export_usage *export_usage_of(const struct export_source *s, const struct export_format *f)
{
    const struct export_usage *other = f->other_usage ? f->other_usage(s) : NULL;
    return other ? other : &f->usage;
}

/* A string of Python's in double quotes that stands for the path. What is no UTF-8 becomes what Python itself calls such a
 * byte of a path, a lone surrogate. */
static void python_string_append(struct buf *b, const char *path)
{
    buf_append_char(b, '"');
    for (size_t n = strlen(path); n > 0;) {
        size_t k = utf8_length((const uint8_t *)path, n);
        uint8_t byte = (uint8_t)*path;
        if (k == 0)
            buf_printf(b, "\\udc%02x", byte);
        else if (byte < ' ' || byte == 0x7f)
            buf_printf(b, "\\x%02x", byte);
        else if (byte == '"' || byte == '\\')
            buf_printf(b, "\\%c", byte);
        else
            buf_append(b, path, k);
        path += k ? k : 1;
        n -= k ? k : 1;
    }
    buf_append_char(b, '"');
}

/* The line for a shell alone. */
static void export_append_command(struct buf *b, const struct export_usage *u, const char *opens)
{
    const char *mark = strstr(u->python ? u->python : u->command, u->python ? "%s" : " %s");
    if (!u->python) {
        buf_append(b, u->command, (size_t)(mark - u->command));
        shell_word_append(b, opens);
        buf_append_str(b, mark + strlen(" %s"));
        return;
    }
    struct buf program;
    buf_init(&program, b->c, CARD_MAX_BYTES);
    buf_append(&program, u->python, (size_t)(mark - u->python));
    python_string_append(&program, opens);
    buf_append_str(&program, mark + strlen("%s"));
    buf_append_str(b, u->command);
    shell_word_append(b, buf_str(&program));
    buf_release(&program);
}

void export_append_usage(struct buf *b, const struct export_source *s, const struct export_format *f, const char *opens)
{
    const struct export_usage *u = export_usage_of(s, f);
    export_append_command(b, u, opens);
    if (u->note) buf_printf(b, "    (%s)", u->note);
}

static enum tensor_type type_of_base(const struct export_source *s)
{
    return s->model->blocks[0].o.source.type;
}

static bool is_quantised(const struct export_source *s)
{
    return tensor_type_info(type_of_base(s))->block > 1;
}

/* A merge adds to weights that were rounded when the file was made, so it is said which ones. */
void export_append_base_note(struct buf *b, const struct export_source *s)
{
    if (!s->lora || !is_quantised(s)) return;
    buf_printf(
        b,
        "the base is quantised (%s). Merging widens its weights to f32 and adds the adapter, as training saw them; it\n"
        "does not bring back what the quantisation lost. A better file comes of the unquantised base: -m owner/name\n",
        tensor_type_info(type_of_base(s))->name);
}

/* ---- the card -----------------------------------------------------------------------------------------------------------
 */

static void card_what(struct buf *b, const struct export_source *s, const struct export_target *t, const char *base)
{
    char name[EXPORT_TARGET_BYTES];
    bool adapter = t->format->is_adapter;
    buf_append_str(b, adapter   ? "# LoRA adapter\n\n"
                      : s->lora ? "# Model with a LoRA adapter merged in\n\n"
                                : "# Model in another format\n\n");
    buf_printf(b, "Exported by your_ai as `%s`: %s.\n\n- Base: `", export_target_text(t, name), t->format->holds);
    card_append_plain(b, card_model_name(base), strlen(base));
    buf_printf(b, "`, its weights in %s%s\n", tensor_type_info(type_of_base(s))->name,
               is_quantised(s) ? " (quantised)" : "");
    if (s->lora) {
        buf_append_str(b, adapter ? "- Adapter: " : "- Adapter, merged as W + s B A in f32 and rounded once: ");
        card_append_adapter(b, s->lora);
        buf_append_char(b, '\n');
    }
    buf_append_char(b, '\n');
}

/* What it means that the base is quantised. */
static void card_quantised(struct buf *b, const struct export_source *s, bool adapter)
{
    if (!s->lora || !is_quantised(s)) return;
    buf_append_str(b, "Note: ");
    if (adapter)
        buf_append_str(
            b, "the base is quantised, and the adapter fits those numbers best. On the unquantised base, or on another "
               "quantisation\nof it, it computes something slightly else.\n");
    else
        export_append_base_note(b, s);
    buf_append_char(b, '\n');
}

/* The line as a block of code, and below it what stands in brackets behind the line on the screen. */
static void card_usage(struct buf *b, const struct export_source *s, const struct export_target *t)
{
    const struct export_usage *u = export_usage_of(s, t->format);
    struct buf line;
    char *opens = t->format->opens(s, ".", t->type);
    buf_init(&line, s->c, CARD_MAX_BYTES);
    if (opens) export_append_command(&line, u, opens);
    buf_append_str(b, "## How to run it\n\nIn this folder:\n\n    ");
    card_append_code(b, buf_str(&line), line.len);
    buf_append_str(b, "\n\n");
    if (u->note) buf_printf(b, "%s.\n\n", u->note);
    buf_release(&line);
    mem_free(s->c, opens);
}

static void card_check(struct buf *b, const struct export_result *r)
{
    buf_append_str(b, "## Check\n\n");
    if (r->verified) buf_append_str(b, "The export was opened again and held against what was exported: ");
    if (!r->verified) buf_append_str(b, "The check of what was written was ");
    export_append_check(b, r);
    buf_append_str(b, r->verified ? ". `export.json` has these figures.\n" : ".\n");
}

/* An adapter is a difference to exact weights, and peft_check_base finds them here. A merged model needs none. */
static enum status card_base(struct buf *b, const struct export_source *s)
{
    buf_append_str(b, "\n## Weights of the base\n\nThe adapter was exported for exactly these weights:\n\n");
    return card_append_weights(b, s->model);
}

enum status export_card_write(const struct export_source *s, const struct export_target *t, const char *dir,
                              const struct export_result *r)
{
    struct ctx *c = s->c;
    const char *base = s->base_name ? s->base_name : s->model->name;
    struct buf b;
    buf_init(&b, c, CARD_MAX_BYTES);
    card_append_head(&b, base, t->format->library, s->lora && t->format->is_adapter);
    card_what(&b, s, t, base);
    card_quantised(&b, s, t->format->is_adapter);
    if (s->made_of) buf_append_str(&b, s->made_of);
    card_usage(&b, s, t);
    card_check(&b, r);
    if (t->format->is_adapter && ctx_ok(c)) card_base(&b, s);
    if (s->run && s->lora && ctx_ok(c)) peft_append_run(c, s->run, &b);
    card_write(c, dir, &b);
    buf_release(&b);
    return c->status;
}
