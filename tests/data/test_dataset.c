#include "support_data.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "data/dataset_layout.h"
#include "data/dataset_split.h"

/* Compares document i with a picture of it: each token is followed by '+' when it is trained. Bytes stand for themselves,
 * "<s>", "</s>" ... for the special ids, "ab" merged is written as "@". */
static void assert_document(const struct dataset *d, int64_t i, const char *picture)
{
    const struct dataset_document *e = dataset_document(d, i);
    const int32_t *tokens = dataset_tokens(d, i);
    const uint8_t *trained = dataset_trained(d, i);
    char got[4096];
    size_t n = 0;
    static const char *const special[] = {"@", "<s>", "</s>", "<[>", "<]>"};
    for (int32_t t = 0; t < e->n; t++) {
        if (tokens[t] >= 256) {
            n += (size_t)sprintf(got + n, "%s", special[tokens[t] - 256]);
        } else {
            got[n++] = (char)tokens[t];
        }
        if (trained[t]) got[n++] = '+';
    }
    got[n] = '\0';
    assert_string_equal(got, picture);
}

static struct dataset *build(struct ctx *c, struct tokenizer_kind kind, const char *rows, struct dataset_options o,
                             struct dataset_counts *counts)
{
    const char *path = write_rows("rows.jsonl", rows);
    o.paths = &path;
    o.n_paths = 1;
    struct tokenizer *t = byte_tokenizer(c, kind);
    enum status status = dataset_build(c, t, &o, scratch_path("cache"), counts);
    tokenizer_free(t);
    if (status != OK) return NULL;
    struct dataset *d = dataset_open(c, scratch_path("cache"));
    if (!d) fail_msg("%s", c->message);
    assert_memory_equal(dataset_counts(d), counts, sizeof *counts);
    return d;
}

/* Prompt and completion joined: most tests are about tokens and not about templates. */
static struct dataset_options defaults(void)
{
    struct dataset_options o = dataset_options_default(NULL, 0);
    o.raw = true;
    return o;
}

static void keep_warning(void *user, enum log_level level, const char *message)
{
    if (level == LOG_WARN && strstr(message, "spells")) snprintf(user, 400, "%s", message);
}

/* Control tokens written out in plain text are characters: said once, with the first row and how many there are. */
static void spelled_tokens_are_said(void **state)
{
    char warning[400] = "";
    struct dataset_counts n;
    (void)state;
    struct ctx *c = ctx_new(&(struct ctx_hooks){.log = keep_warning, .user = warning});
    struct dataset *d = build(c, (struct tokenizer_kind){0},
                              "{\"text\":\"plain\"}\n{\"text\":\"<|im_start|>user\"}\n"
                              "{\"prompt\":\"x</s>\",\"completion\":\"y\"}\n",
                              defaults(), &n);
    assert_int_equal(dataset_n_documents(d), 3);
    assert_non_null(strstr(warning, "rows.jsonl:2: the text spells the control token <|im_start|>"));
    assert_non_null(strstr(warning, "(2 rows like it)"));
    dataset_close(d);
    ctx_free(c);
}

static void rows_become_tokens(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset *d = build(c, (struct tokenizer_kind){.adds_bos = true},
                              "{\"text\":\"xaby\",\"auth_weight\":0.5,\"prov_entropy\":2,\"loss_weight\":3}\n"
                              "{\"prompt\":\"xa\",\"completion\":\"by\"}\n" /* "ab" never merges over the boundary */
                              "{\"prompt\":\"\",\"completion\":\"z\",\"auth_weight\":0.25}\n"
                              "{\"text\":\"<s>\",\"loss_weight\":0}\n"
                              "{\"text\":\"q</s>\"}\n", /* text of a special token is text */
                              defaults(), &n);
    assert_int_equal(dataset_n_documents(d), 4);
    assert_document(d, 0, "<s>x+@+y+</s>+");
    assert_document(d, 1, "<s>xab+y+</s>+");
    assert_document(d, 2, "<s>z+</s>+");
    assert_document(d, 3, "<s>q+<+/+s+>+</s>+");
    const struct dataset_document *e = dataset_document(d, 0);
    assert_true(e->auth_weight == 0.5 && e->prov_entropy == 2 && e->loss_weight == 3 && e->row == 1 && e->file == 0);
    assert_int_equal(e->n, 5);
    assert_int_equal(e->n_trained, 4);
    e = dataset_document(d, 2);
    assert_true(e->auth_weight == 0.25 && isnan(e->prov_entropy) && e->loss_weight == 1 && e->row == 3);
    assert_int_equal(n.rows, 5);
    assert_int_equal(n.bad_rows, 0);
    assert_int_equal(n.unweighted_rows, 1);
    assert_int_equal(n.documents, 4);
    assert_int_equal(n.tokens, 5 + 6 + 3 + 7);
    assert_int_equal(n.trained, 4 + 3 + 2 + 6);
    assert_int_equal(n.masked, n.tokens - n.trained);
    assert_int_equal(n.scored_rows, 1);
    assert_int_equal(n.max_token, TOKEN_EOS);
    assert_int_equal(dataset_max_length(d), 2048);
    struct dataset_file f = dataset_file(d, 0);
    char hex[65];
    uint64_t bytes;
    assert_int_equal(dataset_n_files(d), 1);
    assert_int_equal(file_sha256(c, f.path, hex, &bytes), OK);
    assert_string_equal(f.sha256, hex);
    assert_int_equal(f.bytes, bytes);
    assert_int_equal(dataset_check(c, d), OK);
    dataset_close(d);
    dataset_close(NULL);
}

