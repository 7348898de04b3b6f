/* The interpreter of chat templates against transformers and jinja2: golden cases made by tools/gen_template_golden.py. */
#include "io/template/jinja.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "base/str.h"
#include "io/json.h"
#include "io/template/chat_variables.h"
#include "support_file.h"

/* 2026-03-05 14:07:09, a Thursday: the date of the golden cases. */
static const struct tm now = {
    .tm_year = 126, .tm_mon = 2, .tm_mday = 5, .tm_hour = 14, .tm_min = 7, .tm_sec = 9, .tm_wday = 4, .tm_yday = 63};

static json_t *load_json(struct ctx *c, const char *path)
{
    json_t *o = json_parse_file(c, path, 1 << 24);
    if (!o) fail_msg("missing test data: %s: %s", path, c->message);
    return o;
}

/* The lines of a file of tests/data/jinja as an array. */
static json_t *load_lines(struct ctx *c, const char *name)
{
    char path[512];
    size_t n;
    snprintf(path, sizeof path, "%s/jinja/%s", TEST_DATA, name);
    char *text = test_load(path, &n);
    json_t *list = json_array();
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1)
        json_array_append_new(list, json_parse(c, name, line, (size_t)(end - line)));
    free(text);
    assert_true(ctx_ok(c));
    return list;
}

static json_t *special_tokens(void)
{
    return json_pack("{s:s,s:s,s:s,s:s}", "bos_token", "<s>", "eos_token", "</s>", "unk_token", "<unk>", "pad_token",
                     "<pad>");
}

/* Compares one rendering with what is wanted: the text, the start of its digest, or the message of an error. */
static void expect_output(struct ctx *c, const struct jinja_output *out, const json_t *want, const char *label)
{
    const char *error = json_string_value(json_object_get(want, "error")), *text = json_string_value(want);
    char hex[65];
    uint8_t digest[32];
    if (error) {
        if (ctx_ok(c)) fail_msg("%s: rendered, but the reference says: %s", label, error);
        char escaped[400], message[400];
        ctx_escape(escaped, sizeof escaped, error);
        snprintf(message, sizeof message, "%.300s", escaped);
        if (!strstr(c->message, message)) fail_msg("%s: \"%s\", but the reference says: %s", label, c->message, error);
        ctx_clear(c);
        return;
    }
    if (!ctx_ok(c)) fail_msg("%s: %s", label, c->message);
    if (text && strlen(text) == 16) {
        struct sha256 sha;
        sha256_init(&sha);
        sha256_update(&sha, out->text, out->n);
        sha256_final(&sha, digest);
        sha256_hex(digest, hex);
        if (strncmp(hex, text, 16) != 0) fail_msg("%s: other text (%zu bytes):\n%s", label, out->n, out->text);
        return;
    }
    const json_t *whole = json_object_get(want, "text");
    if (out->n != json_string_length(whole) || memcmp(out->text, json_string_value(whole), out->n) != 0)
        fail_msg("%s: got\n%s\nwant\n%s", label, out->text, json_string_value(whole));
}

/* Renders a conversation of the golden file and compares. */
static void golden_row(struct ctx *c, const char *source, size_t n, const json_t *row, const json_t *want, const char *label)
{
    struct jinja_template *t = jinja_open(c, "template", source, n);
    json_t *fixed = special_tokens();
    json_t *variables = chat_variables_new(c, json_object_get(row, "messages"), json_object_get(row, "tools"), row,
                                           json_is_true(json_object_get(row, "add_generation_prompt")));
    struct jinja_input in = {variables, fixed, now};
    struct jinja_output out = {0};
    if (t) jinja_render(c, t, &in, &out);
    expect_output(c, &out, want, label);
    jinja_output_release(c, &out);
    json_decref(variables);
    json_decref(fixed);
    jinja_free(t);
    assert_int_equal(c->alloc_bytes, 0);
}

static void test_own_templates(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *rows = load_lines(c, "conversations.jsonl"), *cases = load_lines(c, "own.jsonl");
    assert_true(json_array_size(cases) == 5 * json_array_size(rows));
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *want = json_array_get(cases, i);
        char path[512], label[128];
        size_t n, row = (size_t)json_integer_value(json_object_get(want, "row"));
        const char *name = json_string_value(json_object_get(want, "template"));
        snprintf(path, sizeof path, "%s/jinja/templates/%s", TEST_DATA, name);
        snprintf(label, sizeof label, "%s, conversation %zu", name, row);
        char *source = test_load(path, &n);
        golden_row(c, source, n, json_array_get(rows, row), want, label);
        free(source);
    }
    json_decref(rows);
    json_decref(cases);
    ctx_free(c);
}

