/* options: parsing, ranges, nearest names, help and the JSON round trip of an option table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "array/weight.h"
#include "backend/backend_open.h"
#include "model/model_rows.h"
#include "io/options_json.h"
#include "model/model.h"

struct values {
    const char *model;
    int64_t rank;
    double rate;
    bool packing, quiet;
    int mode;
    struct model_options form;
    struct option_list data;
};

static const struct option_spec specs[] = {
    REQUIRED_ROW(struct values, model, "model", 'm', "MODEL", "Input", "the model"),
    LIST_ROW(struct values, data, "data", 'd', false, "FILE", "Input", "training rows"),
    I64_ROW(struct values, rank, "rank", 'r', "16", 1, 1024, "Adapter", "rank of the adapter"),
    F64_ROW(struct values, rate, "lr", 0, "2e-4", 0, 1, "Training", "peak learning rate"),
    FLAG_ROW(struct values, packing, "packing", 0, "true", "Training", "several documents a sequence"),
    FLAG_ROW(struct values, quiet, "quiet", 'q', "false", "Training", "print less"),
    CHOICE_ROW(struct values, mode, "mode", 0, "monotone", "monotone|published|off", "Training", "weights"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

static int setup(void **state)
{
    *state = ctx_new(NULL);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    ctx_clear(*state);
    ctx_free(*state);
    return 0;
}

/* Parses words up to NULL. */
static enum status parse(struct ctx *c, struct values *v, struct option_parse *p, const char *const *words)
{
    int n = 0;
    while (words[n]) n++;
    memset(v, 0, sizeof(*v));
    return options_parse(c, &table, n, words, v, p);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void defaults_and_every_spelling(void **state)
{
    struct values v;
    struct option_parse p;
    assert_int_equal(parse(*state, &v, &p, WORDS("-m", "dir")), OK);
    assert_string_equal(v.model, "dir");
    assert_int_equal(v.rank, 16);
    assert_true(v.rate == 2e-4 && v.packing && !v.quiet && v.mode == 0 && v.data.n == 0);
    assert_true(p.given[0] && !p.given[2]);
    assert_int_equal(parse(*state, &v, &p,
                           WORDS("--model=a=b", "--rank", "8", "--lr=0.5", "--no-packing", "-q", "--mode", "off", "-d", "x",
                                 "--data=y", "in", "--", "--rank")),
                     OK);
    assert_string_equal(v.model, "a=b");
    assert_int_equal(v.rank, 8);
    assert_true(v.rate == 0.5 && !v.packing && v.quiet && v.mode == 2);
    assert_int_equal(v.data.n, 2);
    assert_string_equal(v.data.items[1], "y");
    assert_int_equal(p.n_operands, 2);
    assert_string_equal(p.operands[0], "in");
    assert_string_equal(p.operands[1], "--rank");
}

/* Each bad line is E_INPUT with a message that holds the given piece. */
static void bad_lines(void **state)
{
    static const struct {
        const char *words[5], *says;
    } cases[] = {
        {{"-m", "x", "--rnak", "3"}, "did you mean --rank"},
        {{"-m", "x", "--no-pakcing"}, "unknown option --no-pakcing"},
        {{"-m", "x", "--rank", "0"}, "--rank: 0 is outside 1 to 1024"},
        {{"-m", "x", "-r", "2000"}, "-r: 2000 is outside 1 to 1024"},
        {{"-m", "x", "--rank=99999999999999999999"}, "outside 1 to 1024"},
        {{"-m", "x", "--rank", "3.5"}, "'3.5' is not a whole number"},
        {{"-m", "x", "--rank", ""}, "is not a whole number"},
        {{"-m", "x", "--rank"}, "--rank needs a value"},
        {{"-m", "x", "--lr", "nan"}, "--lr: nan is outside"},
        {{"-m", "x", "--lr", "1e999"}, "is outside 0 to 1"},
        {{"-m", "x", "--lr", "fast"}, "is not a number"},
        {{"-m", "x", "--quiet=yes"}, "--quiet takes no value"},
        {{"-m", "x", "--no-rank"}, "unknown option --no-rank"},
        {{"-m", "x", "--mode", "on"}, "'on' is none of monotone|published|off"},
        {{"-m", "x", "--mode", "mono"}, "is none of"},
        {{"-m", "x", "-m", "y"}, "-m is given twice"},
        {{"-m", "x", "-z"}, "unknown option -z"},
        {{"-m", "x", "-rq"}, "unknown option -rq"},
        {{"--rank", "3"}, "-m, --model MODEL is needed"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctx *c = *state;
        struct values v;
        struct option_parse p;
        assert_int_equal(parse(c, &v, &p, cases[i].words), E_INPUT);
        if (!strstr(c->message, cases[i].says)) fail_msg("case %zu: '%s' lacks '%s'", i, c->message, cases[i].says);
        ctx_clear(c);
    }
}

static void help_wins_and_lists_all(void **state)
{
    struct values v;
    struct option_parse p;
    assert_int_equal(parse(*state, &v, &p, WORDS("--bogus", "-h")), OK);
    assert_true(p.help);
    struct buf out;
    buf_init(&out, *state, 1 << 16);
    options_help(&table, &out);
    for (size_t i = 0; i < table.n_specs; i++) assert_non_null(strstr(buf_str(&out), specs[i].help));
    assert_non_null(strstr(buf_str(&out), "  -r, --rank N                  rank of the adapter (default 16; 1 to 1024)\n"));
    assert_non_null(strstr(buf_str(&out), "--[no-]packing"));
    assert_non_null(strstr(buf_str(&out), "weights (monotone|published|off; default monotone)\n"));
    assert_non_null(strstr(buf_str(&out), "the model (needed)\n"));
    buf_release(&out);
}

static void json_round_trip(void **state)
{
    struct values v, back = {0};
    struct option_parse p;
    assert_int_equal(parse(*state, &v, &p, WORDS("-m", "dir", "--lr", "0.1", "-r", "3", "-d", "x", "-q", "--mode", "off")),
                     OK);
    json_t *doc = options_to_json(*state, &table, &v);
    assert_non_null(doc);
    assert_int_equal(options_from_json(*state, &table, "config.json", doc, &back), OK);
    assert_string_equal(back.model, "dir");
    assert_true(back.rate == 0.1 && back.rank == 3 && back.packing && back.quiet && back.mode == 2 && back.data.n == 1);
    assert_string_equal(back.data.items[0], "x");
    json_decref(doc);
}

/* A config of another version, or one that was edited into nonsense, is refused whole. */
static void json_is_checked(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"{\"model\":\"m\"}", "data is missing"},
        {"{\"model\":\"m\",\"data\":[],\"rank\":0,\"lr\":0,\"packing\":true,\"quiet\":true,\"mode\":\"off\"}", "rank"},
        {"{\"model\":\"m\",\"data\":[],\"rank\":1,\"lr\":0,\"packing\":1,\"quiet\":true,\"mode\":\"off\"}", "packing"},
        {"{\"model\":\"m\",\"data\":[],\"rank\":1,\"lr\":0,\"packing\":true,\"quiet\":true,\"mode\":\"on\"}", "mode"},
        {"{\"model\":\"m\",\"data\":[1],\"rank\":1,\"lr\":0,\"packing\":true,\"quiet\":true,\"mode\":\"off\"}", "data[0]"},
        {"{\"modle\":\"m\"}", "unknown option 'modle'"},
        {"[]", "expected an object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ctx *c = *state;
        struct values v = {0};
        json_t *doc = json_parse(c, "config.json", cases[i].text, strlen(cases[i].text));
        assert_non_null(doc);
        assert_int_equal(options_from_json(c, &table, "config.json", doc, &v), E_INPUT);
        if (!strstr(c->message, cases[i].says)) fail_msg("case %zu: '%s' lacks '%s'", i, c->message, cases[i].says);
        ctx_clear(c);
        json_decref(doc);
    }
}

/* The one list of choices names what the enums name, in their order. */
static void forms_and_ways(void **state)
{
    (void)state;
    static const struct option_spec rows[] = {MODEL_ROWS(struct values, form, "Input")};
    char text[32];
    for (int i = 0; i < BASE_TYPES; i++)
        assert_string_equal(options_choice(&rows[0], i, text, sizeof text), base_type_name[i]);
    for (int i = 0; i < COMPUTES; i++) assert_string_equal(options_choice(&rows[1], i, text, sizeof text), compute_name[i]);
    assert_string_equal(options_choice(&rows[1], MODEL_ROWS_AUTO, text, sizeof text), "auto");
}

/* auto never leaves the stored weights, and takes bf16 and integers only where kernels gain by them. */
static void auto_is_settled(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    assert_non_null(c);
    struct backend *backend = backend_open(c, NULL);
    assert_non_null(backend);
    const bool fast = backend->fast_integers, bf16 = backend->fast_bf16;
    backend->close(backend);
    static const int bases[] = {BASE_AS_IS, BASE_NF4, BASE_INT8};
    for (int way = 0; way < 4; way++) {
        const bool portable = way & 1, training = way & 2;
        if (portable) setenv("YA_CPU", "portable", 1);
        for (int i = 0; i < 3; i++) {
            struct model_options o = {.base = (enum base_type)bases[i], .compute = (enum compute)MODEL_ROWS_AUTO};
            assert_int_equal(model_rows_settle(c, "cpu", &o, training), OK);
            enum compute expected = bases[i] == BASE_INT8 && fast && !portable ? COMPUTE_INT8X2 : COMPUTE_F32;
            assert_int_equal(o.compute, bf16 && training && !portable ? COMPUTE_BF16 : expected);
            o.compute = COMPUTE_INT8;
            assert_int_equal(model_rows_settle(c, "cpu", &o, training), OK);
            assert_int_equal(o.compute, COMPUTE_INT8);
        }
        unsetenv("YA_CPU");
    }
    ctx_free(c);
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(options_distance("rank", "rank"), 0);
    assert_int_equal(options_distance("rnak", "rank"), 1);
    assert_int_equal(options_distance("kitten", "sitting"), 3);
    assert_int_equal(options_distance("", "abc"), 3);
    assert_null(options_nearest(&table, "zzzzzz"));
    assert_string_equal(options_nearest(&table, "packng"), "packing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_and_every_spelling, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(help_wins_and_lists_all, setup, teardown),
        cmocka_unit_test_setup_teardown(json_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(json_is_checked, setup, teardown),
        cmocka_unit_test(forms_and_ways),
        cmocka_unit_test(auto_is_settled),
        cmocka_unit_test(distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