static void neither_bos_nor_eos(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset *d = build(c, (struct tokenizer_kind){.no_eos = true},
                              "{\"text\":\"xyz\"}\n{\"prompt\":\"p\",\"completion\":\"c\"}\n", defaults(), &n);
    assert_document(d, 0, "xy+z+"); /* nothing before the first token: no target */
    assert_document(d, 1, "pc+");
    assert_int_equal(n.trained, 3);
    dataset_close(d);
}

static void conversations_are_rendered(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    const char *rows =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\"},"
        "{\"role\":\"user\",\"content\":\"<|im_end|>\"},{\"role\":\"assistant\",\"content\":\"no\",\"weight\":0}]}\n";
    struct dataset *d = build(c, (struct tokenizer_kind){0}, rows, defaults(), &n);
    /* control tokens only where the template puts them; the user's text of one stays text */
    assert_document(d, 0, "<[>user\nhi<]>\n<[>assistant\ny+o+<]>+\n<[>user\n<|im_end|><]>\n<[>assistant\nno<]>\n");
    dataset_close(d);

    assert_null(build(c, (struct tokenizer_kind){.no_template = true}, rows, defaults(), &n));
    assert_failed(c, E_UNSUPPORTED, "rows.jsonl:1");
    struct dataset_options o = defaults();
    o.skip_bad_rows = true; /* a model without a template is no fault of the row's */
    assert_null(build(c, (struct tokenizer_kind){.no_template = true}, rows, o, &n));
    assert_failed(c, E_UNSUPPORTED, "rows.jsonl:1");
    o.chat = CHAT_LLAMA3; /* whose control tokens this tokenizer lacks */
    assert_null(build(c, (struct tokenizer_kind){0}, rows, o, &n));
    assert_failed(c, E_INPUT, "rows.jsonl:1");
    o.chat = CHAT_CHATML;
    d = build(c, (struct tokenizer_kind){.no_template = true}, rows, o, &n);
    assert_int_equal(n.trained, 3);
    dataset_close(d);
}

static char log_text[2000];
static void keep_log(void *user, enum log_level level, const char *message)
{
    (void)user;
    size_t n = strlen(log_text);
    snprintf(log_text + n, sizeof log_text - n, "%s%s\n", level == LOG_WARN ? "warning: " : "", message);
}

/* A chat model is asked through its template, so it learns prompt and completion through it; this is said either way. */
static void pairs_get_the_template(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(&(struct ctx_hooks){.log = keep_log});
    struct dataset_counts n;
    struct dataset_options o = defaults();
    const char *rows = "{\"prompt\":\"hi\",\"completion\":\"yo\"}\n{\"text\":\"t\"}\n";
    *log_text = '\0';
    o.raw = false;
    struct dataset *d = build(c, (struct tokenizer_kind){.adds_bos = true}, rows, o, &n);
    assert_document(d, 0, "<[>user\nhi<]>\n<[>assistant\ny+o+<]>+\n");
    assert_document(d, 1, "<s>t+</s>+");
    assert_string_equal(log_text,
                        "1 rows of prompt and completion are put into the model's chat template, as user and assistant "
                        "(--raw joins them as they stand)\n");
    dataset_close(d);
    *log_text = '\0';
    o.raw = true;
    d = build(c, (struct tokenizer_kind){.adds_bos = true}, rows, o, &n);
    assert_document(d, 0, "<s>hiy+o+</s>+");
    assert_non_null(strstr(log_text, "warning: 1 rows of prompt and completion are joined as they stand (--raw)"));
    dataset_close(d);
    *log_text = '\0';
    o.raw = false; /* a model without a template has nothing else */
    d = build(c, (struct tokenizer_kind){.no_template = true}, rows, o, &n);
    assert_document(d, 0, "hiy+o+</s>+");
    assert_string_equal(log_text, "");
    dataset_close(d);
    ctx_free(c);
}

#define TURNS                                                                                                               \
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"          \
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"

/* The ids of the document before its first trained token are what inference gives the model: `prompt`. */
static void assert_begins(struct dataset *d, int64_t i, const struct ids *prompt)
{
    int64_t n = 0;
    while (!dataset_trained(d, i)[n]) n++;
    assert_int_equal(n, prompt->n);
    assert_memory_equal(dataset_tokens(d, i), prompt->data, prompt->n * sizeof *prompt->data);
}

/* One BOS and one EOS in every form of row, whether the template writes them, the tokenizer's rule adds them, or both say
 * so; and the same beginning in training and at inference. */
