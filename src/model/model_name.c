/* model_name: see model_name.h. The keys are those of the GGUF specification (ggml, docs/gguf.md, "general metadata"). */
#include "model/model_name.h"

#include <ctype.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/gguf.h"
#include "io/hub_cache.h"
#include "io/json.h"

enum { CONFIG_MAX_BYTES = 4 << 20 };

/* ---- hub ids --------------------------------------------------------------------------------------------------------- */

/* Cuts the address of a model page on the hub down to its id; other text stays as it is. */
static struct gguf_string strip_address(struct gguf_string s)
{
    static const char *const starts[] = {"https://huggingface.co/", "http://huggingface.co/", "https://hf.co/"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        size_t n = strlen(starts[i]);
        if (s.n < n || memcmp(s.data, starts[i], n) != 0) continue;
        s = (struct gguf_string){s.data + n, s.n - n};
        if (s.n > 0 && s.data[s.n - 1] == '/') s.n--;
        break;
    }
    return s;
}

/* ---- GGUF ------------------------------------------------------------------------------------------------------------ */

/* Text under a key; n = 0 when there is none. A value of another kind says nothing about the name. */
static struct gguf_string text_of(const struct gguf *g, const char *key)
{
    const struct gguf_value *v = gguf_get(g, key);
    return v && v->kind == GGUF_STRING ? (struct gguf_string){v->data, (size_t)v->n} : (struct gguf_string){"", 0};
}

/* The hub id that the value of a key is or, as an address, ends in; NULL: it is none. */
static char *id_under(struct ctx *c, const struct gguf *g, const char *key)
{
    struct gguf_string s = strip_address(text_of(g, key));
    return hub_cache_is_id(s.data, s.n) ? mem_strndup(c, s.data, s.n) : NULL;
}

/* The next letter or digit from *at on, in lower case; -1 at the end. */
static int next_sign(struct gguf_string s, size_t *at)
{
    while (*at < s.n && !isalnum((unsigned char)s.data[*at])) ++*at;
    return *at < s.n ? tolower((unsigned char)s.data[(*at)++]) : -1;
}

/* Equal but for case and signs: converters write "Llama 3.2 1B Instruct" for Llama-3.2-1B-Instruct. */
static bool is_same_name(struct gguf_string a, struct gguf_string b)
{
    size_t i = 0, j = 0;
    int x, y;
    do {
        x = next_sign(a, &i);
        y = next_sign(b, &j);
    } while (x == y && x >= 0);
    return x == y && i > 0;
}

/* "owner/name" from general.base_model.0, if that is this very model. */
static char *id_of_base(struct ctx *c, const struct gguf *g)
{
    struct gguf_string mine = text_of(g, "general.name"), name = text_of(g, "general.base_model.0.name");
    struct gguf_string owner = text_of(g, "general.base_model.0.organization");
    if (!is_same_name(mine, name)) return NULL;
    char *id = id_under(c, g, "general.base_model.0.repo_url");
    if (!id && ctx_ok(c)) id = id_under(c, g, "general.base_model.0.url");
    if (id || !ctx_ok(c) || hub_cache_name_part(owner.data, owner.n) != owner.n ||
        hub_cache_name_part(name.data, name.n) != name.n)
        return id;
    return mem_printf(c, "%.*s/%.*s", (int)owner.n, owner.data, (int)name.n, name.data);
}

/* The first hub id that a GGUF file's metadata gives, in the order of model_name.h. */
static char *id_of_gguf(struct ctx *c, const struct gguf *g)
{
    static const char *const keys[] = {"general.source.huggingface.repository",
                                       "general.source.repo_url",
                                       "general.source.url",
                                       "general.repo_url",
                                       "general.url",
                                       "general.name"};
    char *id = NULL;
    for (size_t i = 0; !id && ctx_ok(c) && i < sizeof keys / sizeof *keys; i++) id = id_under(c, g, keys[i]);
    return id || !ctx_ok(c) ? id : id_of_base(c, g);
}

/* ---- the name -------------------------------------------------------------------------------------------------------- */

/* _name_or_path of config.json when it is a hub id. */
static char *id_of_folder(struct ctx *c, const char *path)
{
    char *config = path_join(c, path, "config.json");
    json_t *doc = config ? json_parse_file(c, config, CONFIG_MAX_BYTES) : NULL;
    const char *id = json_string_value(json_object_get(doc, "_name_or_path"));
    char *own = id && hub_cache_is_id(id, strlen(id)) ? mem_strdup(c, id) : NULL;
    json_decref(doc);
    mem_free(c, config);
    return own;
}

char *model_name(struct ctx *c, const char *path, const struct gguf *gguf)
{
    char *name = hub_cache_id_of(c, path);
    if (!name && ctx_ok(c)) name = gguf ? id_of_gguf(c, gguf) : id_of_folder(c, path);
    if (name || !ctx_ok(c)) return name;
    name = path_absolute(c, path);
    for (size_t n = name ? strlen(name) : 0; n > 1 && name[n - 1] == '/'; n--) name[n - 1] = '\0';
    return name;
}
