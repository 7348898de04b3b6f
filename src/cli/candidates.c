/* candidates: see candidates.h. The base model is opened once; only adapters come and go. */
#include "cli/candidates.h"

#include <string.h>

#include "base/mem.h"
#include "cli/adapter_folder.h"
#include "export/peft.h"

enum status candidates_add(struct candidates *a, const char *name)
{
    BUG_ON(a->c, a->n == CANDIDATES_MOST, "more than %d candidates", CANDIDATES_MOST);
    bool run = false;
    char *path = strcmp(name, "base") == 0 ? NULL : adapter_folder_find(a->c, name, &run);
    if (!ctx_ok(a->c)) return a->c->status;
    a->list[a->n++] = (struct candidate){.name = name, .path = path, .run = run};
    return OK;
}

void candidates_release(struct candidates *a)
{
    for (size_t i = 0; i < a->n; i++) mem_free(a->c, a->list[i].path);
    a->n = 0;
}

static enum status run_engine(struct model *m, size_t index, candidate_fn fn, void *user)
{
    struct engine *e = engine_native_new(m->c, m, NULL);
    enum status status = e ? fn(user, index, e) : m->c->status;
    if (e) e->ops->free(e);
    return status;
}

static enum status run_candidate(const struct candidates *a, const struct loaded *l, size_t index, candidate_fn fn,
                                 void *user)
{
    struct model *m = l->model;
    const char *path = a->list[index].path;
    struct lora *lora = path ? lora_load(m->c, &m->config, path) : NULL;
    if (path && !lora) return m->c->status;
    model_attach_lora(m, lora);
    enum status status = path ? peft_check_base(m, path, false, a->force) : OK;
    if (status == OK && path) status = peft_check_tokenizer(m->c, l->tokenizer, path);
    if (status == OK) status = run_engine(m, index, fn, user);
    model_attach_lora(m, NULL);
    lora_free(lora);
    return status;
}

enum status candidates_each(const struct candidates *a, const struct loaded *l, candidate_fn fn, void *user)
{
    for (size_t i = 0; i < a->n; i++) {
        enum status status = run_candidate(a, l, i, fn, user);
        if (status != OK) ctx_prefix(a->c, "%s", a->list[i].name);
        if (status != OK) return status;
    }
    return OK;
}

int candidates_width(const struct candidates *a)
{
    size_t width = strlen("model");
    for (size_t i = 0; i < a->n; i++)
        if (strlen(a->list[i].name) > width) width = strlen(a->list[i].name);
    return (int)width;
}
