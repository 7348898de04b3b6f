/* Files without copies and files in two parts: what stays, what is said, that no copy straddles a split, that threads, the
 * order of rows and their forms do not matter, and that nothing half written is left. */
#include "base/support_base.c" /* the scratch folder */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/threads.h"
#include "prepare/dedup.h"
#include "prepare/split.h"
#include "prepare/table_again.h"
#include "prepare/table_write.h"
#include "base/support_kill.h"

static const struct group_options near_copies = {true, 0.8, 128, 3, 0};

static const char *write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text));
    return scratch_path(name);
}

static char *read_text(struct ctx *c, const char *name)
{
    size_t n;
    return file_read(c, scratch_path(name), 1 << 24, &n);
}

static void assert_text(struct ctx *c, const char *name, const char *want)
{
    char *got = read_text(c, name);
    if (!got) fail_msg("%s", c->message);
    assert_string_equal(got, want);
    mem_free(c, got);
}

#define ONE "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
#define FEW                                                                                                                 \
    "{\"id\":1,\"text\":\"" ONE "\",\"auth_weight\":0.9,\"prov_entropy\":1}\n"                                              \
    "{\"id\":2,\"text\":\"something else entirely\"} {\"id\":3, \"text\":\"" ONE "\"}\n"                                    \
    "{\"id\":4,\"text\":\"" ONE " sixteen\",\"auth_weight\":0.1,\"prov_entropy\":6}\n"                                      \
    "{\"id\":5,\"text\":\"something  else entirely\"}\n"
static const char few[] = FEW, few_and_one[] = FEW "{\"text\":\"one more\"}\n";

static void rows_that_stay_are_as_they_were(void **state)
{
    struct ctx *c = *state;
    static const struct {
        enum dedup_keep keep;
        bool near;
        const char *ids; /* of the rows that stay */
        int64_t exact, near_rows, groups;
    } cases[] = {{DEDUP_FIRST, true, "12", 1, 2, 2},
                 {DEDUP_LONGEST, true, "45", 1, 2, 2},
                 {DEDUP_PROVENANCE, true, "24", 1, 2, 2},
                 {DEDUP_FIRST, false, "1245", 1, 0, 1}};
    const char *in = write_text("in.jsonl", few), *out = scratch_path("out.jsonl"), *groups = scratch_path("groups.jsonl");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dedup_options o = {near_copies, cases[i].keep, false, groups};
        struct dedup_result r;
        o.groups.near = cases[i].near;
        if (dedup_run(c, &o, &in, 1, out, &r) != OK) fail_msg("%s", c->message);
        char ids[8] = "", *text = read_text(c, "out.jsonl");
        for (const char *at = text; (at = strstr(at, "\"id\":")); at += 5) strncat(ids, at + 5, 1);
        assert_string_equal(ids, cases[i].ids);
        assert_int_equal(r.rows, 5);
        assert_int_equal(r.kept, strlen(cases[i].ids));
        assert_int_equal(r.exact, cases[i].exact);
        assert_int_equal(r.near_copies, cases[i].near_rows);
        assert_int_equal(r.groups, cases[i].groups);
        mem_free(c, text);
    }
    assert_text(c, "out.jsonl",
                "{\"id\":1,\"text\":\"" ONE
                "\",\"auth_weight\":0.9,\"prov_entropy\":1}\n{\"id\":2,\"text\":\"something else "
                "entirely\"}\n{\"id\":4,\"text\":\"" ONE
                " sixteen\",\"auth_weight\":0.1,\"prov_entropy\":6}\n{\"id\":5,\"text\":\"something  "
                "else entirely\"}\n");
    char want[1024];
    snprintf(want, sizeof want,
             "{\"kept\":{\"file\":\"%s\",\"row\":1},\"rows\":[{\"file\":\"%s\",\"row\":1},{\"file\":\"%s\",\"row\":2}]}\n",
             in, in, in);
    assert_text(c, "groups.jsonl", want);
}

