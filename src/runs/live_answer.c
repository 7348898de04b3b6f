/* live_answer: see the header. The frame around the report may run one script, which is served here and only listens for
 * events and loads the report again; the report itself may run nothing (report/page.h). */
#include "runs/live_answer.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "io/json.h"
#include "runs/run_page.h"

#define REPORT_SECONDS 2.0

static const char frame_page[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
    "<title>Training</title><style>:root{color-scheme:light "
    "dark}body{margin:0;display:flex;flex-direction:column;height:100vh;"
    "font:15px/1.5 system-ui,sans-serif}p{margin:0;padding:.5em 1em}iframe{border:0;flex:1}</style>"
    "<p id=\"now\">waiting for the next step</p><iframe src=\"/page\" title=\"report\"></iframe>"
    "<script src=\"/live.js\"></script></html>\n";

/* The report is loaded again at most every five seconds, and stays where it was scrolled to. */
static const char frame_script[] =
    "'use strict';\n"
    "const now = document.getElementById('now'), frame = document.querySelector('iframe');\n"
    "let loaded = Date.now();\n"
    "const events = new EventSource('/events');\n"
    "events.onerror = () => { now.textContent = 'no answer: the training has ended, or stops'; };\n"
    "events.onmessage = (event) => {\n"
    "  const s = JSON.parse(event.data);\n"
    "  now.textContent = `step ${s.step} of ${s.total}` + (s.loss === null ? '' : `, loss ${s.loss.toFixed(4)}`);\n"
    "  if (Date.now() - loaded < 5000 && s.step !== s.total) return;\n"
    "  loaded = Date.now();\n"
    "  const y = frame.contentWindow.scrollY;\n"
    "  frame.onload = () => frame.contentWindow.scrollTo(0, y);\n"
    "  frame.contentWindow.location.reload();\n"
    "};\n";

enum status live_answer_open(struct live_answer *a, struct ctx *c, const char *run, const char *program)
{
    *a = (struct live_answer){.c = c, .open = true, .made = -REPORT_SECONDS};
    buf_init(&a->page, c, LIVE_ANSWER_CAP_BYTES / 2);
    return run_read_open(c, run, program, &a->read);
}

void live_answer_close(struct live_answer *a)
{
    if (!a->open) return;
    buf_release(&a->page);
    run_read_release(&a->read);
}

/* The status line and headers. policy: what the browser may load and run. */
static void write_head(int status, const char *type, const char *policy, struct buf *out)
{
    buf_printf(out,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Security-Policy: %s\r\nCache-Control: no-store\r\n"
               "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"
               "Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n",
               status, http_status_words(status), type, policy);
}

static void write_answer(int status, const char *type, const char *policy, const char *body, size_t n, struct buf *out)
{
    write_head(status, type, policy, out);
    if (status == 405) buf_append_str(out, "Allow: GET\r\n");
    buf_printf(out, "Content-Length: %zu\r\n\r\n", n);
    buf_append(out, body, n);
}

static void write_refusal(int status, const char *why, struct buf *out)
{
    write_answer(status, "text/plain; charset=utf-8", "default-src 'none'", why, strlen(why), out);
}

/* Makes the report again unless it is fresh. */
static enum status make_report(struct live_answer *a)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
    if (a->page.len > 0 && now - a->made < REPORT_SECONDS) return OK;
    a->made = now;
    buf_clear(&a->page);
    TRY(run_read_refresh(&a->read));
    TRY(run_page_write_live(&a->read, &a->page));
    return buf_ok(&a->page) ? OK : a->c->status;
}

static void write_report(struct live_answer *a, struct buf *out)
{
    static const char policy[] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'";
    char why[CTX_MESSAGE_BYTES + 2];
    if (make_report(a) == OK) {
        write_answer(200, "text/html; charset=utf-8", policy, a->page.data, a->page.len, out);
        return;
    }
    snprintf(why, sizeof why, "%s\n", a->c->message);
    ctx_clear(a->c);
    buf_clear(&a->page);
    write_refusal(503, why, out);
}

bool live_answer_write(struct live_answer *a, const struct http_request *r, bool room, struct buf *out)
{
    static const char framed[] =
        "default-src 'none'; script-src 'self'; connect-src 'self'; frame-src 'self'; style-src 'unsafe-inline'; "
        "frame-ancestors 'none'";
    static const char listening[] = "default-src 'none'";
    bool events = r->status == 200 && strcmp(r->path, "/events") == 0;
    if (r->status != 200) {
        write_refusal(r->status, "This server shows a training to the machine that it runs on, and answers GET only.\n",
                      out);
    } else if (events && room) {
        write_head(200, "text/event-stream", listening, out);
        buf_append_str(out, "\r\n");
    } else if (events) {
        write_refusal(503, "Too many pages are open.\n", out);
    } else if (strcmp(r->path, "/") == 0) {
        write_answer(200, "text/html; charset=utf-8", framed, frame_page, sizeof frame_page - 1, out);
    } else if (strcmp(r->path, "/live.js") == 0) {
        write_answer(200, "text/javascript; charset=utf-8", listening, frame_script, sizeof frame_script - 1, out);
    } else if (strcmp(r->path, "/page") == 0) {
        write_report(a, out);
    } else {
        write_refusal(404, "There is no such page.\n", out);
    }
    return events && room;
}

void live_answer_event(int64_t step, int64_t total_steps, double loss, struct buf *out)
{
    buf_printf(out, "data: {\"step\": %" PRId64 ", \"total\": %" PRId64 ", \"loss\": ", step, total_steps);
    json_append_f64(out, loss);
    buf_append_str(out, "}\n\n");
}
