/* score_manifest: the file OUT.manifest.json, which makes `data score` a command that can be called again without cost.
 *
 *   {"format": "your_ai score manifest 1",
 *   "request": {"program", "scorer", "rules": {"name", "version", "sha256"}, "existing", "breakdown", "prior",
 *   "skip_faulty", "inputs": [{"bytes", "sha256"}, ...]},
 *   "inputs": [{"path", "bytes", "sha256", "rows", "skipped"}, ...],
 *   "output": {"bytes", "sha256", "rows", "skipped"}}
 *
 * "request" is everything that the output depends on, and nothing else: paths are left out, so the same bytes under another
 * name are the same request. Two calls are equal when their "request" objects are equal as JSON and the output still has the
 * size and digest that it was written with. */
#include "score/score_manifest.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { MANIFEST_MAX_BYTES = 16 << 20 };
static const char FORMAT[] = "your_ai score manifest 1";

/* The path of an output's manifest. The caller frees it (mem_free). NULL with E_MEMORY. */
static char *manifest_path(struct ctx *c, const char *out)
{
    return mem_printf(c, "%s.manifest.json", out);
}

/* {"bytes", "sha256"} of a file, with the counts of its rows where `rows`. NULL when memory is exhausted. */
static json_t *file_object(const struct score_file *f, bool rows)
{
    json_t *o = json_pack("{s:I, s:s}", "bytes", (json_int_t)f->bytes, "sha256", f->sha256);
    if (o && rows) json_object_set_new(o, "rows", json_integer(f->rows));
    if (o && rows) json_object_set_new(o, "skipped", json_integer(f->skipped));
    return o;
}

/* What was asked, without paths: the same bytes elsewhere are the same question. */
static json_t *request(const struct score_run_options *o, const struct score_file *in, size_t n_in)
{
    static const char *const existing[] = {"stop", "keep", "replace"};
    const struct rules *r = o->rules;
    json_t *inputs = json_array();
    for (size_t i = 0; i < n_in; i++) json_array_append_new(inputs, file_object(&in[i], false));
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:s, s:b, s:b, s:b, s:s*, s:o}", "program", o->program_version, "scorer",
                     r->scorer == SCORER_CITATION ? "citation" : "heuristic", "rules", "name", r->name, "version",
                     r->version, "sha256", r->sha256, "existing", existing[o->row.existing], "breakdown", o->row.breakdown,
                     "prior", o->row.use_prior, "skip_faulty", o->skip_faulty, "evidence", o->evidence, "inputs", inputs);
}

/* The failure of all functions here that build JSON. */
static enum status no_memory(struct ctx *c)
{
    return ctx_fail(c, E_MEMORY, "out of memory for the manifest");
}

struct file_writer *score_manifest_new(struct ctx *c, const struct score_run_options *o, const struct score_file *in,
                                       size_t n_in, const struct score_file *out)
{
    struct file_writer *w = NULL;
    json_t *files = json_array(), *asked = request(o, in, n_in);
    for (size_t i = 0; i < n_in; i++) {
        json_t *file = file_object(&in[i], true);
        if (file) json_object_set_new(file, "path", json_string(in[i].path));
        json_array_append_new(files, file);
    }
    json_t *doc = asked ? json_pack("{s:s, s:o, s:o, s:o}", "format", FORMAT, "request", asked, "inputs", files, "output",
                                    file_object(out, true))
                        : NULL;
    char *path = manifest_path(c, out->path);
    struct buf text;
    buf_init(&text, c, MANIFEST_MAX_BYTES);
    if (!doc) no_memory(c);
    if (path && doc && json_write(c, doc, true, &text) == OK) w = file_writer_open(c, path);
    if (w) file_writer_write(w, buf_str(&text), text.len);
    buf_release(&text);
    mem_free(c, path);
    json_decref(doc);
    return w;
}

/* Whether the file is still the bytes of the manifest's object. */
static bool is_file(struct ctx *c, const char *path, const json_t *o)
{
    struct score_file f = {.path = path};
    const char *sha = json_string_value(json_object_get(o, "sha256"));
    if (!sha || !file_exists(path) || file_sha256(c, path, f.sha256, &f.bytes) != OK) return false;
    return strcmp(sha, f.sha256) == 0 && (uint64_t)json_integer_value(json_object_get(o, "bytes")) == f.bytes;
}

/* Reads the inputs for their digests and compares the questions. */
static bool same_request(struct ctx *c, const struct score_run_options *o, const char *const *in, size_t n_in,
                         const json_t *doc)
{
    const json_t *asked = json_object_get(doc, "request");
    if (!asked || json_array_size(json_object_get(asked, "inputs")) != n_in) return false;
    struct score_file *files = mem_alloc(c, n_in, sizeof *files);
    bool readable = files != NULL;
    for (size_t i = 0; readable && i < n_in; i++)
        readable = file_exists(in[i]) && file_sha256(c, in[i], files[i].sha256, &files[i].bytes) == OK;
    json_t *now = readable ? request(o, files, n_in) : NULL;
    bool same = now && json_equal(now, asked);
    json_decref(now);
    mem_free(c, files);
    return same;
}

enum status score_manifest_check(struct ctx *c, const struct score_run_options *o, const char *const *in, size_t n_in,
                                 const char *out, bool *same, struct score_run_result *result)
{
    *same = false;
    char *path = manifest_path(c, out);
    if (!path) return c->status;
    json_t *doc = file_exists(path) && file_exists(out) ? json_parse_file(c, path, MANIFEST_MAX_BYTES) : NULL;
    const char *format = json_string_value(json_object_get(doc, "format"));
    const json_t *output = json_object_get(doc, "output");
    if (format && strcmp(format, FORMAT) == 0 && same_request(c, o, in, n_in, doc)) *same = is_file(c, out, output);
    result->rows = json_integer_value(json_object_get(output, "rows"));
    result->skipped = json_integer_value(json_object_get(output, "skipped"));
    json_decref(doc);
    mem_free(c, path);
    if (c->status == E_INPUT || c->status == E_IO) ctx_clear(c); /* whatever is wrong with it: the work is done again */
    return c->status;
}