static void every_form_has_one_bos_and_one_eos(void **state)
{
    struct ctx *c = *state;
    static const char rows[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"yo\"}]}\n"
        "{\"prompt\":\"hi\",\"completion\":\"yo\"}\n{\"text\":\"t\"}\n";
    static const struct {
        const char *template;
        bool adds_bos;
        const char *chat, *text;
    } cases[] = {
        {"{{ bos_token }}" TURNS, true, "<s>[user]hi[assistant]y+o+</s>+", "<s>t+</s>+"},
        {"{{ bos_token }}" TURNS, false, "<s>[user]hi[assistant]y+o+</s>+", "t</s>+"},
        {"<s>" TURNS, true, "<s>[user]hi[assistant]y+o+</s>+", "<s>t+</s>+"},
        {TURNS, true, "[user]hi[assistant]y+o+</s>+", "<s>t+</s>+"}, /* the template decides, as in transformers */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct tokenizer_kind kind = {.adds_bos = cases[i].adds_bos, .template = cases[i].template};
        struct dataset_counts n;
        struct dataset_options o = defaults();
        struct ids prompt = {0}, raw = {0};
        o.raw = false;
        struct dataset *d = build(c, kind, rows, o, &n);
        assert_document(d, 0, cases[i].chat);
        assert_document(d, 1, cases[i].chat);
        assert_document(d, 2, cases[i].text);
        struct tokenizer *t = byte_tokenizer(c, kind);
        struct chat_template *template = chat_template_open(c, t, CHAT_OWN, NULL);
        json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", "hi");
        assert_int_equal(chat_template_prompt(c, template, &(struct chat_conversation){.messages = messages}, &prompt), OK);
        assert_begins(d, 0, &prompt);
        assert_begins(d, 1, &prompt);
        dataset_close(d);
        o.raw = true;
        d = build(c, kind, rows, o, &n);
        assert_document(d, 1, cases[i].adds_bos ? "<s>hiy+o+</s>+" : "hiy+o+</s>+");
        assert_int_equal(tokenizer_encode_text(c, t, "hi", 2, false, &raw), OK);
        assert_begins(d, 1, &raw);
        dataset_close(d);
        ids_release(c, &raw);
        ids_release(c, &prompt);
        json_decref(messages);
        chat_template_close(template);
        tokenizer_free(t);
    }
    struct dataset_counts n;
    assert_null(build(c, (struct tokenizer_kind){.template = "{{ bos_token }}{{ bos_token }}" TURNS}, rows, defaults(), &n));
    assert_failed(c, E_INPUT, "rows.jsonl:1: begins with BOS twice: the chat template writes it twice");
}

/* --special: spelled control tokens become tokens, and what the text has itself is not added again. */
static void spelled_tokens_can_be_parsed(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset_options o = defaults();
    o.special = true;
    struct dataset *d =
        build(c, (struct tokenizer_kind){.adds_bos = true},
              "{\"text\":\"<s><|im_start|>x<|im_end|>\"}\n{\"text\":\"x</s>\"}\n"
              "{\"prompt\":\"<|im_start|>p\",\"completion\":\"c<|im_end|>\"}\n"
              "{\"messages\":[{\"role\":\"user\",\"content\":\"</s>\"},{\"role\":\"assistant\",\"content\":\"a\"}]}\n",
              o, &n);
    assert_document(d, 0, "<s><[>+x+<]>+</s>+");
    assert_document(d, 1, "<s>x+</s>+");
    assert_document(d, 2, "<s><[>pc+<]>+</s>+");
    assert_document(d, 3, "<[>user\n</s><]>\n<[>assistant\na+<]>+\n"); /* never in messages: "</s>" here is four bytes */
    assert_int_equal(dataset_tokens(d, 3)[6], '<');
    dataset_close(d);
}

static void long_documents_are_split(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset_options o = defaults();
    o.max_length = 4;
    struct dataset *d = build(c, (struct tokenizer_kind){.adds_bos = true},
                              "{\"text\":\"abcdefgh\",\"auth_weight\":0.5,\"prov_entropy\":1}\n"
                              "{\"prompt\":\"0123456\",\"completion\":\"xy\"}\n"
                              "{\"text\":\"12\"}\n"
                              "{\"text\":\"123\"}\n",
                              o, &n);
    /* <s>@cdefgh</s>: every target once; each piece begins with the last token of the one before */
    assert_document(d, 0, "<s>@+c+d+");
    assert_document(d, 1, "de+f+g+");
    assert_document(d, 2, "gh+</s>+");
    /* <s>0123456xy</s>: the answer whole, with the end of its prompt */
    assert_document(d, 3, "6x+y+</s>+");
    assert_document(d, 4, "<s>1+2+</s>+"); /* exactly max_length: whole */
    assert_document(d, 5, "<s>1+2+3+");
    assert_document(d, 6, "3</s>+");
    assert_int_equal(n.documents, 7);
    assert_int_equal(n.split_rows, 3);
    assert_int_equal(n.trained, 8 + 3 + 3 + 4);
    assert_int_equal(n.left_out_tokens, 7);
    assert_int_equal(n.truncated_rows, 0);
    for (int64_t i = 0; i < 3; i++) {
        assert_int_equal(dataset_document(d, i)->row, 1);
        assert_true(dataset_document(d, i)->auth_weight == 0.5);
    }
    dataset_close(d);
}

/* A book in one row: the end of its run of targets was looked for again from every piece, which for a row of megabytes took
 * hours. */
static void a_long_row_is_split_in_linear_time(void **state)
{
    enum { LETTERS = 300000 };
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset_options o = defaults();
    o.max_length = 4;
    char *row = malloc(LETTERS + 32);
    size_t head = (size_t)sprintf(row, "{\"text\":\"");
    memset(row + head, 'x', LETTERS);
    memcpy(row + head + LETTERS, "\"}\n", 4);
    clock_t start = clock();
    struct dataset *d = build(c, (struct tokenizer_kind){0}, row, o, &n);
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 3);
    assert_int_equal(n.trained, LETTERS);
    assert_int_equal(n.documents, (LETTERS + 2) / 3);
    dataset_close(d);
    free(row);
}