static void test_snippets(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *cases = load_lines(c, "snippets.jsonl"), *variables = load_json(c, TEST_DATA "/jinja/snippets.json");
    assert_true(json_array_size(cases) > 100);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *want = json_array_get(cases, i);
        const char *source = json_string_value(json_object_get(want, "source"));
        struct jinja_template *t = jinja_open(c, "snippet", source, strlen(source));
        struct jinja_input in = {variables, NULL, now};
        struct jinja_output out = {0};
        if (t) jinja_render(c, t, &in, &out);
        expect_output(c, &out, want, source);
        jinja_output_release(c, &out);
        jinja_free(t);
    }
    json_decref(cases);
    json_decref(variables);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* The source of a model's template: a .jinja file, or chat_template of a tokenizer_config.json. free() it. */
static char *corpora_source(struct ctx *c, const char *name, size_t *n)
{
    char path[512];
    snprintf(path, sizeof path, "%s/corpora/templates/%s", SHARED_DIR, name);
    if (!str_has_suffix(name, ".json")) return test_load(path, n);
    json_t *config = load_json(c, path), *source = json_object_get(config, "chat_template");
    char *copy = strdup(json_string_value(source));
    *n = json_string_length(source);
    json_decref(config);
    return copy;
}

static void test_templates_of_corpora(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    json_t *rows = load_lines(c, "conversations.jsonl"), *cases = load_lines(c, "corpora.jsonl");
    assert_int_equal(json_array_size(cases), 56);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(cases, i), "template"));
        const json_t *wants = json_object_get(json_array_get(cases, i), "rows");
        size_t n;
        char *source = corpora_source(c, name, &n);
        assert_int_equal(json_array_size(wants), json_array_size(rows));
        for (size_t k = 0; k < json_array_size(rows); k++) {
            char label[128];
            snprintf(label, sizeof label, "%s, conversation %zu", name, k);
            golden_row(c, source, n, json_array_get(rows, k), json_array_get(wants, k), label);
        }
        free(source);
    }
    json_decref(rows);
    json_decref(cases);
    ctx_free(c);
}

/* Renders a source over no variables; the ctx has the outcome. */
static void run(struct ctx *c, const char *source, size_t n, struct jinja_output *out)
{
    struct jinja_template *t = jinja_open(c, "t", source, n);
    struct jinja_input in = {NULL, NULL, now};
    if (t) jinja_render(c, t, &in, out);
    jinja_free(t);
}

