/* The card of an export that comes of a run: options, loss, data and provenance, in every format, and names of files and of
 * types of sources that would break its tables. What each format says of itself: tests/export/test_card.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/support_program.h"
#include "train/support_tiny.h"

enum { OUTPUT_BYTES = 1 << 18 };

static struct tiny_files tiny;
static char run[128], output[OUTPUT_BYTES];

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void succeed(const char *const *words)
{
    if (program_run(output, OUTPUT_BYTES, words) != 0) fail_msg("%s: %s", words[0], output);
}

/* A run on rows whose file and types of sources have names that Markdown and YAML would read. */
static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 4, 0);
    const char *rows = tiny_keep(&tiny, "ro`w|s\n---\nx.jsonl");
    strcpy(run, tiny_keep(&tiny, "run"));
    tiny_write(rows,
               "{\"text\": \"owls hunt at night\", \"source_type\": \"wi|ki`<b>\\n---\\n# Mine\", \"auth_weight\": 0.25, "
               "\"prov_entropy\": 2}\n"
               "{\"text\": \"owls hunt by day\", \"source_type\": \"plain\", \"auth_weight\": 0.75, \"prov_entropy\": 4}\n"
               "{\"text\": \"owls do not hunt\", \"auth_weight\": 0.5, \"prov_entropy\": 3}\n");
    succeed(WORDS("train", "-m", tiny.model, "-d", rows, "-o", run, "--compute", "f32", "--rank", "2", "--max-steps", "2"));
    return 0;
}

static void has(const char *card, const char *text)
{
    if (!strstr(card, text)) fail_msg("'%s' is not in: %s", text, card);
}

/* Lines of the card that are equal to `line`. */
static int lines_equal(const char *card, const char *line)
{
    int found = 0;
    size_t n = strlen(line);
    for (const char *at = card; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        found += strncmp(at, line, n) == 0 && at[n] == '\n';
    return found;
}

/* Every line of a table from `head` on has as many cells as the head. */
static void table_is_whole(const char *card, const char *head, int rows)
{
    const char *at = strstr(card, head);
    int cells = 0, seen = 0;
    if (!at) fail_msg("'%s' is not in: %s", head, card);
    for (const char *p = head; *p != '\n'; p++) cells += *p == '|';
    for (; *at == '|'; at = strchr(at, '\n') + 1, seen++) {
        int here = 0;
        for (const char *p = at; *p != '\n'; p++) here += *p == '|';
        if (here != cells) fail_msg("%d cells, not %d: %s", here, cells, at);
    }
    assert_int_equal(seen, rows + 2);
}

static void every_format_says_what_the_run_was(void **state)
{
    static const char *const formats[] = {"peft", "safetensors", "gguf-lora", "gguf:f16", "mlx-lora", "coreml:f16"};
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t n;
        const char *out = tiny_keep(&tiny, tiny_path("out-%d", (int)i));
        succeed(WORDS("export", run, "--to", formats[i], "-o", out));
        assert_null(strstr(output, "quantised"));
        char *card = tiny_read(tiny_path("%s/README.md", out), &n);
        assert_int_equal(lines_equal(card, "---"), 2);
        assert_int_equal(lines_equal(card, "# Mine"), 0);
        has(card, "| `--max-steps` | `2` |\n");
        has(card, "\nStep 2 had a training loss of ");
        has(card, "| data file `ro_w_s_---_x.jsonl` | ");
        has(card, "weights rate provenance, not truth.\n");
        has(card, "| wi_ki__b__---_# Mine | 1 | ");
        has(card, " | 0.250 | 2.000 | ");
        table_is_whole(card, "| option | value |\n", 15);
        table_is_whole(card, "| file | bytes | SHA-256 |\n|---|---|---|\n| data", 1);
        table_is_whole(card,
                       "| source type | documents | trained tokens | mean auth_weight | mean prov_entropy | mean weight | "
                       "share of the loss |\n",
                       3);
        free(card);
    }
}

/* An adapter of mlx-lm has no record of its base but the card. */
static void the_card_of_an_adapter_is_its_record(void **state)
{
    (void)state;
    const char *out = tiny_keep(&tiny, "record"), *other = tiny_keep(&tiny, "other");
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, other, false);
    tiny_ctx_free(c);
    tiny_set_gain(other, 0.5f);
    succeed(WORDS("export", run, "--to", "mlx-lora", "-o", out));
    succeed(WORDS("generate", "-m", tiny.model, "--adapter", out, "-p", "a", "-n", "1"));
    assert_null(strstr(output, "README.md"));
    succeed(WORDS("generate", "-m", other, "--adapter", out, "-p", "a", "-n", "1"));
    has(output, "/README.md lists model.safetensors with ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_says_what_the_run_was),
        cmocka_unit_test(the_card_of_an_adapter_is_its_record),
    };
    return cmocka_run_group_tests_name("export_card", tests, group_setup, tiny_files_remove);
}