/* Every target of a long conversation stands once, with as much as fits before it. */
static void long_conversations_keep_their_answers_whole(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset_options o = defaults();
    o.max_length = 24;
    const char *rows = "{\"messages\":[{\"role\":\"user\",\"content\":\"0123\"},{\"role\":\"assistant\",\"content\":\"xy\"},"
                       "{\"role\":\"user\",\"content\":\"z\"},{\"role\":\"assistant\",\"content\":\"w\"}]}\n"
                       "{\"prompt\":\"0123456789\",\"completion\":\"1234567890123456789012345678901234567890\"}\n";
    struct dataset *d = build(c, (struct tokenizer_kind){0}, rows, o, &n);
    assert_document(d, 0, "ser\n0123<]>\n<[>assistant\nx+y+<]>+");
    assert_document(d, 1, "<]>\n<[>user\nz<]>\n<[>assistant\nw+<]>+");
    /* an answer that does not fit: its start with what stands before it, then piece after piece */
    assert_document(d, 2, "01234567891+2+3+4+5+6+7+8+9+0+1+2+3+4+");
    assert_document(d, 3, "45+6+7+8+9+0+1+2+3+4+5+6+7+8+9+0+1+2+3+4+5+6+7+");
    assert_document(d, 4, "78+9+0+</s>+");
    assert_int_equal(n.documents, 5);
    assert_int_equal(n.left_out_tokens, 3); /* "<[>u", and the line end behind the last turn */
    assert_int_equal(n.trained, 3 + 2 + 41);
    dataset_close(d);
}

static void source_types_are_kept(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset *d = build(c, (struct tokenizer_kind){0},
                              "{\"text\":\"a\",\"source_type\":\"wiki\"}\n{\"text\":\"b\"}\n"
                              "{\"text\":\"c\",\"source_type\":\"patent\"}\n{\"text\":\"d\",\"source_type\":\"wiki\"}\n",
                              defaults(), &n);
    static const int expected[] = {0, -1, 1, 0};
    for (int64_t i = 0; i < 4; i++) assert_int_equal(dataset_document(d, i)->source_type, expected[i]);
    assert_int_equal(dataset_n_types(d), 2);
    assert_string_equal(dataset_type(d, 0), "wiki");
    assert_string_equal(dataset_type(d, 1), "patent");
    dataset_close(d);
    char *rows = malloc(300 * 64), *end = rows; /* more than there is room for */
    for (int i = 0; i < 300; i++) end += sprintf(end, "{\"text\":\"a\",\"source_type\":\"type %d\"}\n", i);
    d = build(c, (struct tokenizer_kind){0}, rows, defaults(), &n);
    assert_int_equal(dataset_n_types(d), DATASET_TYPES_MAX);
    assert_string_equal(dataset_type(d, 254), "type 254");
    assert_string_equal(dataset_type(d, 255), "(other)");
    for (int64_t i = 250; i < 300; i++) assert_int_equal(dataset_document(d, i)->source_type, i < 255 ? i : 255);
    dataset_close(d);
    free(rows);
}

/* A share for validation: exact, the same whatever the order, equal rows on one side. */
static void a_share_is_kept_for_validation(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    char rows[2][16384] = {"", ""}, valid_rows[2][400] = {"", ""};
    for (int i = 0; i < 100; i++) {
        char row[100];
        sprintf(row, "{\"text\":\"row %d\",\"source_type\":\"%s\"}\n", i, i % 2 ? "odd" : "even");
        strcat(rows[0], row);
        memmove(rows[1] + strlen(row), rows[1], strlen(rows[1]) + 1);
        memcpy(rows[1], row, strlen(row));
    }
    char path[2][300];
    snprintf(path[0], sizeof path[0], "%s", scratch_path("cache"));
    snprintf(path[1], sizeof path[1], "%s", scratch_path("valid"));
    for (int k = 0; k < 2; k++) {
        dataset_close(build(c, (struct tokenizer_kind){0}, rows[k], defaults(), &n));
        assert_int_equal(dataset_split(c, path[0], path[1], 0.1), OK);
        struct dataset *train = dataset_open(c, path[0]), *valid = dataset_open(c, path[1]);
        assert_int_equal(dataset_n_documents(train), 90);
        assert_int_equal(dataset_n_documents(valid), 10);
        assert_int_equal(dataset_counts(train)->rows, 90);
        assert_int_equal(dataset_counts(valid)->rows, 10);
        assert_int_equal(dataset_counts(train)->tokens + dataset_counts(valid)->tokens, n.tokens);
        for (int64_t i = 0; i < 10; i++) {
            const struct dataset_document *e = dataset_document(valid, i);
            int64_t row = k ? 100 - e->row : e->row - 1; /* the file of the second round is turned round */
            valid_rows[k][row] = 1;
            assert_string_equal(dataset_type(valid, (size_t)e->source_type), row % 2 ? "odd" : "even");
        }
        dataset_close(train);
        dataset_close(valid);
    }
    assert_memory_equal(valid_rows[0], valid_rows[1], 100);
    dataset_close(build(c, (struct tokenizer_kind){0}, "{\"text\":\"a\"}\n{\"text\":\"a\"}\n", defaults(), &n));
    assert_int_equal(dataset_split(c, path[0], path[1], 0.5), E_INPUT);
    assert_failed(c, E_INPUT, "would leave none to train on");
}

