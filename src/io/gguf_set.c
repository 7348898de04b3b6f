/* gguf_set: see gguf_set.h. Parts are opened one by one, each validated as a file of its own; what is checked here is that
 * they belong together. */
#include "io/gguf_set.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

struct gguf_set {
    struct ctx *c;
    struct gguf **parts;
    size_t n_parts, n_tensors;
    size_t *first;     /* tensors of part i are first[i] .. first[i + 1] */
    struct map *names; /* name -> position among all tensors; NULL for one part */
};

/* What a file says about the model that it is a part of. */
struct gguf_part {
    int64_t no, count; /* count 1: not split */
};

static enum status refuse_part(struct ctx *c, const char *path, const char *why)
{
    return ctx_fail(c, E_INPUT, "%s: %s", path, why);
}

/* Which part of how many a file says it is. */
static enum status read_part(struct ctx *c, const struct gguf *g, struct gguf_part *out)
{
    *out = (struct gguf_part){0, 1};
    bool has_count = gguf_get_i64(c, g, "split.count", &out->count);
    bool has_no = ctx_ok(c) && gguf_get_i64(c, g, "split.no", &out->no);
    if (!ctx_ok(c)) return c->status;
    if (!has_count || out->count <= 1) {
        *out = (struct gguf_part){0, 1};
        return OK;
    }
    if (out->count > GGUF_SET_CAP) return refuse_part(c, gguf_path(g), "split.count is above 1024");
    if (!has_no || out->no < 0 || out->no >= out->count)
        return refuse_part(c, gguf_path(g), "split.no is missing, or not below split.count");
    return OK;
}

/* ---- names of parts ---- */

enum { NUMBER_BYTES = 64 };

/* "-00002-of-00003", as names of parts end before ".gguf". */
static void gguf_set_write_number(char text[NUMBER_BYTES], struct gguf_part part)
{
    snprintf(text, NUMBER_BYTES, "-%05lld-of-%05lld", (long long)part.no + 1, (long long)part.count);
}

/* The path of part `no`, made from that of another; NULL with a message when that one's name does not say which it is. */
static char *part_path(struct ctx *c, const char *path, struct gguf_part part, int64_t no)
{
    char here[NUMBER_BYTES], there[NUMBER_BYTES];
    size_t n = strlen(path), ending = n >= 5 && strcmp(path + n - 5, ".gguf") == 0 ? 5 : 0;
    gguf_set_write_number(here, part);
    gguf_set_write_number(there, (struct gguf_part){no, part.count});
    size_t digits = strlen(here);
    if (n < ending + digits || memcmp(path + n - ending - digits, here, digits) != 0) {
        ctx_fail(c, E_INPUT,
                 "%s: this is part %lld of %lld of a split model, and the others cannot be found, because its name does not "
                 "end in \"%s\": put all parts into one folder under the names that they were published with",
                 path, (long long)part.no + 1, (long long)part.count, here);
        return NULL;
    }
    char *out = mem_strdup(c, path);
    if (out) memcpy(out + n - ending - digits, there, digits);
    return out;
}

/* ---- opening ---- */

/* Opens part `no`, which `path` names, and sees that it is it. */
static struct gguf *open_part(struct ctx *c, const char *path, struct gguf_part other, int64_t no)
{
    struct gguf_part part;
    if (!file_exists(path)) {
        ctx_fail(c, E_INPUT, "%s: part %lld of %lld of this model is missing: put it beside the others", path,
                 (long long)no + 1, (long long)other.count);
        return NULL;
    }
    struct gguf *g = gguf_open(c, path);
    if (!g || read_part(c, g, &part) != OK) {
        gguf_close(g);
        return NULL;
    }
    if (part.no == no && part.count == other.count) return g;
    ctx_fail(c, E_INPUT, "%s: its name says part %lld of %lld, but split.no and split.count say part %lld of %lld", path,
             (long long)no + 1, (long long)other.count, (long long)part.no + 1, (long long)part.count);
    gguf_close(g);
    return NULL;
}

/* Every other part, by the name that it must have. */
static enum status open_others(struct gguf_set *s, const char *path, struct gguf_part part)
{
    for (int64_t i = 0; i < part.count; i++) {
        if (i == part.no) continue;
        char *other = part_path(s->c, path, part, i);
        s->parts[i] = other ? open_part(s->c, other, part, i) : NULL;
        mem_free(s->c, other);
        if (!s->parts[i]) return s->c->status;
    }
    return OK;
}

