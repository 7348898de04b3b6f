/* Cards of exports: what each format's README.md says, and that texts from outside break neither its head nor its lines. The
 * card of an export that comes of a run: tests/cli/test_export_card.c. */
#include "model/support_model.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "export/card.h"
#include "export/export_card.h"
#include "io/json.h"

static const char owners_words[] = "# The words of the base's owner\n";

/* DIR/hf with a README.md of its own, and DIR/adapter on it. Columns divide by 64, as MLX and Q8_0 ask. */
static void make_source(struct fixture *f)
{
    struct tiny t = tiny_llama;
    t.hidden = t.ffn = 64;
    t.dim = 16;
    tiny_write_hf(f, &t, "hf", NULL);
    fixture_write(f, "hf/README.md", owners_words);
    tiny_write_adapter(f, 0.02f);
}

/* Exports to DIR/out and returns the card (mem_free); DIR/out is gone afterwards. */
static char *card_of(struct fixture *f, struct export_source *s, const char *format, bool verify, struct export_result *r)
{
    struct export_job job;
    struct export_logits *wanted = NULL;
    size_t n;
    assert_int_equal(export_plan(s, format, fixture_path(f, "out"), &job), OK);
    if (export_write(s, &job.targets[0], verify, &wanted, r) != OK) fail_msg("%s: %s", format, f->c->message);
    mem_free(f->c, r->opens);
    export_logits_free(wanted);
    export_job_release(f->c, &job);
    char *card = file_read(f->c, fixture_path(f, "out/README.md"), CARD_MAX_BYTES, &n);
    if (!card) fail_msg("%s has no card: %s", format, f->c->message);
    dir_remove(f->c, fixture_path(f, "out"));
    return card;
}

static void has(const char *card, const char *text)
{
    if (!strstr(card, text)) fail_msg("'%s' is not in: %s", text, card);
}

static void lacks(const char *card, const char *text)
{
    if (strstr(card, text)) fail_msg("'%s' is in: %s", text, card);
}

/* ---- every format ----------------------------------------------------------------------------------------------------- */

static const struct {
    const char *format, *library, *runs;
    bool adapter; /* holds an adapter */
} formats[] = {
    {"peft", "peft", "    python -c 'from peft import AutoPeftModelForCausalLM as M; M.from_pretrained(\".\")'\n", true},
    {"safetensors:f16", "transformers",
     "    python -c 'from transformers import AutoModelForCausalLM as M; M.from_pretrained(\".\")'\n", false},
    {"gguf-lora", "gguf", "    llama-cli -m BASE.gguf --lora ./adapter.gguf\n\nBASE.gguf: the base, which the Modelfile",
     true},
    {"gguf:f16", "gguf", "    llama-cli -m ./base-F16.gguf\n\nOllama: ollama create NAME -f Modelfile; ", false},
    {"mlx-lora", "mlx", "    mlx_lm.generate --model BASE --adapter-path . -p Hello\n", true},
    {"mlx:8bit", "mlx", "    mlx_lm.generate --model . -p Hello\n", false},
    {"coreml:f16", "coreml",
     "    xcrun coremlcompiler compile ./Model.mlpackage .\n\non a Mac with macOS 15; the Swift lines", false},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

/* The figures of the check, as they are in *r. */
static void has_figures(const char *card, const struct export_result *r)
{
    char text[256];
    if (r->difference.weights)
        snprintf(text, sizeof text, "differ by %.2g (relative)", r->difference.relative);
    else
        snprintf(text, sizeof text,
                 "the largest difference is %.3g (relative %.2g); most probable token equal at %lld of %lld",
                 r->difference.largest, r->difference.relative, (long long)r->difference.same_top,
                 (long long)r->difference.tokens);
    has(card, text);
}

static void every_format_has_a_card(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    char text[256], hex[65];
    uint64_t bytes;
    make_source(f);
    assert_int_equal(file_sha256(f->c, fixture_path(f, "hf/model.safetensors"), hex, &bytes), OK);
    for (int i = 0; i < N_FORMATS; i++) {
        assert_int_equal(export_open(&s, f->c, fixture_path(f, "adapter"), fixture_path(f, "hf")), OK);
        s.base_name = "owner/base";
        char *card = card_of(f, &s, formats[i].format, true, &r);
        snprintf(text, sizeof text, "---\nbase_model: \"owner/base\"\nlibrary_name: %s\ntags:\n%s- your_ai\n---\n\n# ",
                 formats[i].library, formats[i].adapter ? "- lora\n" : "");
        if (strncmp(card, text, strlen(text)) != 0) fail_msg("%s: %s", formats[i].format, card);
        snprintf(text, sizeof text, "Exported by your_ai as `%s`: ", formats[i].format);
        has(card, text);
        has(card, "\n- Base: `owner/base`, its weights in F32\n");
        has(card, "rank 3, alpha 5, dropout 0; 14 modules, ");
        has(card, formats[i].runs);
        has_figures(card, &r);
        assert_true(formats[i].adapter == (strstr(card, hex) != NULL));
        assert_true(formats[i].adapter == (strstr(card, "merged as W + s B A") == NULL));
        lacks(card, "the base is quantised");
        lacks(card, "The words of the base's owner");
        lacks(card, f->dir);
        mem_free(f->c, card);
        export_close(&s);
    }
}

/* ---- the line that says how it is run --------------------------------------------------------------------------------- */

/* A folder of programs that print their arguments, each between brackets, under the names that the lines begin with. */
static void make_printers(struct fixture *f)
{
    static const char *const names[] = {"python", "llama-cli", "mlx_lm.generate", "xcrun"};
    assert_int_equal(dir_make(f->c, fixture_path(f, "bin")), OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[64];
        snprintf(name, sizeof name, "bin/%s", names[i]);
        fixture_write(f, name, "#!/bin/sh\nprintf '[%s]' \"$@\"\n");
        assert_int_equal(chmod(fixture_path(f, name), 0755), 0);
    }
}

/* What the program that the line names is called with. The note in brackets behind the line is not part of it. */
static const char *arguments_of(struct fixture *f, const char *line, char *out, size_t size)
{
    char command[4096];
    const char *note = strstr(line, "    (");
    snprintf(command, sizeof command, "PATH='%s':$PATH; %.*s", fixture_path(f, "bin"),
             note ? (int)(note - line) : (int)strlen(line), line);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(out, 1, size - 1, p);
    out[n] = '\0';
    if (pclose(p) != 0) fail_msg("a shell does not run: %s", command);
    return out;
}

/* Every line can be copied into a shell, whatever the folder is called; in a program of Python's the path is a string. */
static void a_shell_runs_the_line(void **state)
{
    static const char path[] = "it's \"my\" $HOME; \\x\377";
    static const char python[] = "(\"it's \\\"my\\\" $HOME; \\\\x\\udcff\")]";
    struct fixture *f = *state;
    struct export_source s;
    struct export_job job;
    char text[4096];
    make_source(f);
    make_printers(f);
    for (int i = 0; i < N_FORMATS; i++) {
        struct buf line;
        assert_int_equal(export_open(&s, f->c, fixture_path(f, "adapter"), fixture_path(f, "hf")), OK);
        assert_int_equal(export_plan(&s, formats[i].format, fixture_path(f, "out"), &job), OK);
        buf_init(&line, f->c, sizeof text);
        export_append_usage(&line, &s, job.targets[0].format, path);
        arguments_of(f, buf_str(&line), text, sizeof text);
        bool is_python = strncmp(buf_str(&line), "python ", 7) == 0;
        has(text, is_python ? python : "[it's \"my\" $HOME; \\x\377]");
        buf_release(&line);
        export_job_release(f->c, &job);
        export_close(&s);
    }
}

/* A model without an adapter, and a check that was left out. */
static void what_was_not_done_is_said(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f);
    assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "hf")), OK);
    char *card = card_of(f, &s, "safetensors:f32", false, &r);
    has(card, "# Model in another format\n");
    has(card, "left out (--no-verify)");
    has(card, "- Base: `hf`, its weights in F32\n");
    lacks(card, "dapter");
    lacks(card, "base_model:"); /* a path is no name that a hub takes */
    mem_free(f->c, card);
    export_close(&s);
}

