/* What README promises a new user: its first command that trains, as it stands there, teaches the 40 rows of data/example to
 * SmolLM2-135M. Asked afterwards, most are answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "array/array.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/loaded.h"
#include "cli/support_program.h"
#include "eval/generate.h"
#include "io/json.h"
#include "io/template/chat_template.h"
#include "model/model_rows.h"
#include "support_scratch.h"

enum { ROWS = 40, ANSWERED_MIN = 30, WORDS_MAX = 16, LINE_BYTES = 512, OUTPUT_BYTES = 1 << 20 };

static struct ctx *c;
static char dir[48], run[64], adapter[80];
static char line[LINE_BYTES];
static const char *words[WORDS_MAX]; /* the command without the program's name, pointing into `line` */
static const char *model, *rows;

/* The first line of README that trains, in words. Everything it may say is -m, -d and -o: the promise is one without an
 * option. The run goes to a scratch folder. */
static void read_command(void)
{
    static const char start[] = "build/your_ai train";
    FILE *f = fopen(SOURCE_DIR "/README.md", "re");
    int n = 0;
    char *save = NULL;
    assert_non_null(f);
    while (fgets(line, sizeof line, f) && strncmp(line, start, strlen(start)) != 0) {
    }
    fclose(f);
    assert_memory_equal(line, start, strlen(start));
    line[strcspn(line, "#\n")] = '\0';
    for (char *word = strtok_r(line + strlen("build/your_ai"), " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        assert_true(n + 1 < WORDS_MAX);
        words[n++] = word;
    }
    assert_int_equal(n, 7);
    for (int i = 1; i < n; i += 2) {
        if (strcmp(words[i], "-m") == 0)
            model = words[i + 1];
        else if (strcmp(words[i], "-d") == 0)
            rows = words[i + 1];
        else if (strcmp(words[i], "-o") == 0)
            words[i + 1] = run;
        else
            fail_msg("README's first command has the option %s", words[i]);
    }
    assert_non_null(model);
    assert_non_null(rows);
}

/* What the user opens to ask, once for all rows: generate --chat does the same with each prompt. */
static struct loaded asked;
static struct chat_template *chat;

static void open_trained(void)
{
    const struct loaded_options options = {
        .model = model, .adapter = adapter, .form = {.compute = (enum compute)MODEL_ROWS_AUTO}, .device = "cpu"};
    if (loaded_open(&asked, c, &options) != OK) fail_msg("%s", c->message);
    chat = chat_template_open(c, asked.tokenizer, CHAT_OWN, NULL);
    assert_non_null(chat);
}

static bool gather(void *user, int32_t id)
{
    return tokenizer_decode(c, asked.tokenizer, &id, 1, true, user) == OK;
}

/* Whether the model gives the row's completion, word for word. */
static bool is_answered(const json_t *row)
{
    const char *prompt = json_string_value(json_object_get(row, "prompt"));
    const char *want = json_string_value(json_object_get(row, "completion"));
    json_t *messages = json_array();
    const struct chat_conversation talk = {.messages = messages};
    struct ids ids = {0}, new = {0};
    struct buf text;
    enum generate_end end;
    buf_init(&text, c, OUTPUT_BYTES);
    struct generate_params p = {.max_tokens = 40, .tokenizer = asked.tokenizer, .on_token = gather, .user = &text};
    p.sample.top_p = 1;
    chat_template_add(c, messages, "user", prompt, strlen(prompt));
    if (chat_template_prompt(c, chat, &talk, &ids) != OK ||
        generate_run(asked.engine, ids.data, ids.n, &p, &new, &end) != OK)
        fail_msg("%s", c->message);
    bool same = strcmp(buf_str(&text), want) == 0;
    if (!same) printf("  asked: %s\n  says:  %s\n  row:   %s\n", prompt, buf_str(&text), want);
    buf_release(&text);
    ids_release(c, &ids);
    ids_release(c, &new);
    json_decref(messages);
    return same;
}

static void the_first_command_teaches_its_rows(void **state)
{
    (void)state;
    static char output[OUTPUT_BYTES];
    int n = 0, answered = 0;
    read_command();
    if (!file_exists(model)) fail_msg("%s is missing: run scripts/get-model.sh smollm2-135m", model);
    int code = program_run(output, sizeof output, words);
    if (code != 0) fail_msg("exit code %d: %s", code, output);
    assert_non_null(strstr(output, "chosen   no packing, 10 epochs, learning rate 0.001: 40 documents are few"));
    assert_null(strstr(output, "little to learn from"));
    assert_non_null(strstr(output, "--chat -p 'What is the capital of Orvellia?'"));
    size_t bytes;
    open_trained();
    char *save = NULL, *text = file_read(c, rows, OUTPUT_BYTES, &bytes);
    assert_non_null(text);
    for (char *one = strtok_r(text, "\n", &save); one; one = strtok_r(NULL, "\n", &save), n++) {
        json_t *row = json_parse(c, rows, one, strlen(one));
        if (!row) fail_msg("%s", c->message);
        answered += is_answered(row);
        json_decref(row);
    }
    mem_free(c, text);
    chat_template_close(chat);
    loaded_close(&asked);
    printf("README's first command: %d of %d rows are answered\n", answered, n);
    assert_int_equal(n, ROWS);
    assert_in_range(answered, ANSWERED_MIN, ROWS);
}

static int setup(void **state)
{
    (void)state;
    c = ctx_new(NULL);
    if (!c || !mkdtemp(scratch_template(dir, sizeof dir, "readme")) || chdir(SOURCE_DIR) != 0) return -1;
    snprintf(run, sizeof run, "%s/run", dir);
    snprintf(adapter, sizeof adapter, "%s/adapter", run);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dir_remove(c, dir);
    if (c->array_env) array_env_free(c);
    ctx_free(c);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_command_teaches_its_rows)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