/* A table gives the records that the same rows as JSON Lines give. */
static void tables_give_the_same_documents(void **state)
{
    struct ctx *c = *state;
    const char *paths[] = {TEST_DATA "/io/parquet/training_zstd_v2.parquet", TEST_DATA "/io/parquet/training.jsonl"};
    struct dataset_counts n[2];
    struct dataset *d[2];
    struct tokenizer *t = byte_tokenizer(c, (struct tokenizer_kind){0});
    for (int i = 0; i < 2; i++) {
        struct dataset_options o = dataset_options_default(&paths[i], 1);
        o.skip_bad_rows = true; /* some texts are empty */
        assert_int_equal(dataset_build(c, t, &o, scratch_path("cache"), &n[i]), OK);
        d[i] = dataset_open(c, scratch_path("cache"));
        assert_non_null(d[i]);
    }
    assert_memory_equal(&n[0], &n[1], sizeof n[0]);
    assert_true(n[0].documents > 15 && n[0].rows == 40);
    for (int64_t i = 0; i < n[0].documents; i++) {
        const struct dataset_document *a = dataset_document(d[0], i), *b = dataset_document(d[1], i);
        assert_memory_equal(a, b, sizeof *a);
        assert_memory_equal(dataset_tokens(d[0], i), dataset_tokens(d[1], i), (size_t)a->n * 4);
    }
    dataset_close(d[0]);
    dataset_close(d[1]);
    tokenizer_free(t);
}

static void long_documents_are_truncated(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset_options o = defaults();
    o.max_length = 4;
    o.long_documents = LONG_TRUNCATE;
    assert_null(build(c, (struct tokenizer_kind){0}, "{\"prompt\":\"0123456\",\"completion\":\"xy\"}", o, &n));
    assert_failed(c, E_INPUT, "none of its first 4 tokens (of 10) is trained: raise --max-length, or use --long split");
    o.skip_bad_rows = true;
    struct dataset *d = build(c, (struct tokenizer_kind){0},
                              "{\"text\":\"12345678\"}\n{\"prompt\":\"0123\",\"completion\":\"xy\",\"auth_weight\":0,"
                              "\"prov_entropy\":0}\n{\"prompt\":\"012\",\"completion\":\"xy\"}\n",
                              o, &n);
    assert_document(d, 0, "12+3+4+");
    assert_document(d, 1, "012x+");
    assert_int_equal(n.truncated_rows, 2);
    assert_int_equal(n.left_out_tokens, 5 + 2);
    assert_int_equal(n.bad[FAULT_UNTRAINED], 1);
    assert_int_equal(n.bad_rows, 1);
    assert_int_equal(n.scored_rows, 0); /* the only scored row was refused */
    dataset_close(d);
}

static const struct {
    enum record_fault why;
    const char *row, *message;
} faulty[] = {
    {FAULT_UNTRAINED, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
     "is trained: no turn of the assistant is trained, or"},
    {FAULT_UNTRAINED, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"hi\",\"weight\":0}]}", "is trained"},
    {FAULT_BOS, "{\"text\":\"<s>hello\"}", "rows.jsonl:2: begins with BOS"},
    {FAULT_BOS, "{\"prompt\":\"<s>hello\",\"completion\":\"x\"}", "begins with BOS"},
    {FAULT_BOS, "{\"prompt\":\"\",\"completion\":\"<s>\"}", "begins with BOS"},
    {FAULT_JSON, "{", "rows.jsonl:2"},
    {FAULT_SCORE, "{\"text\":\"a\",\"auth_weight\":1}", "auth_weight"},
};
enum { N_FAULTY = sizeof faulty / sizeof faulty[0] };

static void faulty_rows(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    char all[4096] = "";
    int64_t expected[FAULT_COUNT] = {0};
    for (int i = 0; i < N_FAULTY; i++) {
        char rows[512];
        snprintf(rows, sizeof rows, "{\"text\":\"fine\"}\n%s\n", faulty[i].row);
        assert_null(build(c, (struct tokenizer_kind){.adds_bos = true}, rows, defaults(), &n));
        assert_failed(c, E_INPUT, faulty[i].message);
        assert_false(file_exists(scratch_path("cache"))); /* nothing half done is left */
        strcat(all, rows);
        expected[faulty[i].why]++;
    }
    struct dataset_options o = defaults();
    o.skip_bad_rows = true;
    struct dataset *d = build(c, (struct tokenizer_kind){.adds_bos = true}, all, o, &n);
    assert_int_equal(n.documents, N_FAULTY);
    assert_int_equal(n.bad_rows, N_FAULTY);
    assert_int_equal(n.rows, 2 * N_FAULTY);
    for (int i = 0; i < FAULT_COUNT; i++) assert_int_equal(n.bad[i], expected[i]);
    dataset_close(d);
    /* a lone token has no context */
    assert_null(build(c, (struct tokenizer_kind){.no_eos = true}, "{\"text\":\"x\"}", defaults(), &n));
    assert_failed(c, E_INPUT, "rows.jsonl:1: none of its first 1 tokens");
    /* without BOS by rule its spelling is only text */
    d = build(c, (struct tokenizer_kind){0}, "{\"text\":\"<s>\"}", defaults(), &n);
    assert_document(d, 0, "<s+>+</s>+");
    dataset_close(d);
}

