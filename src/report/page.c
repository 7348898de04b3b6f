/* page: the head with its style, the heading and the end of a page, and escaping of text. The classes in the style are those
 * that chart.c writes: grid, axis and guide for lines, s0 to s7 for the colours of series (light and dark), p for points, l
 * for lines.
 */
#include "report/page.h"

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#1b1f24;background:#fff}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:.15em .7em;text-align:right;border-bottom:1px solid #d8dee4}th{font-weight:600}"
    "td:first-child,th:first-child{text-align:left}td,th{white-space:nowrap}.wide{overflow-x:auto}"
    /* charts stand beside one another where there is room; on a phone they are scrolled and not shrunk beyond reading */
    ".charts{display:flex;flex-wrap:wrap;gap:1em}.charts>div{flex:0 1 31em;overflow-x:auto}"
    ".charts svg{min-width:30em}"
    "svg{max-width:100%;height:auto;background:transparent}svg text{font:12px system-ui,sans-serif;fill:#1b1f24}"
    ".grid{stroke:#d8dee4}.axis{stroke:#6b7580}.guide{stroke:#6b7580;stroke-dasharray:5 4;fill:none}"
    ".s0{--c:#0b63c5}.s1{--c:#c2410c}.s2{--c:#15803d}.s3{--c:#7e22ce}.s4{--c:#a16207}.s5{--c:#0e7490}.s6{--c:#be185d}"
    ".s7{--c:#475569}.p{fill:var(--c)}.l{stroke:var(--c);fill:none;stroke-width:1.6}"
    "@media(prefers-color-scheme:dark){body{color:#e6e8eb;background:#14171a}svg "
    "text{fill:#e6e8eb}td,th{border-color:#343b42}"
    ".grid{stroke:#343b42}.axis,.guide{stroke:#9aa4ae}.s0{--c:#60a5fa}.s1{--c:#fb923c}.s2{--c:#4ade80}.s3{--c:#c084fc}"
    ".s4{--c:#facc15}.s5{--c:#22d3ee}.s6{--c:#f472b6}.s7{--c:#cbd5e1}}";

void page_text(struct buf *out, const char *text)
{
    for (; *text; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : "&quot;";
        bool special = *text == '&' || *text == '<' || *text == '>' || *text == '"';
        if (special)
            buf_append_str(out, entity);
        else
            buf_append_char(out, *text);
    }
}

void page_begin(struct buf *out, const char *title)
{
    buf_append_str(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
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
