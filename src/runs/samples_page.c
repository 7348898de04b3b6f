/* samples_page: a few prompts with the answers before and after the training. Each is a table of two columns, which a phone
 * can show. */
#include <stdio.h>

#include "report/page.h"
#include "runs/run_page_parts.h"
#include "runs/samples.h"

static void samples_page_line(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "<tr><th>%s</th><td class=\"answer\">", name);
    if (text && *text)
        page_text(out, text);
    else
        buf_append_str(out, text ? "<span class=\"dim\">(nothing)</span>" : "<span class=\"dim\">(not yet)</span>");
    buf_append_str(out, "</td></tr>\n");
}

static void samples_page_one(struct buf *out, const struct sample_answer *a, int64_t step)
{
    char after[48] = "after";
    if (step) snprintf(after, sizeof after, "after, step %lld", (long long)step);
    buf_append_str(out, "<table class=\"text\">\n");
    samples_page_line(out, "row", a->row);
    samples_page_line(out, "prompt", a->prompt);
    samples_page_line(out, "row goes on", a->expected);
    samples_page_line(out, "before", a->before);
    samples_page_line(out, after, a->after);
    buf_append_str(out, "</table>\n");
}

enum status run_samples_write(const struct run_read *r, struct buf *out)
{
    struct samples s;
    if (samples_read(r->c, r->run, &s) == OK && s.n) {
        buf_append_str(out, "<h3>Samples</h3>\n");
        for (size_t i = 0; i < s.n; i++) samples_page_one(out, &s.list[i], s.step);
        buf_printf(
            out,
            "<p class=\"dim\">What the model answers before the training and after it: the most probable tokens, %d at "
            "most. --samples says to how many prompts.</p>\n",
            SAMPLES_TOKENS);
    }
    samples_release(&s);
    return r->c->status;
}