static void nothing_to_train_on(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    assert_null(build(c, (struct tokenizer_kind){0}, "\n\n", defaults(), &n));
    assert_failed(c, E_INPUT, "rows.jsonl: no row can be used: 0 rows");
    assert_null(build(c, (struct tokenizer_kind){0}, "{\"text\":\"a\",\"weight\":0}\n", defaults(), &n));
    assert_failed(c, E_INPUT, "1 rows, 0 of them bad, 1 of weight 0");
}

static void defaults_fill_missing_scores(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset_options o = defaults();
    o.default_auth_weight = 0.5;
    o.default_prov_entropy = 3;
    struct dataset *d = build(c, (struct tokenizer_kind){0},
                              "{\"text\":\"a\"}\n{\"text\":\"b\",\"auth_weight\":0.1}\n"
                              "{\"text\":\"c\",\"auth_weight\":0.2,\"prov_entropy\":1}\n",
                              o, &n);
    static const double w[] = {0.5, 0.1, 0.2}, h[] = {3, 3, 1};
    for (int64_t i = 0; i < 3; i++) {
        assert_true(dataset_document(d, i)->auth_weight == w[i]);
        assert_true(dataset_document(d, i)->prov_entropy == h[i]);
    }
    assert_int_equal(n.scored_rows, 1);
    dataset_close(d);
}

static void options_are_checked(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    struct dataset_options o = defaults();
    o.max_length = 1;
    assert_null(build(c, (struct tokenizer_kind){0}, "{\"text\":\"a\"}", o, &n));
    assert_failed(c, E_INPUT, "maximal length 1");
    o = defaults();
    o.default_auth_weight = 1;
    assert_null(build(c, (struct tokenizer_kind){0}, "{\"text\":\"a\"}", o, &n));
    assert_failed(c, E_INPUT, "auth_weight 1");
    o.default_auth_weight = NAN;
    o.default_prov_entropy = INFINITY;
    assert_null(build(c, (struct tokenizer_kind){0}, "{\"text\":\"a\"}", o, &n));
    assert_failed(c, E_INPUT, "prov_entropy inf");
}

static void a_full_disk_leaves_nothing(void **state)
{
    struct ctx *c = *state;
    struct dataset_counts n;
    char *rows = malloc(400000);
    size_t k = 0;
    for (int i = 0; i < 10000; i++) k += (size_t)sprintf(rows + k, "{\"text\":\"0123456789012345\"}\n");
    const char *path = write_rows("rows.jsonl", rows);
    struct tokenizer *t = byte_tokenizer(c, (struct tokenizer_kind){0});
    struct dataset_options o = dataset_options_default(&path, 1);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){500000, before.rlim_max});
    enum status status = dataset_build(c, t, &o, scratch_path("cache"), &n);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, E_IO);
    assert_failed(c, E_IO, "cannot write");
    assert_false(file_exists(scratch_path("cache")));
    assert_int_equal(dataset_build(c, t, &o, scratch_path("cache"), &n), OK);
    assert_int_equal(n.documents, 10000);
    tokenizer_free(t);
    free(rows);
}

/* Memory follows the longest row and the number of documents, not the size of the input. */
static void memory_stays_small(void **state)
{
    struct ctx *c = *state;
    enum { ROWS = 3000, CHARS = 1000 };
    FILE *f = fopen(scratch_path("big.jsonl"), "wb");
    for (int i = 0; i < ROWS; i++) fprintf(f, "{\"text\":\"%0*d\"}\n", CHARS, i);
    fclose(f);
    const char *path = scratch_path("big.jsonl");
    struct tokenizer *t = byte_tokenizer(c, (struct tokenizer_kind){0});
    struct dataset_options o = dataset_options_default(&path, 1);
    struct dataset_counts n;
    size_t before = c->alloc_bytes;
    c->alloc_peak = before;
    assert_int_equal(dataset_build(c, t, &o, scratch_path("cache"), &n), OK);
    assert_int_equal(n.tokens, ROWS * (CHARS + 1));
    assert_true(c->alloc_peak - before < ROWS * 200 + 1000000); /* the cache itself has 15 MB */
    before = c->alloc_bytes;
    c->alloc_peak = before;
    struct dataset *d = dataset_open(c, scratch_path("cache"));
    assert_non_null(d);
    assert_true(c->alloc_peak - before < 10000);
    dataset_close(d);
    tokenizer_free(t);
}

/* ---- hostile caches ---- */

static const char *const three_rows = "{\"text\":\"axc\",\"auth_weight\":0.5,\"prov_entropy\":2}\n"
                                      "{\"prompt\":\"p\",\"completion\":\"c\"}\n{\"text\":\"xyz\",\"loss_weight\":2}\n";

static uint8_t *cache_bytes(struct ctx *c, size_t *n)
{
    struct dataset *d = make_dataset(c, three_rows, NULL);
    dataset_close(d);
    uint8_t *bytes = (uint8_t *)file_read(c, scratch_path("cache"), 1 << 20, n);
    assert_non_null(bytes);
    return bytes;
}