/* `n` rows: families of one to six texts that are nearly the same, in an order that the seed gives. */
static void write_families(const char *name, int n, unsigned seed, int faulty_at)
{
    FILE *f = fopen(scratch_path(name), "w");
    assert_non_null(f);
    for (int k = 0; k < n; k++) {
        int i = (int)((k * 7919u + seed) % (unsigned)n), family = i / (1 + i % 6);
        if (k == faulty_at) fputs("{\"text\":\n", f);
        fprintf(f, "{\"id\":%d,\"family\":%d,\"text\":\"", i, family);
        for (int w = 0; w < 60; w++) fprintf(f, "f%dw%d ", family, w == 59 ? 1000 + i : w);
        fputs("\"}\n", f);
    }
    assert_int_equal(fclose(f), 0);
}

static void same_for_any_number_of_threads(void **state)
{
    struct ctx *c = *state;
    struct dedup_options o = {near_copies, DEDUP_FIRST, true, NULL};
    struct dedup_result r[2];
    write_families("in.jsonl", 3000, 0, 1234);
    const char *in = scratch_path("in.jsonl");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ctx_set_threads(c, i ? 3 : 1), OK);
        o.groups.memory = i ? 64 : 0; /* all arrays are files, or none */
        o.groups_path = scratch_path(i ? "g2" : "g1");
        assert_int_equal(dedup_run(c, &o, &in, 1, scratch_path(i ? "2" : "1"), &r[i]), OK);
    }
    assert_memory_equal(&r[0], &r[1], sizeof r[0]);
    assert_int_equal(r[0].faulty, 1);
    assert_true(r[0].groups > 100 && r[0].kept < 3000);
    for (int i = 0; i < 2; i++) {
        char *a = read_text(c, i ? "g1" : "1"), *b = read_text(c, i ? "g2" : "2");
        assert_string_equal(a, b);
        mem_free(c, a);
        mem_free(c, b);
    }
    assert_int_equal(ctx_set_threads(c, 1), OK);
}

/* Which side each id went to: 1 training, 2 validation, 0 neither. */
static void read_sides(struct ctx *c, int *side, int *family, int n)
{
    memset(side, 0, (size_t)n * sizeof *side);
    for (int k = 1; k <= 2; k++) {
        char *text = read_text(c, k == 1 ? "train" : "valid");
        assert_non_null(text);
        for (const char *at = text; (at = strstr(at, "\"id\":")); at++) {
            int id = atoi(at + 5);
            assert_int_equal(side[id], 0);
            side[id] = k;
            family[id] = atoi(strstr(at, "family\":") + 8);
        }
        mem_free(c, text);
    }
}

static void copies_do_not_straddle_a_split(void **state)
{
    struct ctx *c = *state;
    enum { N = 2000 };
    static int side[2][N], family[N];
    struct split_result r;
    struct split_sizes sizes = {.valid = 0.2, .seed = 7};
    for (int order = 0; order < 2; order++) {
        write_families("in.jsonl", N, order ? 917 : 0, -1);
        const char *in = scratch_path("in.jsonl");
        enum status status =
            split_run(c, &near_copies, &sizes, false, &in, 1, scratch_path("train"), scratch_path("valid"), &r);
        if (status != OK) fail_msg("%s", c->message);
        assert_int_equal(r.train + r.valid, N);
        assert_int_equal(r.wanted_valid, N / 5);
        assert_true(r.valid <= N / 5 && r.valid > N / 5 - 6);
        read_sides(c, side[order], family, N);
        static int of[N];
        memset(of, 0, sizeof of);
        for (int i = 0; i < N; i++) {
            if (of[family[i]] && of[family[i]] != side[order][i]) fail_msg("family %d is on both sides", family[i]);
            of[family[i]] = side[order][i];
        }
    }
    assert_memory_equal(side[0], side[1], sizeof side[0]); /* the order of the rows does not matter */
    sizes.seed = 8;
    const char *in = scratch_path("in.jsonl");
    assert_int_equal(split_run(c, &near_copies, &sizes, false, &in, 1, scratch_path("train"), scratch_path("valid"), &r),
                     OK);
    read_sides(c, side[1], family, N);
    assert_memory_not_equal(side[0], side[1], sizeof side[0]); /* the seed does */
    sizes = (struct split_sizes){.valid = 100, .train = 300, .seed = 1};
    assert_int_equal(split_run(c, &near_copies, &sizes, false, &in, 1, scratch_path("train"), scratch_path("valid"), &r),
                     OK);
    assert_true(r.valid > 94 && r.valid <= 100 && r.train > 294 && r.train <= 300);
    assert_int_equal(r.train + r.valid + r.left, N);
}