/* Each template is refused with this status; the message has the words beside it, and no memory is lost. */
static void expect_refusals(enum status status, const char *const (*cases)[2], size_t n)
{
    struct ctx *c = ctx_new(NULL);
    struct jinja_output out = {0};
    for (size_t i = 0; i < n; i++) {
        run(c, cases[i][0], strlen(cases[i][0]), &out);
        test_expect(c, status, cases[i][1], cases[i][0]);
    }
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* What Jinja has and this interpreter has not: refused with line and construct. */
static void test_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a\n{% include 'x' %}", "line 2: {% include %}"},
        {"{% import 'x' as y %}", "{% import %}"},
        {"{% extends 'x' %}", "{% extends %}"},
        {"{% block x %}{% endblock %}", "{% block %}"},
        {"{% with a = 1 %}{% endwith %}", "{% with %}"},
        {"{% autoescape true %}{% endautoescape %}", "{% autoescape %}"},
        {"{% for x in [] recursive %}{% endfor %}", "a recursive loop"},
        {"\n\n{{ 'x' | urlencode }}", "line 3: the filter 'urlencode'"},
        {"{{ 'x' is escaped }}", "the test 'escaped'"},
        {"{{ f(*[1]) }}", "arguments spread"},
        {"{{ f(**{}) }}", "arguments spread"},
        {"{{ 0x10 }}", "a number of this form"},
        {"{{ 12345678901234567890 }}", "a number of this form"},
        {"{{ '\\N{BULLET}' }}", "the escape \\N in a string"},
        {"{{ '\\ud83d' }}", "no character"},
        {"{{ '\\\u00dc' }}", "a backslash in front of a character that is not ASCII"},
        {"{{ 'x'.encode('utf-8') }}", "the attribute 'encode' of a str"},
        {"{{ ''.__class__ }}", "the attribute '__class__' of a str"},
        {"{{ [].__init__ }}", "the attribute '__init__'"},
        {"{{ '%s' % 'x' }}", "the % of strings"},
        {"{{ '{:>5}'.format(1) }}", "the field {:>5} of format"},
        {"{{ range(3) }}", "printing a range"},
        {"{{ {}.items() }}", "printing a dict_items"},
        {"{{ lipsum() }}", "the function lipsum"},
        {"{{ 9223372036854775 * 9223372036854775 }}", "beyond 64 bits"},
        {"{{ strftime_now('%U') }}", "a field of strftime_now"},
        {"{% set ns = namespace(_x=1) %}", "underscore"},
        {"{% for x in [1] %}{{ loop.changed(x) }}{% endfor %}", "loop.changed"},
        {"{{ -(-(2 ** 62) - 2 ** 62) }}", "beyond 64 bits"},
        {"{{ (-(2 ** 62) - 2 ** 62) | abs }}", "beyond 64 bits"},
        {"{{ '9223372036854775808' | int }}", "beyond 64 bits"},
        {"{{ (-8.0) ** 0.5 }}", "a complex number"},
        {"{{ (2 ** 53 + 1) / 3 }}", "a division of numbers beyond 2^53"},
        {"{{ [0.1, 0.2] | sum }}", "the sum of these values"},
        {"{{ '1_000' | int }}", "the number in this text"},
        {"{{ ' -Infinity ' | float }}", "the number in this text"},
        {"{{ 'nan' | float }}", "the number in this text"},
        {"{{ '\u0663' | int }}", "the number in this text"},
        {"{{ 1e308 * 10 - 1e308 * 10 < 1 }}", "the order of a number that is none"},
        {"{{ 'abc'.find('b', 1) }}", "a place to begin or end at in find()"},
        {"{{ 'abc'.startswith('b', 1) }}", "a place to begin or end at in startswith()"},
        {"{{ 'abc'.count('b', 1, 2) }}", "a place to begin or end at in count()"},
        {"{% macro m(a) %}{{ varargs }}{% endmacro %}{{ m(1) }}", "the variable varargs"},
        {"{% macro m(a) %}{{ kwargs.b }}{% endmacro %}{{ m(1, b=2) }}", "the variable kwargs"},
        {"{% macro m() %}{{ varargs | length }}{% endmacro %}{{ m(1) }}", "the variable varargs"},
        {"{{ self }}", "the variable self"},
    };
    expect_refusals(E_UNSUPPORTED, cases, sizeof cases / sizeof cases[0]);
}

/* What is no Jinja. */
static void test_malformed(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{% if x %}", "{% endif %} is missing"},
        {"{{ x", "a tag without an end"},
        {"{# x", "a comment without an end"},
        {"{% raw %}", "without {% endraw %}"},
        {"{{ 'x }}", "a string without an end"},
        {"{% nonsense %}", "unknown tag 'nonsense'"},
        {"{% endif %}", "unknown tag 'endif'"},
        {"{{ }}", "a value is missing"},
        {"{{ (1 }}", "does not fit"},
        {"{{ 1 2 }}", "does not end where it should"},
        {"{{ a. }}", "is missing behind ."},
        {"{% set 1 = 2 %}", "a name is missing"},
        {"{% set true = 2 %}", "a constant is set"},
        {"{% break %}", "outside of a loop"},
        {"{{ $ }}", "unexpected character"},
        {"{{ f(a=1, 2) }}", "behind a keyword"},
        {"{% macro m(a=1, b) %}{% endmacro %}", "without a default"},
        {"\xff", "invalid UTF-8"},
    };
    expect_refusals(E_INPUT, cases, sizeof cases / sizeof cases[0]);
}

/* What is not there is named as the template wrote it, as in the reference: -99 and not where that would be. */
static void test_missing_elements(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{{ [1, 2][-99].a }}", "list object has no element -99"},
        {"{{ [1, 2][5].a }}", "list object has no element 5"},
        {"{{ 'abc'[9].a }}", "str object has no element 9"},
        {"{{ 'abc'[-9].a }}", "str object has no element -9"},
    };
    expect_refusals(E_INPUT, cases, sizeof cases / sizeof cases[0]);
}