static bool opens(struct ctx *c, const uint8_t *bytes, size_t n)
{
    scratch_write("hostile", bytes, n);
    struct dataset *d = dataset_open(c, scratch_path("hostile"));
    bool ok = d != NULL;
    if (!ok) assert_int_equal(c->status, E_INPUT);
    ctx_clear(c);
    dataset_close(d);
    return ok;
}

static void every_truncation_and_flip_is_found(void **state)
{
    struct ctx *c = *state;
    size_t n;
    uint8_t *bytes = cache_bytes(c, &n);
    assert_true(opens(c, bytes, n));
    for (size_t k = 0; k < n; k++)
        if (opens(c, bytes, k)) fail_msg("accepted when cut at %zu", k);
    for (size_t k = 0; k < n; k++) {
        uint8_t old = bytes[k];
        bytes[k] ^= (uint8_t)(1 << k % 8);
        if (opens(c, bytes, n)) fail_msg("accepted with byte %zu flipped", k);
        bytes[k] = old;
    }
    mem_free(c, bytes);
}

static void sign(uint8_t *bytes, size_t n)
{
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, bytes, n - 32);
    sha256_final(&s, bytes + n - 32);
}

/* Somebody who can sign gets any bytes past the digest: still nothing may be read out of bounds or be out of range. What is
 * accepted is read as the trainer would. */
static void signed_lies_do_no_harm(void **state)
{
    struct ctx *c = *state;
    size_t n;
    uint8_t *bytes = cache_bytes(c, &n), *lie = malloc(n + 64);
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0);
    int accepted = 0;
    for (int round = 0; round < 4000; round++) {
        memcpy(lie, bytes, n);
        size_t size = n;
        if (round % 10 == 0) size = n - rng_below(&r, n - 33);
        for (uint64_t k = 1 + rng_below(&r, 3); k-- > 0;) {
            static const uint64_t extremes[] = {
                0, 1, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN, 1u << 31, 0x7FF8000000000000u};
            size_t at = rng_below(&r, size - 8);
            if (round % 2) at = at / 8 * 8;
            uint64_t value = rng_below(&r, 3) ? extremes[rng_below(&r, 7)] : rng_u64(&r);
            memcpy(lie + at, &value, rng_below(&r, 2) ? 8 : 1);
        }
        sign(lie, size);
        scratch_write("hostile", lie, size);
        struct dataset *d = dataset_open(c, scratch_path("hostile"));
        ctx_clear(c);
        if (!d) continue;
        accepted++;
        int64_t trained = 0;
        for (int64_t i = 0; i < dataset_n_documents(d); i++)
            for (int32_t t = 0; t < dataset_document(d, i)->n; t++) {
                assert_in_range(dataset_tokens(d, i)[t], 0, dataset_counts(d)->max_token);
                trained += dataset_trained(d, i)[t] != 0;
            }
        assert_int_equal(trained, dataset_counts(d)->trained);
        dataset_close(d);
    }
    assert_in_range(accepted, 1, 3999); /* unimportant bytes do change, important ones do get caught */
    free(lie);
    mem_free(c, bytes);
}

