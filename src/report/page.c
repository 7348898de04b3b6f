/* page: the head with its style, the heading and the end of a page, and escaping of text. The classes in the style are those
 * that chart.c writes: grid, axis and guide for lines, s0 to s7 for the colours of series (light and dark), p for points, l
 * for lines, f for faint ones, key for legends; and for the pages around charts: charts (a grid that becomes one column on a
 * phone), wide (a table that scrolls by itself), text, answer (its line ends stay), bad, dim, differs.
 */
#include "report/page.h"

#include <string.h>

#include "base/utf8.h"

static const char style[] =
    ":root{--ink:#1b1f24;--paper:#fff;--rule:#d8dee4;--dim:#57606a;--bad:#b42318;--mark:#fff3c4;color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:var(--ink);"
    "background:var(--paper);overflow-wrap:anywhere}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}h3{font-size:1em}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:.15em .7em;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}.text "
    "td{white-space:normal}th{font-weight:600}"
    ".text{margin-bottom:1em}.text th{vertical-align:top}.text .answer{white-space:pre-wrap}"
    "td:first-child,th:first-child,.text td,.text th{text-align:left}.wide{overflow-x:auto}"
    ".charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,27em),1fr));gap:1.2em}"
    "figure{margin:0;min-width:0}figcaption{font-weight:600}.key{font-size:.87em}.key "
    "span{margin-right:1em;display:inline-block}"
    ".key span::before{content:\"\";display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.35em;"
    "background:var(--c)}"
    "svg{width:100%;height:auto;background:transparent;display:block}svg text{font:13px "
    "system-ui,sans-serif;fill:var(--ink)}"
    ".grid{stroke:var(--rule)}.axis{stroke:var(--dim)}.guide{stroke:var(--dim);stroke-dasharray:5 4;fill:none}"
    ".s0{--c:#0b63c5}.s1{--c:#c2410c}.s2{--c:#15803d}.s3{--c:#7e22ce}.s4{--c:#a16207}.s5{--c:#0e7490}.s6{--c:#be185d}"
    ".s7{--c:#475569}.p{fill:var(--c)}.l,.f{stroke:var(--c);fill:none;stroke-width:1.6;stroke-linejoin:round}"
    ".f{stroke-width:1;opacity:.45}.bad{color:var(--bad);font-weight:600}.dim{color:var(--dim)}.differs{background:var(--"
    "mark)}"
    "details{margin:.6em 0}summary{cursor:pointer;font-weight:600}code{font-size:.92em}"
    "@media(prefers-color-scheme:dark){"
    ":root{--ink:#e6e8eb;--paper:#14171a;--rule:#343b42;--dim:#9aa4ae;--bad:#ff8f84;--mark:#4a3f16}"
    ".s0{--c:#60a5fa}.s1{--c:#fb923c}.s2{--c:#4ade80}.s3{--c:#c084fc}.s4{--c:#facc15}.s5{--c:#22d3ee}.s6{--c:#f472b6}"
    ".s7{--c:#cbd5e1}}";

/* What stands for a byte in the page where it cannot stand for itself; NULL where it can. */
static const char *entity_of(char byte)
{
    switch (byte) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\n':
    case '\t':
        return NULL;
    default:
        return (unsigned char)byte < 0x20 || byte == 0x7f ? "\xef\xbf\xbd" : NULL;
    }
}

void page_text_n(struct buf *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t step = utf8_length((const uint8_t *)text + i, n - i);
        const char *entity = step == 0 ? "\xef\xbf\xbd" : step == 1 ? entity_of(text[i]) : NULL;
        if (entity)
            buf_append_str(out, entity);
        else
            buf_append(out, text + i, step);
        i += step ? step : 1;
    }
}

void page_text(struct buf *out, const char *text)
{
    page_text_n(out, text, strlen(text));
}

void page_begin(struct buf *out, const char *title)
{
    buf_append_str(out,
                   "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
    page_text(out, title);
    buf_append_str(out, "</title><style>");
    buf_append_str(out, style);
    buf_append_str(out, "</style></head><body>\n<h1>");
    page_text(out, title);
    buf_append_str(out, "</h1>\n");
}

void page_end(struct buf *out)
{
    buf_append_str(out, "</body></html>\n");
}
