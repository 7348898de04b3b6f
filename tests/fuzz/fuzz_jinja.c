/* Chat templates: the input is a template, and behind its first NUL byte the JSON of its variables (without one: a small
 * conversation). What is rendered must be valid UTF-8 whose marks lie in it, one behind the other. */
/* mutations: 4000 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "fuzz/fuzz.h"
#include "io/json.h"
#include "io/template/jinja.h"

static const char talk[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"be\"},{\"role\":\"user\",\"content\":\"Gr\\u00fc\\u00dfe <&>\"},"
    "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,"
    "null]}}}]},"
    "{\"role\":\"tool\",\"content\":\"x\\ny\"},{\"role\":\"assistant\",\"content\":\"<think>r</think> done\"}],"
    "\"tools\":[{\"name\":\"f\"}],\"add_generation_prompt\":true}";

static void check_output(const struct jinja_output *out)
{
    size_t at = 0;
    if (utf8_check(out->text, out->n) != out->n) abort();
    for (size_t i = 0; i < out->n; i++)
        if (out->outside[i] > 1) abort();
    for (size_t i = 0; i < out->n_marks; i++) {
        if (out->marks[i].start < at || out->marks[i].end < out->marks[i].start || out->marks[i].end > out->n) abort();
        at = out->marks[i].end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    const uint8_t *nul = memchr(data, 0, size);
    size_t n = nul ? (size_t)(nul - data) : size, rest = nul ? size - n - 1 : 0;
    json_t *row = rest > 0 ? json_parse(c, "row", (const char *)nul + 1, rest) : NULL;
    ctx_clear(c);
    if (!json_is_object(row)) {
        json_decref(row);
        row = json_parse(c, "talk", talk, strlen(talk));
    }
    struct jinja_template *t = jinja_open(c, "fuzz", (const char *)data, n);
    const struct jinja_input in = {row, NULL, {.tm_year = 126, .tm_mday = 1}};
    struct jinja_output out = {0};
    if (t && jinja_render(c, t, &in, &out) == OK) check_output(&out);
    jinja_output_release(c, &out);
    jinja_free(t);
    json_decref(row);
    fuzz_check(c, size, 1024, 96 << 20);
    ctx_free(c);
    return 0;
}