/* One lie for each rule, signed: the message says which. */
static void each_rule_is_checked(void **state)
{
    struct ctx *c = *state;
    size_t n;
    uint8_t *bytes = cache_bytes(c, &n), *lie = malloc(n);
    struct dataset_footer f;
    memcpy(&f, bytes + n - sizeof f, sizeof f);
    size_t table = (size_t)f.table_at, foot = n - sizeof f, doc = sizeof(struct dataset_header);
#define IN_TABLE(member) table + offsetof(struct dataset_document, member)
#define IN_FOOT(member)  foot + offsetof(struct dataset_footer, member)
    const struct {
        size_t at, bytes;
        int64_t value;
        const char *message;
    } lies[] = {
        {0, 1, 'Z', "magic"},
        {8, 4, 1, "version"},
        {12, 4, 0x04030201, "byte order"},
        {doc, 4, -1, "tokens of document (0)"},
        {doc + 16, 1, 1, "tokens of document (0)"}, /* the first token can not be a target */
        {doc + 17, 1, 201, "tokens of document (0)"},
        {doc + 17, 1, 0, "trained tokens of document (0)"},
        {doc, 4, 100000, "counts of tokens"},
        {IN_TABLE(first), 8, 68, "place or length of document (0)"},
        {IN_TABLE(n), 4, 1, "place or length"},
        {IN_TABLE(n), 4, 1 << 20, "place or length"},
        {IN_TABLE(n), 4, 3, "document"},
        {IN_TABLE(n_trained), 4, 1, "trained tokens"},
        {IN_TABLE(row), 8, 0, "source of document"},
        {IN_TABLE(file), 4, 1, "source of document"},
        {IN_TABLE(file), 4, -1, "source of document"},
        {IN_TABLE(source_type), 4, 1, "source of document"},
        {IN_TABLE(auth_weight), 8, 0x3FF0000000000000, "scores"},  /* 1.0 */
        {IN_TABLE(prov_entropy), 8, 0x7FF0000000000000, "scores"}, /* infinity */
        {IN_TABLE(loss_weight), 8, 0, "weight of document"},
        {IN_TABLE(loss_weight), 8, 0x7FF8000000000000, "weight of document"}, /* NaN */
        {(size_t)f.files_at + 8, 1, 'g', "digest of file"},
        {(size_t)f.files_at + 72, 4, 100000, "path of file"},
        {(size_t)f.files_at + 72, 4, 1, "file"},
        {IN_FOOT(max_length), 8, 1, "maximal length"},
        {IN_FOOT(max_length), 8, 3, "place or length"},
        {IN_FOOT(n_files), 8, 0, "number of files"},
        {IN_FOOT(n_files), 8, 2, "cut in file"},
        {IN_FOOT(files_at), 8, f.files_at - 8, "file"},
        {IN_FOOT(files_at), 8, f.files_at + 4, "offset of the files"},
        {IN_FOOT(files_at), 8, INT64_MAX - 7, "offset of the types"},
        {IN_FOOT(n_types), 8, 257, "number of source types"},
        {IN_FOOT(n_types), 8, 1, "cut in source type"},
        {IN_FOOT(types_at), 8, f.types_at - 8, "path of file"},
        {IN_FOOT(types_at), 8, f.types_at + 4, "offset of the types"},
        {IN_FOOT(table_at), 8, f.table_at + 8, "number of documents"},
        {IN_FOOT(table_at), 8, INT64_MAX - 7, "number of documents"},
        {IN_FOOT(counts.documents), 8, 2, "number of documents"},
        {IN_FOOT(counts.documents), 8, INT64_MAX / 7, "number of documents"},
        {IN_FOOT(counts.documents), 8, -1, "number of documents"},
        {IN_FOOT(counts.tokens), 8, 1, "counts of tokens"},
        {IN_FOOT(counts.trained), 8, 1, "counts of tokens"},
        {IN_FOOT(counts.max_token), 8, 1, "counts of tokens"},
        {IN_FOOT(counts.bad_rows), 8, 1, "count of bad rows"},
        {IN_FOOT(counts.bad), 8, -1, "count of bad rows"},
        {IN_FOOT(counts.split_rows), 8, -1, "count of rows"},
        {IN_FOOT(counts.left_out_tokens), 8, -1, "count of bad rows"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        memcpy(lie, bytes, n);
        memcpy(lie + lies[i].at, &lies[i].value, lies[i].bytes);
        sign(lie, n);
        scratch_write("hostile", lie, n);
        struct dataset *d = dataset_open(c, scratch_path("hostile"));
        if (d) fail_msg("lie %zu was accepted", i);
        assert_failed(c, E_INPUT, lies[i].message);
    }
    free(lie);
    mem_free(c, bytes);
}

static void truncated_while_in_use(void **state)
{
    struct ctx *c = *state;
    struct dataset *d = make_dataset(c, three_rows, NULL);
    assert_int_equal(dataset_check(c, d), OK);
    assert_int_equal(truncate(scratch_path("cache"), 100), 0);
    assert_int_equal(dataset_check(c, d), E_IO);
    assert_failed(c, E_IO, "truncated");
    dataset_close(d);
}

static void the_same_rows_give_the_same_bytes(void **state)
{
    struct ctx *c = *state;
    size_t n, m;
    uint8_t *a = cache_bytes(c, &n), *b = cache_bytes(c, &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    mem_free(c, a);
    mem_free(c, b);
}

static void every_allocation_may_fail(void **state)
{
    struct ctx *outer = *state;
    const char *path = write_rows("rows.jsonl", three_rows);
    struct tokenizer *t = byte_tokenizer(outer, (struct tokenizer_kind){0});
    for (long n = 1;; n++) {
        struct oom oom = {.fail_at = n};
        struct ctx *c = oom_ctx(&oom);
        struct dataset_options o = dataset_options_default(&path, 1);
        struct dataset_counts counts;
        struct dataset *d = NULL;
        if (dataset_build(c, t, &o, scratch_path("cache"), &counts) == OK) d = dataset_open(c, scratch_path("cache"));
        bool done = d != NULL;
        if (!done) assert_int_equal(c->status, E_MEMORY);
        dataset_close(d);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        assert_true(n < 1000);
        if (done) break;
    }
    tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(spelled_tokens_are_said),
        DATA_TEST(rows_become_tokens),
        DATA_TEST(neither_bos_nor_eos),
        DATA_TEST(every_form_has_one_bos_and_one_eos),
        DATA_TEST(conversations_are_rendered),
        DATA_TEST(pairs_get_the_template),
        DATA_TEST(spelled_tokens_can_be_parsed),
        DATA_TEST(long_documents_are_split),
        DATA_TEST(a_long_row_is_split_in_linear_time),
        DATA_TEST(long_conversations_keep_their_answers_whole),
        DATA_TEST(long_documents_are_truncated),
        DATA_TEST(source_types_are_kept),
        DATA_TEST(tables_give_the_same_documents),
        DATA_TEST(a_share_is_kept_for_validation),
        DATA_TEST(faulty_rows),
        DATA_TEST(nothing_to_train_on),
        DATA_TEST(defaults_fill_missing_scores),
        DATA_TEST(options_are_checked),
        DATA_TEST(a_full_disk_leaves_nothing),
        DATA_TEST(memory_stays_small),
        DATA_TEST(every_truncation_and_flip_is_found),
        DATA_TEST(signed_lies_do_no_harm),
        DATA_TEST(each_rule_is_checked),
        DATA_TEST(truncated_while_in_use),
        DATA_TEST(the_same_rows_give_the_same_bytes),
        DATA_TEST(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
