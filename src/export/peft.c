/* peft: see peft.h. */
#include "export/peft.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "export/card.h"
#include "io/gguf_set.h"

enum status peft_weight_files(const struct model *m, char ***paths, size_t *n)
{
    struct ctx *c = m->c;
    char **names = NULL;
    size_t n_names = 0;
    if (!dir_exists(m->path)) return gguf_set_paths(c, m->path, paths, n);
    *n = 0;
    *paths = NULL;
    TRY(dir_list(c, m->path, &names, &n_names));
    *paths = mem_alloc(c, n_names + 1, sizeof **paths);
    for (size_t i = 0; *paths && i < n_names; i++)
        if (str_has_suffix(names[i], ".safetensors")) (*paths)[(*n)++] = path_join(c, m->path, names[i]);
    dir_list_free(c, names, n_names);
    if (ctx_ok(c)) return OK;
    dir_list_free(c, *paths, *n);
    *paths = NULL;
    *n = 0;
    return c->status;
}

/* In what form the base was while this adapter was trained, when it was not the file's. */
static void append_base(const struct model *m, struct buf *b)
{
    static const char *const form[BASE_TYPES] = {
        [BASE_NF4] = "the linear layers of the blocks were in NF4 (4 bits, blocks of 64)",
        [BASE_INT8] = "the linear layers and the head were in int8 (one scale a row)",
    };
    const char *options = model_options_text(&m->options);
    if (!form[m->options.base]) return;
    buf_printf(b, "While training, %s, made from these weights", form[m->options.base]);
    if (m->options.compute != COMPUTE_F32)
        buf_printf(b, ", and products with them were computed in %s (%s)",
                   compute_is_integer(m->options.compute) ? "integers" : "bf16", compute_name[m->options.compute]);
    buf_printf(b, "; the adapter fits the same form best (`%.*s`).\n\n", (int)strlen(options) - 1, options);
}

enum status peft_write_card(struct model *m, const struct lora *l, const char *dir)
{
    struct buf b;
    buf_init(&b, m->c, CARD_MAX_BYTES);
    card_append_head(&b, m->name, "peft", true);
    buf_append_str(&b, "# LoRA adapter\n\nIts size: ");
    card_append_adapter(&b, l);
    buf_append_str(&b, ". Load it with PEFT on the base model below.\n\n");
    append_base(m, &b);
    buf_append_str(&b, "Trained on exactly these weights:\n\n");
    if (card_append_weights(&b, m) == OK) card_write(m->c, dir, &b);
    buf_release(&b);
    return m->c->status;
}

enum status peft_write_run_card(struct model *m, const struct lora *l, const char *run)
{
    char *dir = path_join(m->c, run, "adapter");
    if (dir) peft_write_card(m, l, dir);
    mem_free(m->c, dir);
    return m->c->status;
}
