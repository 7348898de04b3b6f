/* Files of rows: the same bytes for any number of threads and any form of the input, rows longer than a batch and longer
 * than the limit, faulty rows, manifests. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "io/row_file.h"
#include "score/score_run.h"
#include "score/support_score.h"
#include "base/support_kill.h"
#include "support_scratch.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(scratch_template(folder, sizeof folder, "score_run")) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    enum status status = dir_remove(c, folder);
    ctx_clear(c);
    ctx_free(c);
    return status == OK ? 0 : -1;
}

static const char *in_folder(const char *name)
{
    static char paths[8][128];
    static int turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

/* Rows of 10 to 3,000 bytes with different words; `separator` stands between them. */
static void write_rows(const char *path, int n, const char *before, const char *separator, const char *after)
{
    static const char *const words[] = {"patent", "experts agree", "measurement", "in 1923",
                                        "[12]",   "caf\xC3\xA9",   "Nature",      "a\\nb"};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(before, f);
    uint32_t state = 1;
    for (int i = 0; i < n; i++) {
        fprintf(f, "%s{\"id\":%d,\"text\":\"", i ? separator : "", i);
        state = state * 1664525 + 1013904223;
        for (uint32_t k = 0; k < (state >> 20) % 300; k++)
            fprintf(f, "%s %u ", words[(state >> 7 ^ k * 2654435761u) % 8], k);
        fprintf(f, "\"}");
    }
    fputs(after, f);
    assert_int_equal(fclose(f), 0);
}

static enum status run_as(const char *in, const char *out, int threads, struct score_run_options o,
                          struct score_run_result *result, char *message)
{
    struct ctx *c = ctx_new(NULL);
    assert_int_equal(ctx_set_threads(c, threads), OK);
    struct rules *r = rules_open(c, NULL, false, SCORER_CITATION);
    o.rules = r;
    o.program_version = "test";
    enum status status = score_run(c, &o, &in, 1, out, result);
    if (message) snprintf(message, CTX_MESSAGE_BYTES, "%s", c->message);
    ctx_clear(c);
    rules_free(c, r);
    assert_int_equal(c->alloc_bytes > 0, threads > 1); /* the thread pool */
    ctx_free(c);
    return status;
}

static const struct score_run_options plain = {.row = {.breakdown = true, .use_prior = true}};

static void assert_same_file(const char *a, const char *b)
{
    struct ctx *c = ctx_new(NULL);
    char x[65], y[65];
    uint64_t n;
    assert_int_equal(file_sha256(c, a, x, &n), OK);
    assert_int_equal(file_sha256(c, b, y, &n), OK);
    assert_string_equal(x, y);
    ctx_free(c);
}

static void threads_and_forms_give_the_same_bytes(void **state)
{
    (void)state;
    enum { ROWS = 12000 }; /* several batches */
    struct score_run_result result;
    write_rows(in_folder("lines.jsonl"), ROWS, "", "\n", "");
    write_rows(in_folder("blank.jsonl"), ROWS, "\xEF\xBB\xBF\n\n", "\r\n \n", "\n\n");
    write_rows(in_folder("array.json"), ROWS, " \n[", " ,\n", "]\n");
    assert_int_equal(run_as(in_folder("lines.jsonl"), in_folder("1"), 1, plain, &result, NULL), OK);
    assert_int_equal(result.rows, ROWS);
    assert_false(result.done_before);
    static const int threads[] = {2, 5};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_as(in_folder("lines.jsonl"), in_folder("n"), threads[i], plain, &result, NULL), OK);
        assert_same_file(in_folder("1"), in_folder("n"));
        unlink(in_folder("n.manifest.json"));
    }
    assert_int_equal(run_as(in_folder("blank.jsonl"), in_folder("b"), 2, plain, &result, NULL), OK);
    assert_same_file(in_folder("1"), in_folder("b"));
    assert_int_equal(run_as(in_folder("array.json"), in_folder("a"), 2, plain, &result, NULL), OK);
    assert_same_file(in_folder("1"), in_folder("a"));
}

