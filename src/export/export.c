/* export: writing one target: into FOLDER.your_ai-export, checked there, then renamed. */
#include "export/export.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "export/export_card.h"
#include "export/export_check.h"
#include "export/hf/hf_folder.h"

/* A folder with such a name is ours, so what a killed export left in it may be cleared. */
#define STAGE_SUFFIX ".your_ai-export"
enum { FOLDER_DEPTH = 4 }; /* of a Core ML package: Model.mlpackage/Data/com.apple.CoreML/weights */

/* The folder that a target is written into: new, or what a killed export left there, cleared. *lock keeps other processes
 * out. Owner of the path: the caller. */
static char *make_stage(struct ctx *c, const char *path, int *lock)
{
    char *stage = mem_printf(c, "%s" STAGE_SUFFIX, path), **names = NULL;
    size_t n = 0;
    if (!stage || dir_make(c, stage) != OK) return stage;
    *lock = dir_lock(c, stage);
    if (*lock < 0 || dir_list(c, stage, &names, &n) != OK) return stage;
    for (size_t i = 0; i < n && ctx_ok(c); i++) {
        char *file = path_join(c, stage, names[i]);
        if (file && str_has_suffix(file, ".mlpackage")) /* the one format that makes a folder in its folder */
            dir_remove(c, file);
        else if (file && unlink(file) != 0)
            ctx_fail(c, E_INPUT, "%s: cannot be cleared; it is no unfinished export, name another folder with -o", file);
        mem_free(c, file);
    }
    dir_list_free(c, names, n);
    return stage;
}

/* Bytes of all files in a folder and, `depth` deep, in the folders there. */
static uint64_t folder_bytes(struct ctx *c, const char *dir, int depth)
{
    char **names = NULL;
    size_t n = 0;
    uint64_t bytes = 0;
    if (dir_list(c, dir, &names, &n) != OK) return 0;
    for (size_t i = 0; i < n; i++) {
        struct stat st;
        char *path = path_join(c, dir, names[i]);
        bool is_there = path && stat(path, &st) == 0;
        if (is_there && !S_ISDIR(st.st_mode)) bytes += (uint64_t)st.st_size;
        if (is_there && S_ISDIR(st.st_mode) && depth > 0) bytes += folder_bytes(c, path, depth - 1);
        mem_free(c, path);
    }
    dir_list_free(c, names, n);
    return bytes;
}

/* ---- the check -------------------------------------------------------------------------------------------------------- */

static enum status export_judge(const struct export_source *s, const struct export_target *t,
                                const struct export_difference *d)
{
    double limit = t->format->limit(t->type);
    char name[EXPORT_TARGET_BYTES];
    if (d->relative <= limit) return OK; /* false for NaN */
    return ctx_fail(s->c, E_NUMERIC,
                    "%s: what was written computes something else than what was trained: relative difference of %s "
                    "%.3g, at most %.3g is expected of this type. Nothing was published. Please report this; --no-verify "
                    "writes it all the same",
                    export_target_text(t, name), d->weights ? "weights" : "logits", d->relative, limit);
}

static enum status check_stage(const struct export_source *s, const struct export_target *t, const char *stage,
                               struct export_logits **wanted, struct export_result *result)
{
    if (t->format->check) {
        if (t->format->check(s, stage, t->type, &result->difference) == OK) export_judge(s, t, &result->difference);
        result->verified = ctx_ok(s->c);
        return s->c->status;
    }
    char *path = t->format->opens(s, stage, t->type);
    if (path && !*wanted) *wanted = export_logits_new(s, 0);
    if (path && *wanted && export_check_compare(s, *wanted, path, t->format->is_adapter, &result->difference) == OK)
        export_judge(s, t, &result->difference);
    result->verified = ctx_ok(s->c);
    mem_free(s->c, path);
    return s->c->status;
}

/* export.json: what was written from what, and how the check came out. */
static enum status write_record(const struct export_source *s, const struct export_target *t, const char *stage,
                                const struct export_result *r)
{
    json_t *doc = json_object(), *check = json_object();
    json_object_set_new(doc, "format", json_string(t->format->name));
    if (t->type[0]) json_object_set_new(doc, "type", json_string(t->type));
    json_object_set_new(doc, "base_model", json_string(s->base_name ? s->base_name : s->model->name));
    json_object_set_new(doc, "adapter", s->lora ? json_true() : json_false());
    if (r->verified && r->difference.weights) {
        json_object_set_new(check, "relative_weight_difference", json_real(r->difference.relative));
        json_object_set(doc, "check", check);
    } else if (r->verified) {
        json_object_set_new(check, "tokens", json_integer(r->difference.tokens));
        json_object_set_new(check, "largest_logit_difference", json_real(r->difference.largest));
        json_object_set_new(check, "relative_logit_difference", json_real(r->difference.relative));
        json_object_set_new(check, "same_most_probable_token", json_integer(r->difference.same_top));
        json_object_set(doc, "check", check);
    } else {
        json_object_set_new(doc, "check", json_null());
    }
    enum status status = hf_folder_write_json(s->c, stage, "export.json", doc);
    json_decref(check);
    json_decref(doc);
    return status;
}

/* ---- the whole -------------------------------------------------------------------------------------------------------- */

/* The folder gets its name only now; until then it is FOLDER.your_ai-export, locked so that two exports do not share it. */
static enum status export_publish(struct ctx *c, const char *stage, const char *path)
{
    rmdir(path); /* an empty folder of that name gives way */
    return dir_commit(c, stage, path);
}

enum status export_write(const struct export_source *s, const struct export_target *t, bool verify,
                         struct export_logits **wanted, struct export_result *result)
{
    struct ctx *c = s->c;
    int lock = -1;
    *result = (struct export_result){.verified = false};
    char *stage = make_stage(c, t->path, &lock);
    if (lock >= 0 && ctx_ok(c)) {
        t->format->write(s, stage, t->type);
        if (verify && ctx_ok(c)) check_stage(s, t, stage, wanted, result);
        if (ctx_ok(c)) write_record(s, t, stage, result);
        if (ctx_ok(c)) export_card_write(s, t, stage, result);
        if (ctx_ok(c)) result->bytes = folder_bytes(c, stage, FOLDER_DEPTH);
        if (ctx_ok(c)) result->opens = t->format->opens(s, t->path, t->type);
        if (ctx_ok(c)) export_publish(c, stage, t->path);
        if (!ctx_ok(c)) dir_remove(c, stage);
    }
    if (!ctx_ok(c)) {
        mem_free(c, result->opens);
        result->opens = NULL;
    }
    dir_unlock(lock);
    mem_free(c, stage);
    return c->status;
}
