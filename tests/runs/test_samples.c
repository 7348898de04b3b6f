/* samples: what is written reads back, a run without the file has none, and what a file may hold instead is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "runs/samples.h"
#include "support_scratch.h"

static void reads_back(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    char folder[48];
    assert_non_null(mkdtemp(scratch_template(folder, sizeof folder, "samples")));
    struct samples s = {.c = c, .n = 2}, back;
    for (size_t i = 0; i < s.n; i++) {
        struct sample_answer *a = &s.list[i];
        a->row = mem_strdup(c, "rows \"1\".jsonl:3");
        a->prompt = mem_strdup(c, "a\nb\\");
        a->expected = mem_strdup(c, "");
        a->before = mem_strdup(c, "caf\xc3"); /* an answer that ends in the middle of a character */
    }
    s.list[1].after = mem_strdup(c, "done");
    assert_int_equal(samples_read(c, folder, &back), OK);
    assert_int_equal(back.n, 0);
    assert_int_equal(samples_write(&s, folder), OK);
    assert_int_equal(samples_read(c, folder, &back), OK);
    assert_true(back.n == 2 && back.step == 0 && !back.list[0].after);
    assert_string_equal(back.list[0].row, "rows \"1\".jsonl:3");
    assert_string_equal(back.list[0].prompt, "a\nb\\");
    assert_string_equal(back.list[0].expected, "");
    assert_string_equal(back.list[0].before, "caf\xef\xbf\xbd");
    assert_string_equal(back.list[1].after, "done");
    samples_release(&back);
    s.step = 7;
    assert_int_equal(samples_write(&s, folder), OK);
    assert_int_equal(samples_read(c, folder, &back), OK);
    assert_int_equal(back.step, 7);
    samples_release(&back);
    samples_release(&s);
    dir_remove(c, folder);
    ctx_free(c);
}

static void refused(struct ctx *c, const char *text, const char *names)
{
    struct samples s;
    assert_int_equal(samples_parse(c, "samples.json", text, strlen(text), &s), E_INPUT);
    if (!strstr(c->message, names)) fail_msg("'%s' is not in: %s", names, c->message);
    samples_release(&s);
    ctx_clear(c);
}

static void hostile(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
#define ONE "{\"row\": \"r\", \"prompt\": \"p\", \"expected\": \"e\", \"before\": \"b\", \"after\": "
    refused(c, "[]", "not a JSON object");
    refused(c, "{\"version\": 2, \"samples\": []}", "version");
    refused(c, "{\"version\": 1}", "samples is not a list");
    refused(c, "{\"version\": 1, \"samples\": [3]}", "not an object");
    refused(c, "{\"version\": 1, \"samples\": [{\"row\": \"r\"}]}", "prompt");
    refused(c, "{\"version\": 1, \"samples\": [" ONE "5}]}", "after");
    refused(c, "{\"version\": 1, \"step\": -1, \"samples\": []}", "step");
    refused(c, "{\"version\": 1, \"samples\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "up to 16");
    char *text = mem_printf(c, "{\"version\": 1, \"samples\": [" ONE "\"%0*d\"}]}", SAMPLES_TEXT_BYTES + 1, 0);
    assert_non_null(text);
    refused(c, text, "after is longer");
    mem_free(c, text);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_back), cmocka_unit_test(hostile)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