static void a_run_that_is_done_is_not_done_again(void **state)
{
    (void)state;
    struct score_run_result result;
    write_rows(in_folder("in"), 50, "", "\n", "\n");
    assert_int_equal(run_as(in_folder("in"), in_folder("out"), 1, plain, &result, NULL), OK);
    assert_int_equal(run_as(in_folder("in"), in_folder("out"), 1, plain, &result, NULL), OK);
    assert_true(result.done_before);
    assert_int_equal(result.rows, 50);
    struct score_run_options other = plain;
    other.row.breakdown = false;
    assert_int_equal(run_as(in_folder("in"), in_folder("out"), 1, other, &result, NULL), OK);
    assert_false(result.done_before); /* another question */
    FILE *f = fopen(in_folder("out"), "r+");
    fputc('[', f);
    fclose(f);
    assert_int_equal(run_as(in_folder("in"), in_folder("out"), 1, other, &result, NULL), OK);
    assert_false(result.done_before); /* the output is another */
    f = fopen(in_folder("in"), "a");
    fputs("{\"text\":\"one more\"}", f);
    fclose(f);
    assert_int_equal(run_as(in_folder("in"), in_folder("out"), 1, other, &result, NULL), OK);
    assert_false(result.done_before); /* the input is */
    assert_int_equal(result.rows, 51);
    f = fopen(in_folder("out.manifest.json"), "w");
    fputs("{\"format\":", f);
    fclose(f);
    assert_int_equal(run_as(in_folder("in"), in_folder("out"), 1, other, &result, NULL), OK);
    assert_false(result.done_before); /* a broken manifest is none */
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void faults_have_file_and_row(void **state)
{
    (void)state;
    struct score_run_result result;
    char message[CTX_MESSAGE_BYTES], want[256];
    write_text(in_folder("bad"), "{\"text\":\"a\"}\n\n{\"text\":\n{\"text\":\"b\"}\nx\n");
    assert_int_equal(run_as(in_folder("bad"), in_folder("none"), 2, plain, &result, message), E_INPUT);
    snprintf(want, sizeof want, "%s:3: column", in_folder("bad"));
    assert_int_equal(strncmp(message, want, strlen(want)), 0);
    assert_false(file_exists(in_folder("none")));
    assert_false(file_exists(in_folder("none.manifest.json")));
    struct score_run_options skip = plain;
    skip.skip_faulty = true;
    assert_int_equal(run_as(in_folder("bad"), in_folder("some"), 2, skip, &result, NULL), OK);
    assert_int_equal(result.rows, 2);
    assert_int_equal(result.skipped, 2);
    write_text(in_folder("bad"), "x\ny\n");
    assert_int_equal(run_as(in_folder("bad"), in_folder("none"), 1, skip, &result, message), E_INPUT);
    assert_non_null(strstr(message, "faulty rows only"));
    write_text(in_folder("bad"), " \n\n");
    assert_int_equal(run_as(in_folder("bad"), in_folder("none"), 1, plain, &result, message), E_INPUT);
    assert_non_null(strstr(message, "is empty"));
}

static const struct {
    const char *text, *message;
    int rows; /* -1: the file is refused */
} forms[] = {
    {"[]", "is empty", -1},
    {"[{\"text\":\"]}\\\"\"}]", NULL, 1},
    {"[{\"text\":\"a\"},{\"text\":\"b\"}", "array: line 1: the array is not closed", -1},
    {"[{\"text\":\"a\"},{\"text\":\"b", "the array is not closed", -1},
    {"[{\"text\":\"a\"},]", "an item is missing behind a comma", -1},
    {"[,{\"text\":\"a\"}]", "a comma is missing", -1},
    {"[{\"text\":\"a\"}] x", "something follows the end of the array", -1},
    {"[{\"text\":\"a\"} {\"text\":\"b\"}]", "a comma is missing between two items", -1},
    {"[{\"text\":\"a\"},7]", "array:2: a row must be a JSON object, {...}, and this one begins with '7'", -1},
    {"[", "the array is not closed", -1},
    /* objects of several lines; several objects on a line, the second one faulty */
    {"{\n\"text\":\n\"a\"}\n{\"text\":\"b\"\n}", NULL, 2},
    {"{\"text\":\"a\"}{\"text\":\"b\"}\n{\"text\":\"c\"} {\"text\":\"d\"}", NULL, 4},
    {"{\"text\":\"a\"}\n{\"text\":\"b\"}{\"x\":1}", "array:2: the row has no text", -1},
};

static void forms_are_checked(void **state)
{
    (void)state;
    struct score_run_result result;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char message[CTX_MESSAGE_BYTES];
        write_text(in_folder("array"), forms[i].text);
        enum status status = run_as(in_folder("array"), in_folder("out"), 1, plain, &result, message);
        if (forms[i].message && !strstr(message, forms[i].message)) print_error("%s: %s\n", forms[i].text, message);
        assert_int_equal(status == OK, forms[i].rows >= 0);
        if (forms[i].message) assert_non_null(strstr(message, forms[i].message));
        if (forms[i].rows >= 0) assert_int_equal(result.rows, forms[i].rows);
    }
}

