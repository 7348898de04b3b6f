/* card: see card.h. */
#include "export/card.h"

#include <string.h>

#include "base/file.h"
#include "base/hash_cache.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "export/peft.h"
#include "io/hub_cache.h"
#include "io/json.h"
#include "model/model_norms.h"

/* ---- texts from outside ----------------------------------------------------------------------------------------------- */

/* Whether the character of n bytes, 0 where there is none, may stand in a line: no control character of the first or the
 * second row (NEL among them), and neither of the two separators of lines and paragraphs. */
static bool card_may_stand(const uint8_t *p, size_t n)
{
    if (n == 1) return p[0] >= ' ' && p[0] != 0x7f;
    if (n == 2) return p[0] != 0xc2 || p[1] >= 0xa0;
    return n > 0 && (n != 3 || p[0] != 0xe2 || p[1] != 0x80 || (p[2] != 0xa8 && p[2] != 0xa9));
}

static void card_append_without(struct buf *b, const char *text, size_t n, const char *refused)
{
    for (size_t i = 0; i < n && text[i];) {
        const uint8_t *p = (const uint8_t *)text + i;
        size_t bytes = utf8_length(p, strnlen(text + i, n - i));
        if (card_may_stand(p, bytes) && !strchr(refused, text[i]))
            buf_append(b, p, bytes);
        else
            buf_append_char(b, '_');
        i += bytes ? bytes : 1;
    }
}

void card_append_plain(struct buf *b, const char *text, size_t n)
{
    card_append_without(b, text, n, "|`<>[]\\*");
}

void card_append_code(struct buf *b, const char *text, size_t n)
{
    card_append_without(b, text, n, "");
}

/* ---- the head --------------------------------------------------------------------------------------------------------- */

const char *card_model_name(const char *name)
{
    const char *slash = strrchr(name, '/');
    return name[0] == '/' && slash[1] ? slash + 1 : name;
}

void card_append_head(struct buf *b, const char *base, const char *library, bool lora)
{
    buf_append_str(b, "---\n");
    if (hub_cache_is_id(base, strlen(base))) {
        buf_append_str(b, "base_model: ");
        json_append_string(b, base, strlen(base)); /* a JSON string is a YAML string */
        buf_append_char(b, '\n');
    }
    buf_printf(b, "library_name: %s\ntags:\n%s- your_ai\n---\n\n", library, lora ? "- lora\n" : "");
}

void card_append_adapter(struct buf *b, const struct lora *l)
{
    buf_printf(b, "rank %lld, alpha %g, dropout %g%s; %zu modules, %lld parameters", (long long)l->config.rank,
               l->config.alpha, l->config.dropout, l->config.rslora ? ", rsLoRA" : "", l->n_modules,
               (long long)lora_parameter_count(l));
}

/* ---- the weights of the base ------------------------------------------------------------------------------------------ */

static enum status card_append_hash(struct ctx *c, struct buf *b, const char *path, const char *name)
{
    char hex[65];
    uint64_t bytes;
    TRY(hash_cache_sha256(c, path, hex, &bytes));
    buf_append_str(b, "| `");
    card_append_plain(b, name, strlen(name));
    buf_printf(b, "` | %llu | `%s` |\n", (unsigned long long)bytes, hex);
    return c->status;
}

enum status card_append_weights(struct buf *b, struct model *m)
{
    struct ctx *c = m->c;
    char **paths, norms[MODEL_NORMS_BYTES];
    size_t n;
    buf_append_str(b, "| file | bytes | SHA-256 |\n|---|---|---|\n");
    TRY(peft_weight_files(m, &paths, &n));
    for (size_t i = 0; i < n && ctx_ok(c); i++) {
        const char *slash = strrchr(paths[i], '/');
        card_append_hash(c, b, paths[i], slash ? slash + 1 : paths[i]);
    }
    dir_list_free(c, paths, n);
    TRY(c->status);
    TRY(model_norms_print(m, norms));
    if (*norms) buf_printf(b, "\n" PEFT_NORMS_START "%s`\n", norms);
    return c->status;
}

enum status card_write(struct ctx *c, const char *dir, const struct buf *b)
{
    char *path = ctx_ok(c) && buf_ok(b) ? path_join(c, dir, "README.md") : NULL;
    if (path) file_write_atomic(c, path, buf_str(b), b->len);
    mem_free(c, path);
    return c->status;
}
