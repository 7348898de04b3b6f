/* run_details: what runs were started with: every option, side by side, and for each the hashes of its files and where it
 * ran. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "report/page.h"
#include "runs/run_page_parts.h"

enum { VALUE_CAP_BYTES = 1 << 20, MANIFEST_CAP_BYTES = 1 << 22 };

/* The value of a JSON node as text for people: strings without quotes, null as nothing. */
static void run_details_write_value(const json_t *v, struct buf *out)
{
    struct buf text;
    if (!v || json_is_null(v)) return;
    if (json_is_string(v)) {
        page_text_n(out, json_string_value(v), json_string_length(v));
        return;
    }
    buf_init(&text, out->c, VALUE_CAP_BYTES);
    if (json_write(out->c, v, false, &text) == OK) page_text_n(out, buf_str(&text), text.len);
    buf_release(&text);
}

static bool is_the_same(const struct run_read *runs, size_t n, const char *key)
{
    for (size_t i = 1; i < n; i++) {
        const json_t *a = json_object_get(runs[0].config, key), *b = json_object_get(runs[i].config, key);
        if (!a || !b ? a != b : !json_equal(a, b)) return false;
    }
    return true;
}

static void write_option(const struct run_read *runs, size_t n, const char *key, struct buf *out)
{
    buf_printf(out, "<tr%s><td><code>--", is_the_same(runs, n, key) ? "" : " class=\"differs\"");
    page_text(out, key);
    buf_append_str(out, "</code></td>");
    for (size_t i = 0; i < n; i++) {
        buf_append_str(out, "<td>");
        run_details_write_value(json_object_get(runs[i].config, key), out);
        buf_append_str(out, "</td>");
    }
    buf_append_str(out, "</tr>\n");
}

/* Every option in the order of the table of `train`. */
static void write_options(const struct run_read *runs, size_t n, struct buf *out)
{
    buf_printf(out, "<details%s><summary>Options%s</summary><div class=\"wide\"><table class=\"text\"><tr><th>option</th>",
               n > 1 ? " open" : "", n > 1 ? " (those that differ are marked)" : "");
    for (size_t i = 0; i < n; i++) {
        buf_append_str(out, "<th>");
        page_text(out, run_page_label(&runs[i]));
        buf_append_str(out, "</th>");
    }
    buf_append_str(out, "</tr>\n");
    for (size_t k = 0; k < train_table.n_specs; k++) {
        const char *key = train_table.specs[k].name;
        if (strcmp(key, "output") != 0) write_option(runs, n, key, out);
    }
    buf_append_str(out, "</table></div></details>\n");
}

static void run_details_write_file(const json_t *file, struct buf *out)
{
    static const char *const keys[] = {"kind", "path", "bytes", "sha256"};
    buf_append_str(out, "<tr>");
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        buf_append_str(out, "<td>");
        run_details_write_value(json_object_get(file, keys[i]), out);
        buf_append_str(out, "</td>");
    }
    buf_append_str(out, "</tr>\n");
}

/* data_manifest.json: what the run was trained on, by SHA-256. */
static void write_hashes(const struct run_read *r, struct buf *out)
{
    struct ctx *c = out->c;
    char *path = path_join(c, r->run, "data_manifest.json");
    json_t *doc = path ? json_parse_file(c, path, MANIFEST_CAP_BYTES) : NULL;
    buf_append_str(out, "<details><summary>Hashes of model and data: ");
    page_text(out, run_page_label(r));
    buf_append_str(out, "</summary><div class=\"wide\"><table class=\"text\"><tr><th>kind</th><th>file</th><th>bytes</th>"
                        "<th>SHA-256</th></tr>\n");
    for (size_t i = 0; i < json_array_size(doc); i++) run_details_write_file(json_array_get(doc, i), out);
    buf_append_str(out, "</table></div>");
    if (!doc && c->status != E_MEMORY) {
        buf_append_str(out, "<p class=\"dim\">");
        page_text(out, c->message);
        buf_append_str(out, "</p>");
        ctx_clear(c);
    }
    buf_append_str(out, "</details>\n");
    json_decref(doc);
    mem_free(c, path);
}

static void run_details_write_environment(const struct run_read *r, struct buf *out)
{
    const char *key;
    json_t *value;
    if (!r->environment) return;
    buf_append_str(out, "<details><summary>Program and machine: ");
    page_text(out, run_page_label(r));
    buf_append_str(out, "</summary><div class=\"wide\"><table class=\"text\">\n");
    json_object_foreach(r->environment, key, value)
    {
        buf_append_str(out, "<tr><th>");
        page_text(out, key);
        buf_append_str(out, "</th><td>");
        run_details_write_value(value, out);
        buf_append_str(out, "</td></tr>\n");
    }
    buf_append_str(out, "</table></div></details>\n");
}

enum status run_details_write(const struct run_read *runs, size_t n, struct buf *out)
{
    buf_append_str(out, "<h2>What was run</h2>\n");
    write_options(runs, n, out);
    for (size_t i = 0; i < n && out->c->status != E_MEMORY; i++) {
        write_hashes(&runs[i], out);
        run_details_write_environment(&runs[i], out);
    }
    return out->c->status;
}