static void packed_files_are_expanded(void **state)
{
    (void)state;
    struct score_run_result result;
    write_rows(in_folder("plain"), 3000, "", "\n", "\n");
    assert_int_equal(run_as(in_folder("plain"), in_folder("1"), 2, plain, &result, NULL), OK);
    FILE *f = fopen(in_folder("plain"), "r");
    gzFile z = gzopen(in_folder("packed"), "wb");
    static char block[1 << 16];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) assert_int_equal(gzwrite(z, block, (unsigned)n), n);
    fclose(f);
    assert_int_equal(gzclose(z), Z_OK);
    assert_int_equal(run_as(in_folder("packed"), in_folder("2"), 2, plain, &result, NULL), OK);
    assert_same_file(in_folder("1"), in_folder("2"));
    assert_int_equal(run_as(in_folder("packed"), in_folder("2"), 2, plain, &result, NULL), OK);
    assert_true(result.done_before); /* the manifest has the digest of the packed file */
    char message[CTX_MESSAGE_BYTES];
    assert_int_equal(truncate(in_folder("packed"), 5000), 0);
    assert_int_equal(run_as(in_folder("packed"), in_folder("3"), 2, plain, &result, message), E_INPUT);
    assert_non_null(strstr(message, "packed"));
    assert_false(file_exists(in_folder("3")));
}

static void other_files_are_named(void **state)
{
    (void)state;
    struct score_run_result result;
    char message[CTX_MESSAGE_BYTES];
    static const char *const starts[] = {"PAR1", "\xff\xfe", "PK\x03\x04", "text,id\na,b\n"};
    static const char *const names[] = {"a Parquet file that", "UTF-16", "ZIP", "table"};
    for (int i = 0; i < 4; i++) {
        write_text(in_folder("other"), starts[i]);
        assert_int_not_equal(run_as(in_folder("other"), in_folder("out"), 1, plain, &result, message), OK);
        if (!strstr(message, names[i])) print_error("%s\n", message);
        assert_non_null(strstr(message, names[i]));
    }
}

/* A file called *.txt is one row: the JSON that holds it. */
static void texts_are_rows(void **state)
{
    (void)state;
    struct score_run_result result;
    static const char want[] = "{\"text\":\"a \\\"quoted\\\"\\n{line}\",\"auth_weight\":0.5,\"prov_entropy\":3}\n";
    struct score_run_options o = plain;
    o.row.breakdown = false;
    write_text(in_folder("a.txt"), "a \"quoted\"\n{line}");
    assert_int_equal(run_as(in_folder("a.txt"), in_folder("out"), 1, o, &result, NULL), OK);
    assert_int_equal(result.rows, 1);
    struct ctx *c = ctx_new(NULL);
    size_t n;
    char *got = file_read(c, in_folder("out"), 1 << 16, &n);
    assert_string_equal(got, want);
    mem_free(c, got);
    ctx_free(c);
}