/* A source of n times `unit` between two texts. free() it. */
static char *repeated(const char *before, const char *unit, size_t n, const char *after)
{
    size_t width = strlen(unit), at = strlen(before);
    char *s = malloc(at + n * width + strlen(after) + 1);
    memcpy(s, before, at);
    for (size_t i = 0; i < n; i++, at += width) memcpy(s + at, unit, width);
    strcpy(s + at, after);
    return s;
}

/* Sanitizers check every access and emulators decode every instruction, which takes up to a hundred times as long: there
 * only memory and an end are asked for. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SLOWED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(YA_TESTS_EMULATED)
#define SLOWED 1
#endif
#ifndef SLOWED
#define SLOWED 0
#endif

static void expect_bounded(const char *source, const char *label)
{
    struct ctx *c = ctx_new(NULL);
    struct jinja_output out = {0};
    struct timespec from, to;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    run(c, source, strlen(source), &out);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    double seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
    if (ctx_ok(c)) fail_msg("%s: rendered %zu bytes", label, out.n);
    if (c->alloc_peak > 64 << 20) fail_msg("%s: %zu bytes", label, c->alloc_peak);
    if (!SLOWED && seconds > 1) fail_msg("%s: %g s", label, seconds);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* Endless loops, deep nesting and huge output end soon, in little memory. */
static void test_limits(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}{% "
        "endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}",
        "{% set ns = namespace(x='abcdefgh') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x | tojson }}",
        "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}"
        "{% endfor %}{{ ns.x == ns.y }}",
        "{{ 'x' * 999999999999 }}",
        "{{ [1] * 999999999999 }}",
        "{{ range(99999999) }}",
        "{{ ('a' * 3000000).replace('', 'bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb') }}",
        "{{ 'a@b' | indent(99999999) }}",
        "{% set a = 'a' * 1000000 %}{% for i in range(9999) %}{{ a.rfind('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab') }}{% endfor %}",
        "{% set a = 'a' * 5000000 %}{{ a.rfind('a' * 2500000 ~ 'b') }}{{ a.strip('b' * 5000000 ~ 'a') }}{{ a.split('a') }}",
        "{% set l = range(90000) | list %}{% for i in l %}{{ i in l }}{% endfor %}",
        "{% set l = range(90000) | list %}{{ l | sort | map('string') | sort | unique | list | length }}"
        "{% for i in l %}{{ l | sort }}{% endfor %}",
        "{% set ns = namespace() %}{% for i in range(90000) %}{% set ns.x = dict(ns, a=1) %}{% endfor %}",
        "{{ 2 ** 999999999999 }}{{ 3 ** 2000 }}",
        "{% set a = 'a' * 1000000 %}{% for i in range(99999) %}{{ a == a }}{% endfor %}",
        "{% set a = 'a' * 1000000 %}{% for i in range(99999) %}{{ a < a }}{{ a is eq a }}{% endfor %}",
        "{% set a = 'a' * 1000000 %}{% for i in range(99999) %}{{ {a: 1}[a] }}{{ a in [a] }}{{ [a].index(a) }}{% endfor %}",
        "{% set a = 'a' * 1000000 %}{% set d = {a: 1} %}{% for i in range(99999) %}{{ d[a] }}{% endfor %}",
        "{% set a = 'a' * 1000000 %}{% for i in range(99999) %}{{ a.startswith(a) }}{{ a.endswith(('b', a)) }}{% endfor %}",
        "{% set a = 'a' * 1000000 %}{% for i in range(99999) %}{{ a.removeprefix(a) }}{% endfor %}",
        "{% set a = ' ' * 1000000 %}{% for i in range(99999) %}{{ a | int }}{% endfor %}",
        "{% set a = ' ' * 1000000 %}{% for i in range(99999) %}{{ a.isspace() }}{% endfor %}",
        "{% set a = '\t' * 1000000 %}{% for i in range(99999) %}{{ a.strip() }}{{ a.isspace() }}{{ a | trim }}{% endfor %}",
        "{% set a = '\\u2003' * 300000 %}{% for i in range(99999) %}{{ a.strip() }}{{ a.isspace() }}{% endfor %}",
        "{% set a = 'a' * 1000000 %}{% for i in range(99999) %}{{ a.isalpha() }}{{ a.islower() }}{% endfor %}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) expect_bounded(cases[i], cases[i]);
    static const char *const nested[][3] = {
        {"{{ ", "(", ""},
        {"{{ ", "[", ""},
        {"{{ ", "not ", "1 }}"},
        {"{{ ", "-", "1 }}"},
        {"{{ 1", " if 1 else 1", ""},
        {"", "{% if 1 %}", ""},
        {"", "{% for x in [1] %}", ""},
        {"{{ x", ".a", " }}"},
        {"{{ 1", "+1", "*'' }}"},
        {"{{ x", "|list", "}}"},
        {"{{ x", "[0]", " }}"},
        {"{{ x", "()", " }}"},
        {"", "{% if 1 %}{% else %}", ""},
        {"{{ ", "{1:", ""},
    };
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        char *source = repeated(nested[i][0], nested[i][1], 20000, nested[i][2]);
        expect_bounded(source, nested[i][1]);
        free(source);
    }
    char *names = repeated("", "{% set a = 1 %}{{ b }}", 20000, "");
    expect_bounded(names, "a source that is too long");
    free(names);
}

