/* export_plan: which formats a list asks for, where they go, and whether there is space for them. */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/formats.h"

static const struct export_format *const formats[] = {&format_peft,     &format_safetensors, &format_gguf_lora, &format_gguf,
                                                      &format_mlx_lora, &format_mlx,         &format_coreml};
enum { N_FORMATS = sizeof formats / sizeof *formats, TEXT_MAX_BYTES = 4096 };

/* "bf16, f16, f32" for "bf16|f16|f32". */
static void append_types(const char *types, struct buf *out)
{
    for (const char *at = types; *at; at++)
        if (*at == '|')
            buf_append_str(out, ", ");
        else
            buf_append_char(out, *at);
}

void export_list_formats(struct buf *out)
{
    for (int i = 0; i < N_FORMATS; i++) {
        buf_printf(out, "%s%s", i ? ", " : "", formats[i]->name);
        if (!formats[i]->types) continue;
        buf_append_str(out, " (");
        append_types(formats[i]->types, out);
        buf_append_char(out, ')');
    }
}

static enum status export_plan_refuse(const struct export_source *s, const char *word, size_t n, const char *why)
{
    struct buf all;
    buf_init(&all, s->c, TEXT_MAX_BYTES);
    export_list_formats(&all);
    ctx_fail(s->c, E_INPUT, "--to: '%.*s' %s; there are %s, written FORMAT or FORMAT:TYPE", n > 64 ? 64 : (int)n, word, why,
             buf_str(&all));
    buf_release(&all);
    return s->c->status;
}

/* Whether `type` (n bytes) is one of "a|b|c". */
static bool is_type_of(const char *types, const char *type, size_t n)
{
    for (const char *at = types; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strcspn(at, "|") == n && memcmp(at, type, n) == 0) return true;
    return false;
}

/* One word of the list into *t. */
static enum status export_plan_parse_target(const struct export_source *s, const char *word, size_t n,
                                            struct export_target *t)
{
    const char *colon = memchr(word, ':', n);
    size_t name = colon ? (size_t)(colon - word) : n;
    for (int i = 0; i < N_FORMATS && !t->format; i++)
        if (strlen(formats[i]->name) == name && memcmp(formats[i]->name, word, name) == 0) t->format = formats[i];
    if (!t->format) return export_plan_refuse(s, word, n, "is no format");
    const char *types = t->format->types, *type = colon ? colon + 1 : types;
    size_t type_bytes = colon ? n - name - 1 : types ? strcspn(types, "|") : 0;
    if (colon && (!types || !is_type_of(types, type, type_bytes)))
        return export_plan_refuse(s, word, n, "has a type that is none of it");
    snprintf(t->type, sizeof t->type, "%.*s", (int)type_bytes, type_bytes ? type : "");
    if (t->format->is_adapter && !s->lora)
        return ctx_fail(s->c, E_INPUT, "--to %s: holds an adapter, and none was given: name a run or an adapter",
                        t->format->name);
    t->bytes = t->format->bytes(s, t->type);
    return s->c->status;
}

static enum status export_plan_parse_list(const struct export_source *s, const char *list, struct export_job *job)
{
    for (const char *word = list;; word++) {
        size_t n = strcspn(word, ",");
        if (job->n == EXPORT_TARGETS_MAX)
            return ctx_fail(s->c, E_INPUT, "--to: more than %d formats in one call", EXPORT_TARGETS_MAX);
        struct export_target *t = &job->targets[job->n++];
        TRY(export_plan_parse_target(s, word, n, t));
        for (size_t i = 0; i + 1 < job->n; i++)
            if (job->targets[i].format == t->format && strcmp(job->targets[i].type, t->type) == 0)
                return export_plan_refuse(s, word, n, "is there twice");
        word += n;
        if (!*word) return OK;
    }
}

/* ---- folders ---------------------------------------------------------------------------------------------------------- */

static enum status check_folder(struct ctx *c, const char *path)
{
    char **names = NULL;
    size_t n = 0;
    if (file_exists(path)) return ctx_fail(c, E_INPUT, "%s: is a file; an export is a folder, name a new one with -o", path);
    if (!dir_exists(path)) return OK;
    TRY(dir_list(c, path, &names, &n));
    dir_list_free(c, names, n);
    if (n == 0) return OK;
    return ctx_fail(c, E_INPUT, "%s: is there and not empty; exports overwrite nothing, name another folder with -o", path);
}

static enum status place_targets(const struct export_source *s, const char *out, struct export_job *job)
{
    struct ctx *c = s->c;
    size_t n = strlen(out);
    while (n > 1 && out[n - 1] == '/') n--;
    for (size_t i = 0; i < job->n; i++) {
        struct export_target *t = &job->targets[i];
        const char *dash = t->type[0] ? "-" : "";
        t->path =
            job->n == 1 ? mem_strndup(c, out, n) : mem_printf(c, "%.*s/%s%s%s", (int)n, out, t->format->name, dash, t->type);
        if (!t->path) return c->status;
        TRY(check_folder(c, t->path));
    }
    return OK;
}

/* Bytes that the disk of `path`, or of the nearest folder above it that exists, has free for this user; 0: not known. */
static uint64_t free_bytes(struct ctx *c, const char *path)
{
    struct statvfs v;
    char *at = path_absolute(c, path);
    for (char *slash = at; slash && statvfs(at, &v) != 0;) {
        slash = strrchr(at, '/');
        if (!slash || slash == at) break;
        *slash = 0;
    }
    bool known = at && statvfs(at, &v) == 0;
    mem_free(c, at);
    return known ? (uint64_t)v.f_bavail * v.f_frsize : 0;
}

enum status export_plan(const struct export_source *s, const char *list, const char *out, struct export_job *job)
{
    uint64_t needed = 0, there;
    *job = (struct export_job){.n = 0};
    TRY(export_plan_parse_list(s, list, job));
    TRY(place_targets(s, out, job));
    for (size_t i = 0; i < job->n; i++) needed += job->targets[i].bytes;
    there = free_bytes(s->c, out);
    if (!ctx_ok(s->c) || there == 0 || needed <= there) return s->c->status;
    return ctx_fail(s->c, E_FIT,
                    "%s: the export takes %.2f GB, and the disk has %.2f GB free. Fewer formats, a smaller type "
                    "(gguf:q4_k_m) or another disk help",
                    out, (double)needed / 1e9, (double)there / 1e9);
}

void export_job_release(struct ctx *c, struct export_job *job)
{
    for (size_t i = 0; i < job->n; i++) mem_free(c, job->targets[i].path);
    *job = (struct export_job){.n = 0};
}

const char *export_target_text(const struct export_target *t, char out[EXPORT_TARGET_BYTES])
{
    snprintf(out, EXPORT_TARGET_BYTES, "%s%s%s", t->format->name, t->type[0] ? ":" : "", t->type);
    return out;
}