/* A row longer than a batch is a row; one longer than the limit is passed over, whether or not a line end follows. */
static void gigantic_rows(void **state)
{
    (void)state;
    struct score_run_result result;
    struct score_run_options skip = plain;
    skip.skip_faulty = true;
    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    static const int megabytes[] = {20, 66, 66};
    for (int i = 0; i < 3; i++) {
        FILE *f = fopen(in_folder("long"), "w");
        fputs("{\"text\":\"a\"}\n{\"text\":\"", f);
        for (int k = 0; k < megabytes[i]; k++) fwrite(block, 1, sizeof block, f);
        fputs(i == 2 ? "\"}" : "\"}\n{\"text\":\"b\"}\nfaulty\n", f);
        fclose(f);
        char message[CTX_MESSAGE_BYTES];
        assert_int_equal(run_as(in_folder("long"), in_folder("out"), 2, skip, &result, message), OK);
        assert_int_equal(result.rows, i == 0 ? 3 : i == 1 ? 2 : 1);
        assert_int_equal(result.skipped, i == 1 ? 2 : 1);
        if (i == 0) continue;
        assert_int_equal(run_as(in_folder("long"), in_folder("none"), 2, plain, &result, message), E_INPUT);
        assert_non_null(strstr(message, "long:2: the row is longer than 67108864 bytes"));
    }
}

static void score_once(void *arg)
{
    struct score_run_result result;
    (void)arg;
    if (run_as(in_folder("shard"), in_folder("scored"), 1, plain, &result, NULL) != OK) _exit(1);
}

/* A shard that is killed before any change of a name: rows that stand under their name have their manifest beside them, so
 * that the same call once more finds them done; where they are not there it makes them, the same bytes as without a kill.
 * The second round replaces an older output, made under other rules. */
static void a_killed_shard_starts_again(void **state)
{
    (void)state;
    struct score_run_result result;
    struct score_run_options other = plain;
    other.row.breakdown = false;
    int kills = 0;
    write_rows(in_folder("shard"), 300, "", "\n", "\n");
    assert_int_equal(run_as(in_folder("shard"), in_folder("whole"), 1, plain, &result, NULL), OK);
    for (int round = 0; round < 2; round++) {
        bool killed = true;
        for (int n = 0; killed; n++) {
            unlink(in_folder("scored"));
            unlink(in_folder("scored.manifest.json"));
            if (round) assert_int_equal(run_as(in_folder("shard"), in_folder("scored"), 1, other, &result, NULL), OK);
            killed = killed_before(n, score_once, NULL);
            kills += killed;
            bool rows = file_exists(in_folder("scored")), manifest = file_exists(in_folder("scored.manifest.json"));
            if (rows && !manifest) fail_msg("killed before change %d: rows without a manifest", n);
            if (rows) { /* of this call or of the one before */
                run_as(in_folder("shard"), in_folder("scored"), 1, round && killed && n == 0 ? other : plain, &result, NULL);
                assert_true(result.done_before);
            }
            assert_int_equal(run_as(in_folder("shard"), in_folder("scored"), 1, plain, &result, NULL), OK);
            assert_same_file(in_folder("scored"), in_folder("whole"));
        }
    }
    assert_true(kills >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_forms_give_the_same_bytes),
        cmocka_unit_test(a_run_that_is_done_is_not_done_again),
        cmocka_unit_test(faults_have_file_and_row),
        cmocka_unit_test(forms_are_checked),
        cmocka_unit_test(packed_files_are_expanded),
        cmocka_unit_test(other_files_are_named),
        cmocka_unit_test(texts_are_rows),
        cmocka_unit_test(gigantic_rows),
        cmocka_unit_test(a_killed_shard_starts_again),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