/* Which bytes came from the row, through all that a template does to them, and where the marks stand. */
static void test_places(void **state)
{
    (void)state;
    static const char source[] =
        "<|{{ r }}|>{% generation %}{{ (' ' ~ s ~ '!') | trim | upper }}{{ s[1:] | replace('c', 'xy') }}"
        "{% endgeneration %}{{ s | tojson }}{{ f }}";
    static const char want[] = "<|user|>ABC!bxy\"abc\"</s>", *from = "001111001110111" /* tojson: */ "01110" /* f: */ "0000";
    struct ctx *c = ctx_new(NULL);
    json_t *row = json_pack("{s:s,s:s}", "r", "user", "s", "abc"), *fixed = json_pack("{s:s}", "f", "</s>");
    struct jinja_template *t = jinja_open(c, "t", source, strlen(source));
    struct jinja_input in = {row, fixed, now};
    struct jinja_output out = {0};
    assert_non_null(t);
    assert_true(jinja_marks_generation(t) && !jinja_reads_clock(t) && jinja_mentions(t, "s") && !jinja_mentions(t, "zz"));
    assert_int_equal(jinja_render(c, t, &in, &out), OK);
    assert_string_equal(out.text, want);
    for (size_t i = 0; i < out.n; i++)
        if (out.outside[i] != (i == 13 || i == 14 ? 0 : from[i] - '0')) fail_msg("byte %zu of %s", i, out.text);
    assert_int_equal(out.n_marks, 1);
    assert_true(out.marks[0].start == 8 && out.marks[0].end == 15 && !out.marks_lost);
    jinja_output_release(c, &out);
    jinja_free(t);
    json_decref(row);
    json_decref(fixed);
    assert_int_equal(c->alloc_bytes, 0);
    ctx_free(c);
}

/* A mark inside of a macro: its place is not known, and that is said. */
static void test_lost_marks(void **state)
{
    (void)state;
    static const char source[] = "{% macro m() %}{% generation %}x{% endgeneration %}{% endmacro %}{{ m() }}";
    struct ctx *c = ctx_new(NULL);
    struct jinja_output out = {0};
    run(c, source, strlen(source), &out);
    assert_true(ctx_ok(c) && out.marks_lost && out.n_marks == 0);
    assert_string_equal(out.text, "x");
    jinja_output_release(c, &out);
    ctx_free(c);
}

static void render_something(struct ctx *c)
{
    static const char source[] =
        "{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro %}{% set ns = namespace(x=[1]) %}{% for i in range(9) if i %}"
        "{{ m(i) }}{% set ns.x = ns.x + [i] %}{% endfor %}{{ ns.x | tojson | upper }}{% generation %}{{ 'a,b'.split(',') }}"
        "{% endgeneration %}{{ 'x' * 99999 }}";
    struct jinja_output out = {0};
    run(c, source, strlen(source), &out);
    jinja_output_release(c, &out);
}

static void test_no_memory(void **state)
{
    (void)state;
    assert_true(test_every_allocation(render_something) > 5);
}

/* With the word "corpora": the tests that need ../shared/corpora, which CI has and a clone has not. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_templates),    cmocka_unit_test(test_snippets),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_malformed),        cmocka_unit_test(test_limits),     cmocka_unit_test(test_places),
        cmocka_unit_test(test_missing_elements), cmocka_unit_test(test_lost_marks), cmocka_unit_test(test_no_memory),
    };
    const struct CMUnitTest corpora[] = {
        cmocka_unit_test(test_templates_of_corpora),
    };
    if (argc > 1 && strcmp(argv[1], "corpora") == 0) return cmocka_run_group_tests(corpora, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