/* Where the tensors of each part begin among all of them. */
static enum status set_count_tensors(struct gguf_set *s)
{
    int64_t expected;
    s->first = mem_alloc(s->c, s->n_parts + 1, sizeof *s->first);
    if (!s->first) return s->c->status;
    for (size_t i = 0; i < s->n_parts; i++) s->first[i + 1] = s->first[i] + gguf_tensor_count(s->parts[i]);
    s->n_tensors = s->first[s->n_parts];
    if (s->n_parts > 1 && gguf_get_i64(s->c, s->parts[0], "split.tensors.count", &expected) &&
        expected != (int64_t)s->n_tensors)
        return ctx_fail(s->c, E_INPUT, "%s: the parts hold %zu tensors, but split.tensors.count is %lld",
                        gguf_path(s->parts[0]), s->n_tensors, (long long)expected);
    return s->c->status;
}

/* Names of all parts in one map; no tensor may be in two. */
static enum status index_names(struct gguf_set *s)
{
    if (s->n_parts == 1) return OK;
    s->names = map_new(s->c, s->n_tensors);
    for (size_t i = 0; s->names && i < s->n_tensors; i++) {
        const char *name = gguf_set_tensor(s, i)->name;
        bool twice = false;
        TRY(map_put(s->names, name, strlen(name), i, &twice));
        if (twice)
            return ctx_fail(s->c, E_INPUT, "%s: tensor \"%s\" is in two parts of the model", gguf_path(s->parts[0]), name);
    }
    return s->c->status;
}

struct gguf_set *gguf_set_open(struct ctx *c, const char *path)
{
    struct gguf_part part;
    struct gguf *g = gguf_open(c, path);
    if (!g) return NULL;
    struct gguf_set *s = read_part(c, g, &part) == OK ? mem_alloc(c, 1, sizeof *s) : NULL;
    if (s) {
        s->c = c;
        s->n_parts = (size_t)part.count;
        s->parts = mem_alloc(c, s->n_parts, sizeof *s->parts);
    }
    if (!s || !s->parts) {
        gguf_close(g);
        mem_free(c, s);
        return NULL;
    }
    s->parts[part.no] = g;
    if (open_others(s, path, part) == OK && set_count_tensors(s) == OK && index_names(s) == OK) return s;
    gguf_set_close(s);
    return NULL;
}

void gguf_set_close(struct gguf_set *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n_parts; i++) gguf_close(s->parts[i]);
    map_free(s->names);
    mem_free(s->c, s->first);
    mem_free(s->c, s->parts);
    mem_free(s->c, s);
}

/* ---- access ---- */

size_t gguf_set_parts(const struct gguf_set *s)
{
    return s->n_parts;
}

const struct gguf *gguf_set_part(const struct gguf_set *s, size_t i)
{
    BUG_ON(s->c, i >= s->n_parts, "part %zu of %zu", i, s->n_parts);
    return s->parts[i];
}

size_t gguf_set_tensor_count(const struct gguf_set *s)
{
    return s->n_tensors;
}

const struct tensor_view *gguf_set_tensor(const struct gguf_set *s, size_t i)
{
    size_t part = 0;
    BUG_ON(s->c, i >= s->n_tensors, "tensor %zu of %zu", i, s->n_tensors);
    while (i >= s->first[part + 1]) part++;
    return gguf_tensor(s->parts[part], i - s->first[part]);
}

const struct tensor_view *gguf_set_find(const struct gguf_set *s, const char *name)
{
    uint64_t i;
    if (!s->names) return gguf_find(s->parts[0], name);
    return map_get(s->names, name, strlen(name), &i) ? gguf_set_tensor(s, i) : NULL;
}

enum status gguf_set_check(struct ctx *c, const struct gguf_set *s)
{
    for (size_t i = 0; i < s->n_parts; i++) TRY(file_check(c, gguf_file(s->parts[i])));
    return OK;
}

enum status gguf_set_paths(struct ctx *c, const char *path, char ***paths, size_t *n)
{
    *n = 0;
    *paths = NULL;
    struct gguf_set *s = gguf_set_open(c, path);
    if (s) *paths = mem_alloc(c, s->n_parts, sizeof **paths);
    for (size_t i = 0; *paths && i < s->n_parts; i++) (*paths)[(*n)++] = mem_strdup(c, gguf_path(s->parts[i]));
    gguf_set_close(s);
    if (ctx_ok(c)) return OK;
    dir_list_free(c, *paths, *n);
    *paths = NULL;
    *n = 0;
    return c->status;
}
