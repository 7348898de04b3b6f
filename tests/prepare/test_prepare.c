/* From raw rows to two parts: rules of file names, texts under other names, scores and kinds that are added, balance and
 * caps by the conformance cases, every row accounted for. */
#include "base/support_base.c" /* the scratch folder */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "prepare/prepare.h"

static void built_in_sources_are_the_file(void **state)
{
    struct ctx *c = *state;
    size_t n;
    char *text = file_read(c, SOURCE_DIR "/data/prepare/sources.json", SOURCES_MAX_BYTES, &n);
    assert_non_null(text);
    assert_string_equal(text, sources_text); /* else: tools/gen_data_texts.py */
    mem_free(c, text);
}

static void kinds_follow_from_names(void **state)
{
    struct ctx *c = *state;
    static const struct {
        const char *path, *kind;
    } cases[] = {{"raw/big_patent_all.jsonl", "patent_pre1970"},
                 {"Plato.jsonl.gz", "classical_philosophy"},
                 {"internet_archive_classical_philosophy.jsonl", "classical_philosophy"}, /* the first rule wins */
                 {"internet_archive_books.jsonl", "historical_book"},
                 {"ccdv_arxiv-classification.jsonl", "preprint"},
                 {"wikimedia_wikipedia.parquet", "wiki"},
                 {"cnn_dailymail.jsonl", "news_modern"},
                 {"wiki/other.jsonl", NULL}};
    struct sources s;
    assert_int_equal(sources_open(&s, c, NULL), OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *kind = sources_kind(&s, cases[i].path);
        if (cases[i].kind ? !kind || strcmp(kind, cases[i].kind) != 0 : kind != NULL)
            fail_msg("%s: %s", cases[i].path, kind);
    }
    struct rules *r = rules_open(c, NULL, false, SCORER_CITATION);
    const json_t *files = json_object_get(s.doc, "files");
    for (size_t i = 0; i < json_array_size(files); i++) { /* every kind has a prior */
        const char *kind = json_string_value(json_object_get(json_array_get(files, i), "source_type"));
        assert_string_equal(rules_kind(r, kind, strlen(kind))->source_type, kind);
    }
    rules_free(c, r);
    sources_release(&s);
    static const char *const wrong[] = {
        "[]", "{\"format\":\"x\"}",
        "{\"format\":\"your_ai prepare sources 1\",\"files\":[{\"source_type\":\"a\"}],\"text_fields\":[\"text\"]}",
        "{\"format\":\"your_ai prepare sources 1\",\"files\":[],\"text_fields\":[]}",
        "{\"format\":\"your_ai prepare sources 1\",\"files\":[],\"text_fields\":[\"text\"],\"more\":1}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        scratch_write("s.json", wrong[i], strlen(wrong[i]));
        assert_int_not_equal(sources_open(&s, c, scratch_path("s.json")), OK);
        sources_release(&s);
        ctx_clear(c);
    }
}