static void a_quantised_base_is_named(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    struct export_job job;
    make_source(f);
    assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "hf")), OK);
    assert_int_equal(export_plan(&s, "gguf:q8_0", fixture_path(f, "q"), &job), OK);
    assert_int_equal(export_write(&s, &job.targets[0], false, NULL, &r), OK);
    export_job_release(f->c, &job);
    export_close(&s);
    assert_int_equal(export_open(&s, f->c, fixture_path(f, "adapter"), r.opens), OK);
    mem_free(f->c, r.opens);
    s.base_name = "owner/base";
    char *card = card_of(f, &s, "safetensors:f32", false, &r);
    has(card, "its weights in Q8_0 (quantised)\n");
    has(card, "the base is quantised (Q8_0). Merging widens its weights to f32 and adds the adapter");
    mem_free(f->c, card);
    card = card_of(f, &s, "gguf-lora", false, &r);
    has(card, "the base is quantised, and the adapter fits those numbers best.");
    lacks(card, "Merging widens");
    mem_free(f->c, card);
    export_close(&s);
}

/* ---- texts from outside ----------------------------------------------------------------------------------------------- */

/* A name that would end the head, a code span and a row, if it could. */
static void no_name_breaks_the_card(void **state)
{
    struct fixture *f = *state;
    struct export_source s;
    struct export_result r;
    make_source(f);
    assert_int_equal(export_open(&s, f->c, fixture_path(f, "adapter"), fixture_path(f, "hf")), OK);
    s.base_name = "a`b|c\n---\nlicense: mine\n| `model.safetensors` | 1 |\xc2\x85\xe2\x80\xa8\xff<b>";
    char *card = card_of(f, &s, "gguf-lora", false, &r);
    has(card, "---\nlibrary_name: gguf\ntags:\n- lora\n- your_ai\n---\n\n# LoRA adapter\n");
    has(card, "\n- Base: `a_b_c_---_license: mine__ _model.safetensors_ _ 1 _____b_`, its weights");
    lacks(card, "\nlicense");
    mem_free(f->c, card);
    export_close(&s);
}

static void plain_and_code(void **state)
{
    struct fixture *f = *state;
    struct buf b;
    buf_init(&b, f->c, 256);
    card_append_plain(&b, "\xc3\xa9 [x](y) a*b\x7f\xe2\x82", 64);
    assert_string_equal(buf_str(&b), "\xc3\xa9 _x_(y) a_b___");
    buf_clear(&b);
    card_append_code(&b, "ab`|[]\n\tc\xc2\x9b", 9);
    assert_string_equal(buf_str(&b), "ab`|[]__c");
    buf_release(&b);
    assert_string_equal(card_model_name("/home/you/x.gguf"), "x.gguf");
    assert_string_equal(card_model_name("owner/name"), "owner/name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_format_has_a_card, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_shell_runs_the_line, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(what_was_not_done_is_said, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_quantised_base_is_named, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(no_name_breaks_the_card, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(plain_and_code, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