static void what_cannot_be_split_is_said(void **state)
{
    struct ctx *c = *state;
    static const struct {
        const char *text;
        double valid, train;
        const char *message;
    } cases[] = {
        {"", 0.1, 0, "is empty"},
        {"{\"text\":\"a\"}\n", 0.1, 0, "0 rows for validation and 1 for training of 1 rows"},
        {"{\"text\":\"a\"}\n{\"text\":\"b\"}\n", 2, 0, "2 rows for validation and 0 for training"},
        {"{\"text\":\"a\"}\n{\"text\":\"b\"}\n", 1, 2, "1 rows for validation and 2 for training of 2 rows"},
        {"{\"text\":\"a\"}\n{\"text\":\"a\"}\n", 1, 0, "no row is left for validation"},
        {"{\"text\":\"a\"}\n{\"x\":\"a\"}\n", 1, 0, "in.jsonl:2: the row has no text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *in = write_text("in.jsonl", cases[i].text);
        struct split_sizes sizes = {.valid = cases[i].valid, .train = cases[i].train};
        struct split_result r;
        assert_int_not_equal(split_run(c, &near_copies, &sizes, false, &in, 1, scratch_path("t"), scratch_path("v"), &r),
                             OK);
        if (!strstr(c->message, cases[i].message)) fail_msg("case %zu: %s", i, c->message);
        assert_failed(c, E_INPUT, cases[i].message);
        assert_false(file_exists(scratch_path("t")) || file_exists(scratch_path("v")));
    }
    const char *in = write_text("in.jsonl", few), *pipe = "-";
    struct split_sizes sizes = {.valid = 2};
    struct split_result r;
    split_run(c, &near_copies, &sizes, false, &in, 1, scratch_path("t"), in, &r);
    assert_failed(c, E_INPUT, "is an input");
    split_run(c, &near_copies, &sizes, false, &in, 1, scratch_path("t"), scratch_path("t"), &r);
    assert_failed(c, E_INPUT, "is given for two outputs");
    split_run(c, &near_copies, &sizes, false, &pipe, 1, scratch_path("t"), scratch_path("v"), &r);
    assert_failed(c, E_INPUT, "cannot be read twice");
    assert_text(c, "in.jsonl", few);
}

static enum status look_at_nothing(void *user, struct ctx *c, size_t row, const char *text, size_t n)
{
    (void)user, (void)c, (void)row, (void)text, (void)n;
    return OK;
}

/* The table's second reading sees another file. */
static void a_file_that_changes_is_an_error(void **state)
{
    struct ctx *c = *state;
    struct row_table t;
    const char *in = write_text("in.jsonl", few), *out = scratch_path("out");
    uint8_t to[8] = {1, 1, 1, 1, 1};
    assert_int_equal(row_table_read(&t, c, &in, 1, (struct table_options){0}), OK);
    assert_int_equal(t.n_rows, 5);
    write_text("in.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    table_write_rows(&t, to, &(struct table_outputs){.paths = &out, .n = 1});
    assert_failed(c, E_INPUT, "has changed while it was read");
    assert_false(file_exists(out));
    static const char *const changed[] = {
        "{\"text\":\"a\"}\n{\"text\":\"b\"} {\"text\":\"c\"}\n{\"text\":\"d\"}\n{\"text\":\"e\"}\n", /* other texts */
        few_and_one,                                                                                 /* a row more */
        "",                                                                                          /* no row */
        "1\n2\n3\n4\n",                                                                              /* no texts */
    };
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
        write_text("in.jsonl", changed[i]);
        if (table_again_look(&t, to, look_at_nothing, NULL) == OK) fail_msg("change %zu is not noticed", i);
        assert_failed(c, E_INPUT, "has changed while it was read");
    }
    row_table_release(&t);
}

static void each_allocation_fails_once(void **state)
{
    (void)state;
    char out[128], groups[128];
    snprintf(out, sizeof out, "%s", scratch_path("out"));
    snprintf(groups, sizeof groups, "%s", scratch_path("groups"));
    char in[128];
    snprintf(in, sizeof in, "%s", write_text("in.jsonl", few));
    const char *paths[] = {in};
    for (long k = 0;; k++) {
        struct oom oom = {.fail_at = k};
        struct ctx *c = oom_ctx(&oom);
        if (!c) continue;
        struct dedup_options o = {near_copies, DEDUP_LONGEST, false, groups};
        struct dedup_result r;
        bool done = dedup_run(c, &o, paths, 1, out, &r) == OK;
        if (!done && c->status != E_MEMORY) fail_msg("allocation %ld: %s", k, c->message);
        assert_int_equal(c->alloc_bytes, 0);
        ctx_free(c);
        assert_int_equal(oom.live, 0);
        assert_true(k < 4000);
        if (done) break;
    }
}

/* ---- kills ---- */

/* Each output of one call names the rows that it was made of, so that an old one can be told from a new one. */
static void write_marked(int mark)
{
    FILE *f = fopen(scratch_path("in.jsonl"), "w");
    for (int i = 0; f && i < 40; i++) fprintf(f, "{\"text\":\"call %d, row %d\"}\n", mark, i / 2);
    fclose(f);
}

/* The mark of an output; 0: it is not there. */
static int mark_of(struct ctx *c, const char *name)
{
    if (!file_exists(scratch_path(name))) return 0;
    char *text = read_text(c, name), *at = strstr(text, "call ");
    int mark = at ? atoi(at + 5) : -1;
    mem_free(c, text);
    return mark;
}

static void split_once(void *arg)
{
    struct ctx *c = ctx_new(NULL);
    struct split_result r;
    struct split_sizes sizes = {.valid = 0.2};
    const char *in = scratch_path("in.jsonl");
    (void)arg;
    if (split_run(c, &near_copies, &sizes, false, &in, 1, scratch_path("train"), scratch_path("valid"), &r) != OK) _exit(1);
}

static void dedup_once(void *arg)
{
    struct ctx *c = ctx_new(NULL);
    struct dedup_result r;
    struct dedup_options o = {near_copies, DEDUP_FIRST, false, scratch_path("valid")};
    const char *in = scratch_path("in.jsonl");
    (void)arg;
    if (dedup_run(c, &o, &in, 1, scratch_path("train"), &r) != OK) _exit(1);
}

/* Whenever a command is killed, its first output is there only together with the second one of the same call, on a first
 * call as on one that replaces older files. (The file of groups has no mark, only its being there counts.) */
static void a_kill_leaves_no_half(void **state)
{
    struct ctx *c = *state;
    for (int command = 0; command < 2; command++) {
        void (*work)(void *) = command ? dedup_once : split_once;
        unlink(scratch_path("train"));
        unlink(scratch_path("valid"));
        bool killed = true;
        for (int call = 1, n = 0; killed; call++, n++) {
            write_marked(call);
            killed = killed_before(n, work, NULL);
            int train = mark_of(c, "train"), valid = mark_of(c, "valid");
            if (train && (command ? valid == 0 : valid != train)) fail_msg("killed before %d: %d, %d", n, train, valid);
            if (!killed) assert_true(train == call && n > 1);
        }
        bool replaced = false;
        killed = true;
        for (int call = 101, n = 0; killed; call++, n++) { /* the same over files of a call before */
            write_marked(call);
            assert_false(killed_before(99, work, NULL));
            write_marked(call + 1000);
            killed = killed_before(n, work, NULL);
            int train = mark_of(c, "train"), valid = mark_of(c, "valid");
            if (train && (command ? valid == 0 : valid != train)) fail_msg("killed before %d: %d, %d", n, train, valid);
            replaced |= train == call + 1000;
        }
        assert_true(replaced);
    }
}

int main(void)
{
#define DEDUP_TEST(fn) cmocka_unit_test_setup_teardown(fn, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        DEDUP_TEST(rows_that_stay_are_as_they_were), DEDUP_TEST(same_for_any_number_of_threads),
        DEDUP_TEST(copies_do_not_straddle_a_split),  DEDUP_TEST(what_cannot_be_split_is_said),
        DEDUP_TEST(a_file_that_changes_is_an_error), DEDUP_TEST(each_allocation_fails_once),
        DEDUP_TEST(a_kill_leaves_no_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