/* Cases 99 of the original's conformance table, and one that it cannot do. */
static void bands_are_balanced(void **state)
{
    (void)state;
    static const int64_t cases[][6] = {{100, 1000, 1000, 100, 160, 140},
                                       {210, 300, 490, 210, 300, 490},
                                       {100, 100, 600, 100, 100, 140},
                                       {0, 100, 100, 0, 100, 100},
                                       {0, 0, 0, 0, 0, 0},
                                       {1, 100, 0, 1, 3, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t keep[BANDS];
        prepare_balance(cases[i], keep);
        assert_memory_equal(keep, cases[i] + 3, sizeof keep);
    }
}

#define LONG "a text that is long enough to be kept and scored: one two three four five six seven eight nine ten eleven"

static void write_raw(const char *name, const char *member, const char *more, int n)
{
    FILE *f = fopen(scratch_path(name), "w");
    assert_non_null(f);
    for (int i = 0; i < n; i++) {
        fprintf(f, "{\"%s\":\"", member);
        for (int k = 0; k < 30; k++) fprintf(f, "%s%d ", name, (i * 31 + k) * (i + 3));
        fprintf(f, "\"%s}\n", more);
    }
    assert_int_equal(fclose(f), 0);
}

static const struct prepare_options plain = {
    {true, 0.8, 128, 5, 0}, {.valid = 0.1}, NULL, 100, true, {1, 1, 1}, false, true};

static json_t *read_rows(struct ctx *c, const char *name)
{
    size_t n;
    char *text = file_read(c, scratch_path(name), 1 << 24, &n);
    json_t *rows = json_array();
    for (char *at = text; at && *at;) {
        char *end = strchr(at, '\n');
        json_t *row = json_parse(c, name, at, (size_t)(end - at));
        if (!row) fail_msg("%s", c->message);
        json_array_append_new(rows, row);
        at = end + 1;
    }
    mem_free(c, text);
    return rows;
}

static void raw_rows_become_training_rows(void **state)
{
    struct ctx *c = *state;
    write_raw("gutenberg", "content", ",\"id\":7", 40); /* no text, no kind, no scores */
    write_raw("wiki", "text", "", 100);
    write_raw("mine", "text", ",\"source_type\":\"diary\",\"auth_weight\":0.05,\"prov_entropy\":7", 60);
    static const char odd[] = "{\"text\":\"short\"}\n{\"title\":\"short\"}\n{\"text\":\"" LONG "\"}\n{\"text\":\"" LONG
                              "\"}\n{\"text\":\"" LONG "!\",\"auth_weight\":0.5}\n";
    scratch_write("odd", odd, sizeof odd - 1);
    char names[4][128];
    const char *paths[] = {names[0], names[1], names[2], names[3]}, *files[] = {"gutenberg", "wiki", "mine", "odd"};
    for (int i = 0; i < 4; i++) snprintf(names[i], sizeof names[i], "%s", scratch_path(files[i]));
    struct prepare_result r;
    if (prepare_run(c, &plain, paths, 4, scratch_path("t"), scratch_path("v"), &r) != OK) fail_msg("%s", c->message);
    assert_int_equal(r.faulty, 2); /* without a text, with one score of two */
    assert_int_equal(r.all.rows, 203);
    assert_int_equal(r.all.too_short, 1);
    assert_int_equal(r.all.copies, 1);
    assert_int_equal(r.all.valid, 20);
    assert_int_equal(r.all.train, 181);
    assert_int_equal(r.typed, 140);
    assert_int_equal(r.n_kinds, 3);
    assert_string_equal(r.names[0], "classical_literature");
    prepare_result_release(c, &r);
    size_t literature = 0;
    for (int k = 0; k < 2; k++) {
        json_t *rows = read_rows(c, k ? "v" : "t");
        for (size_t i = 0; i < json_array_size(rows); i++) {
            const json_t *row = json_array_get(rows, i);
            const char *kind = json_string_value(json_object_get(row, "source_type"));
            assert_true(json_string_length(json_object_get(row, "text")) > 50);
            assert_true(json_is_number(json_object_get(row, "auth_weight")));
            assert_true(json_is_number(json_object_get(row, "prov_entropy")));
            if (kind && strcmp(kind, "diary") == 0)
                assert_true(json_number_value(json_object_get(row, "auth_weight")) == 0.05);
            if (!kind || strcmp(kind, "classical_literature") != 0) continue;
            assert_string_equal(json_string_value(json_object_get(row, "text")),
                                json_string_value(json_object_get(row, "content")));
            literature++;
        }
        json_decref(rows);
    }
    assert_int_equal(literature, 40);
}

static void caps_and_balance_leave_rows_out(void **state)
{
    struct ctx *c = *state;
    write_raw("low", "text", ",\"source_type\":\"diary\",\"auth_weight\":0.05,\"prov_entropy\":7", 100);
    write_raw("middle", "text", ",\"source_type\":\"paper\",\"auth_weight\":0.5,\"prov_entropy\":3", 1000);
    write_raw("high", "text", ",\"source_type\":\"wiki\",\"auth_weight\":0.9,\"prov_entropy\":1", 1000);
    char names[3][128];
    const char *paths[] = {names[0], names[1], names[2]}, *files[] = {"low", "middle", "high"};
    for (int i = 0; i < 3; i++) snprintf(names[i], sizeof names[i], "%s", scratch_path(files[i]));
    struct prepare_options o = plain;
    struct prepare_result r;
    o.balance = true;
    if (prepare_run(c, &o, paths, 3, scratch_path("t"), scratch_path("v"), &r) != OK) fail_msg("%s", c->message);
    assert_int_equal(r.all.train + r.all.valid, 400);
    assert_int_equal(r.kinds[2].train + r.kinds[2].valid, 140); /* wiki */
    assert_int_equal(r.kinds[2].balanced, 860);
    assert_int_equal(r.band_after[BAND_MIDDLE], 160);
    prepare_result_release(c, &r);
    o.balance = false;
    o.caps[BAND_HIGH] = 0.1;
    if (prepare_run(c, &o, paths, 3, scratch_path("t"), scratch_path("v"), &r) != OK) fail_msg("%s", c->message);
    assert_int_equal(r.kinds[2].capped, 790);
    assert_int_equal(r.all.train + r.all.valid, 100 + 1000 + 210);
    prepare_result_release(c, &r);
    o.min_chars = 1000000;
    assert_int_equal(prepare_run(c, &o, paths, 3, scratch_path("t2"), scratch_path("v2"), &r), E_INPUT);
    assert_failed(c, E_INPUT, "no rows to split");
    assert_false(file_exists(scratch_path("t2")));
    prepare_result_release(c, &r);
}

int main(void)
{
#define PREPARE_TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        PREPARE_TEST(built_in_sources_are_the_file),
        PREPARE_TEST(kinds_follow_from_names),
        PREPARE_TEST(bands_are_balanced),
        PREPARE_TEST(raw_rows_become_training_rows),
        PREPARE_TEST(caps_and_balance_leave_rows_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
