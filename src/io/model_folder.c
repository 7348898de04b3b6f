/* model_folder: see model_folder.h. The names are looked at only after opening has failed, so nothing here decides what is
 * read. */
#include "io/model_folder.h"

#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { LINK_BYTES = 512 };

enum status model_folder_check_link(struct ctx *c, const char *dir, const char *name)
{
    char to[LINK_BYTES];
    char *path = path_join(c, dir, name);
    ssize_t n = path && !file_exists(path) ? readlink(path, to, sizeof to) : -1;
    if (n >= 0)
        ctx_fail(c, E_INPUT,
                 "%s: is a link to %.*s, which is not there: the download is incomplete, or the folder was copied or moved "
                 "without what its links lead to. Fetch the model again (hf download), or copy it with cp -rL",
                 path, (int)n, to);
    mem_free(c, path);
    return c->status;
}

/* What a name in a folder says of it when the weights are not found. */
struct folder_hint {
    const char *begins, *ends;
    const char *message; /* of the folder and that name */
};

static const struct folder_hint weight_hints[] = {
    {"pytorch_model", ".bin",
     "%s: its weights are %s, a Python pickle, which can carry code and is not read. Save them as safetensors: "
     "AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER) in transformers"},
    {"", ".pth",
     "%s: its weights are %s, a Python pickle in the layout of the model's makers, which is not read. Take the model in the "
     "layout of transformers, with config.json and model.safetensors"},
    {"consolidated", ".safetensors",
     "%s: its weights are %s, in the layout of the model's makers, which is not read. Take the model in the layout of "
     "transformers, with config.json and model.safetensors"},
    {"adapters", ".safetensors",
     "%s: holds %s, an adapter of mlx-lm, and no model: give the model with -m, this with --adapter"},
    {"", ".safetensors",
     "%s: holds %s, but no model.safetensors and no model.safetensors.index.json. Weights in one file are called "
     "model.safetensors; those in several need the index, which is fetched with them"},
    {"", ".mlpackage", "%s: holds %s, a model for Core ML, which cannot be trained: give the model that it was made from"},
    {"", ".onnx", "%s: holds %s, a model for ONNX, which cannot be trained: give the model that it was made from"},
};
static const struct folder_hint tokenizer_hints[] = {
    {"tekken", ".json",
     "%s: no tokenizer.json, and %s is a tokenizer in the form of its makers, which is not read: fetch tokenizer.json, too"},
    {"merges", ".txt",
     "%s: no tokenizer.json, and %s with vocab.json is an older form of it: "
     "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) in transformers writes it"},
    {"vocab", "",
     "%s: no tokenizer.json, and %s is another form of it: "
     "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) in transformers may write it"},
};

static bool hint_fits(const struct folder_hint *h, const char *name)
{
    if (strcmp(name, "model.safetensors") == 0) return false; /* no file, or it would have been opened */
    return strncmp(name, h->begins, strlen(h->begins)) == 0 && str_has_suffix(name, h->ends);
}

/* Records the message of the first hint that fits a name, else `otherwise`. */
static enum status refuse_by_names(struct ctx *c, const char *dir, const struct folder_hint *hints, size_t n_hints,
                                   const char *otherwise)
{
    char **names = NULL;
    size_t n = 0;
    TRY(dir_list(c, dir, &names, &n));
    for (size_t h = 0; h < n_hints && ctx_ok(c); h++)
        for (size_t i = 0; i < n && ctx_ok(c); i++)
            if (hint_fits(&hints[h], names[i])) ctx_fail(c, E_INPUT, hints[h].message, dir, names[i]);
    dir_list_free(c, names, n);
    return ctx_ok(c) ? ctx_fail(c, E_INPUT, otherwise, dir) : c->status;
}

enum status model_folder_refuse_weights(struct ctx *c, const char *dir)
{
    TRY(model_folder_check_link(c, dir, "model.safetensors.index.json"));
    TRY(model_folder_check_link(c, dir, "model.safetensors"));
    return refuse_by_names(c, dir, weight_hints, sizeof weight_hints / sizeof *weight_hints,
                           "%s: no model.safetensors and no model.safetensors.index.json in the folder: a model is a folder "
                           "with config.json, tokenizer.json and these, or a GGUF file");
}

enum status model_folder_refuse_tokenizer(struct ctx *c, const char *dir)
{
    TRY(model_folder_check_link(c, dir, "tokenizer.json"));
    TRY(model_folder_check_link(c, dir, "tokenizer.model"));
    return refuse_by_names(c, dir, tokenizer_hints, sizeof tokenizer_hints / sizeof *tokenizer_hints,
                           "%s: no tokenizer.json and no tokenizer.model in the folder: fetch the model's tokenizer, too");
}
