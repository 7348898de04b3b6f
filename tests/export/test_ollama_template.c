/* Chat templates in Ollama's language: the exact text for the forms that can be said, nothing for others. That the text
 * means what the model's template means is checked by the program itself, message by message, before it is written, and by
 * tools/check_modelfile.py, which renders both. */
#include "model/support_model.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/gguf/ollama_template.h"
#include "io/json.h"

/* What becomes of a template beside the tokenizer of a kind ("smollm", "llama3"); NULL: left out. Owner: the caller. */
static char *translate(struct fixture *f, const char *kind, const char *jinja)
{
    static const char *const files[] = {"tokenizer.json", "tokenizer_config.json"};
    char path[512];
    size_t n;
    struct buf out;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, TEST_DATA "/io/tokenizer/%s/%s", kind, files[i]);
        char *text = file_read(f->c, path, 64 << 20, &n);
        assert_non_null(text);
        fixture_write(f, files[i], text);
        mem_free(f->c, text);
    }
    if (jinja) fixture_write(f, "chat_template.jinja", jinja);
    struct tokenizer *t = tokenizer_open(f->c, f->dir);
    if (!t) fail_msg("%s", f->c->message);
    buf_init(&out, f->c, 1 << 20);
    char *copy = ollama_template_append(f->c, t, &out) ? mem_strdup(f->c, buf_str(&out)) : NULL;
    assert_ok(f->c);
    buf_release(&out);
    tokenizer_free(t);
    return copy;
}

static void becomes(struct fixture *f, const char *kind, const char *jinja, const char *want)
{
    char *got = translate(f, kind, jinja);
    if (!want && got) fail_msg("%s became %s", jinja, got);
    if (want && !got) fail_msg("%s was left out", jinja);
    if (want) assert_string_equal(got, want);
    mem_free(f->c, got);
}

#define CHATML                                                                                                              \
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"                              \
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
#define DEFAULT_SYSTEM "{% if messages[0].role != 'system' %}<|im_start|>system\nBe good.<|im_end|>\n{% endif %}"
#define GO_TURNS                                                                                                            \
    "{{ end }}{{ range .Messages }}{{ if eq .Role \"user\" }}<|im_start|>user\n{{ .Content }}<|im_end|>\n"                  \
    "{{ else if eq .Role \"assistant\" }}<|im_start|>assistant\n{{ .Content }}<|im_end|>\n{{ end }}{{ end }}"               \
    "<|im_start|>assistant\n"

static void forms_that_can_be_said(void **state)
{
    struct fixture *f = *state;
    becomes(f, "smollm", CHATML, "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n" GO_TURNS);
    becomes(f, "smollm", DEFAULT_SYSTEM CHATML,
            "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ else }}<|im_start|>system\nBe "
            "good.<|im_end|>\n" GO_TURNS);
    /* nothing stands behind the user's text, and the assistant's ends with its own mark */
    becomes(
        f, "smollm",
        "{% for m in messages %}{% if m.role == 'system' %}S:{{ m.content }}\n{% elif m.role == 'user' %}U:{{ m.content }}"
        "{% else %}A:{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}",
        "{{ if .System }}S:{{ .System }}\n{{ end }}{{ range .Messages }}{{ if eq .Role \"user\" }}U:{{ .Content }}{{ else "
        "if eq "
        ".Role \"assistant\" }}A:{{ .Content }}<|im_end|>{{ end }}{{ end }}A:");
    /* BOS, which this vocabulary has added, is not written a second time */
    becomes(f, "llama3",
            "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim "
            "}}<|eot_id|>"
            "{% endfor %}{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
            "{{ if .System }}<|start_header_id|>system<|end_header_id|>\n\n{{ .System }}<|eot_id|>{{ end }}{{ range "
            ".Messages }}{{ if eq "
            ".Role \"user\" }}<|start_header_id|>user<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ else if eq .Role "
            "\"assistant\" "
            "}}<|start_header_id|>assistant<|end_header_id|>\n\n{{ .Content }}<|eot_id|>{{ end }}{{ end }}"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

/* Each for one reason: no template; turns that must alternate and a system text inside the first of them; a text that
 * changes with the place of a message; contents that are changed; a date; an affix that would begin an action of Go's or end
 * the quotes; a template that refuses. */
static void forms_that_cannot(void **state)
{
    struct fixture *f = *state;
    static const char *const jinja[] = {
        "{% for m in messages %}{% if m.role == 'user' %}[INST] {% if loop.index0 == 1 %}{{ messages[0].content }} {% endif "
        "%}"
        "{{ m.content }}{% elif m.role == 'assistant' %} {{ m.content }}{% endif %}{% endfor %}",
        "{% for m in messages %}{{ loop.index }} {{ m.role }} {{ m.content }}\n{% endfor %}>",
        "{% for m in messages %}{{ m.role }} {{ m.content | upper }}\n{% endfor %}>",
        "{{ strftime_now('%d %b %Y') }}" CHATML,
        "{% for m in messages %}{{ '{{' }}{{ m.role }}{{ m.content }}\n{% endfor %}>",
        "{% for m in messages %}{{ m.role }}\"\"\"{{ m.content }}\n{% endfor %}>",
        ("{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}{% if messages | length > 2 %}{{ "
         "raise_exception('too long') }}{% endif %}>"),
        "{% for m in messages %}{{ nothing.that.is }}{% endfor %}",
    };
    becomes(f, "smollm", NULL, NULL);
    for (size_t i = 0; i < sizeof jinja / sizeof *jinja; i++) becomes(f, "smollm", jinja[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(forms_that_can_be_said, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(forms_that_cannot, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
