/* modelfile: how Ollama is told of a model. TEMPLATE is a Go template, written where the model's own chat template has a
 * form that it can be translated from (ollama_template.h); otherwise a comment says that Ollama chooses. Stops are
 * parameters, because Ollama reads none from the vocabulary. */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/gguf/gguf_model.h"
#include "export/gguf/ollama_template.h"

enum { TEXT_MAX_BYTES = 4 << 20, STOPS_MAX = 16 };

/* Tokens whose text a quoted parameter cannot hold are left out. */
static void append_stops(const struct tokenizer *t, struct buf *b)
{
    int n = 0;
    for (int64_t id = 0; t && id < tokenizer_vocab_size(t) && n < STOPS_MAX; id++) {
        const char *text = tokenizer_token(t, (int32_t)id);
        if (!tokenizer_is_stop(t, (int32_t)id) || !text || strpbrk(text, "\"\\\n")) continue;
        buf_printf(b, "PARAMETER stop \"%s\"\n", text);
        n++;
    }
}

static void append_template(struct ctx *c, const struct tokenizer *t, struct buf *b)
{
    struct buf go;
    if (!t || !tokenizer_chat_template(t)) return;
    buf_init(&go, c, TEXT_MAX_BYTES);
    if (ollama_template_append(c, t, &go) && buf_ok(&go))
        buf_printf(b, "TEMPLATE \"\"\"%s\"\"\"\n", buf_str(&go));
    else
        buf_append_str(
            b, "# The chat template is more than this program says in Ollama's language: TEMPLATE is left out, and Ollama\n"
               "# takes the one that it knows for the chat template in the GGUF file, if it knows one.\n");
    buf_release(&go);
}

enum status modelfile_write(const struct export_source *s, const char *dir, const char *from, const char *adapter)
{
    struct ctx *c = s->c;
    struct buf b;
    if (s->system && strstr(s->system, "\"\"\""))
        return ctx_fail(c, E_UNSUPPORTED, "--system: holds three quotes in a row, which end a text in a Modelfile");
    buf_init(&b, c, TEXT_MAX_BYTES);
    buf_append_str(&b, "# ollama create NAME -f Modelfile\n");
    buf_printf(&b, "FROM %s\n", from);
    if (adapter) buf_printf(&b, "ADAPTER %s\n", adapter);
    append_template(c, s->tokenizer, &b);
    append_stops(s->tokenizer, &b);
    if (s->system) buf_printf(&b, "SYSTEM \"\"\"%s\"\"\"\n", s->system);
    char *path = path_join(c, dir, "Modelfile");
    if (path && buf_ok(&b)) file_write_atomic(c, path, buf_str(&b), b.len);
    mem_free(c, path);
    buf_release(&b);
    return c->status;
}
