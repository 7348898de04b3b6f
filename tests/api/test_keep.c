/* ya_generate_options.keep: a conversation with it has the tokens of one without, turn by turn, and reads only what is new.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/api_model.h"
#include "train/support_tiny.h"
#include "your_ai.h"

static struct tiny_files tiny;

static int keep_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 4, 0);
    return 0;
}

enum { TURNS = 5, ROOM = 512, NEW_TOKENS = 9 };

/* A conversation that grows by answers and pieces of a fixed text. */
struct talk {
    ya_ctx *ya;
    ya_model *kept, *fresh;
    int32_t ids[ROOM];
    size_t n;
};

static void open_talk(struct talk *t)
{
    *t = (struct talk){.ya = ya_ctx_new(NULL)};
    const ya_option options[] = {{"compute", "f32"}};
    t->kept = ya_model_open(t->ya, tiny.model, options, 1);
    t->fresh = ya_model_open(t->ya, tiny.model, options, 1);
    if (ya_error(t->ya)) fail_msg("%s", ya_error(t->ya));
}

static void say(struct talk *t, const char *text)
{
    int64_t n = ya_tokenize(t->kept, text, strlen(text), 0, t->ids + t->n, ROOM - t->n);
    assert_true(n > 0);
    t->n += (size_t)n;
}

/* The answer of both models, which must be one, behind the conversation. Returns its length. */
static size_t answer(struct talk *t, double temperature, double penalty)
{
    int32_t a[NEW_TOKENS], b[NEW_TOKENS];
    ya_generate_options o = ya_generate_defaults();
    o.max_tokens = NEW_TOKENS;
    o.temperature = temperature;
    o.repeat_penalty = penalty;
    o.seed = t->n;
    int64_t n = ya_generate(t->fresh, t->ids, t->n, &o, NULL, NULL, a, NEW_TOKENS, NULL);
    o.keep = 1;
    int64_t m = ya_generate(t->kept, t->ids, t->n, &o, NULL, NULL, b, NEW_TOKENS, NULL);
    if (ya_error(t->ya)) fail_msg("%s", ya_error(t->ya));
    assert_true(n > 0 && n == m);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
    assert_null(t->fresh->kept.sequence);
    assert_int_equal(t->kept->kept.held.n, t->n + (size_t)n - 1); /* the last token is known and was not read */
    memcpy(t->ids + t->n, a, (size_t)n * sizeof *a);
    t->n += (size_t)n;
    return (size_t)n;
}

static void talk_through(double temperature, double penalty)
{
    struct talk t;
    open_talk(&t);
    say(&t, "Once there was a river and a mill, and a longer text, so that there is room for turns.");
    answer(&t, temperature, penalty);
    const struct engine_sequence *sequence = t.kept->kept.sequence;
    for (int i = 1; i < TURNS; i++) {
        int64_t before = t.kept->kept.sequence->n;
        say(&t, " And?");
        answer(&t, temperature, penalty);
        assert_ptr_equal(t.kept->kept.sequence, sequence); /* nothing was read twice */
        assert_true(t.kept->kept.sequence->n > before);
    }
    ya_ctx_free(t.ya);
}

static void same_tokens(void **state)
{
    (void)state;
    talk_through(0, 1);
    talk_through(0.9, 1);
    talk_through(0.9, 1.3);
}

/* What is no continuation is read whole, and so is what no longer fits where the text was kept. */
static void begins_again(void **state)
{
    (void)state;
    struct talk t;
    open_talk(&t);
    say(&t, "abcdef");
    answer(&t, 0, 1);
    t.ids[2] = 'z'; /* another beginning */
    say(&t, "gh");
    answer(&t, 0, 1);
    for (int i = 0; i < 12; i++) say(&t, "so long that the place for it is too small");
    t.n = t.n > 400 ? 400 : t.n;
    answer(&t, 0, 1);
    t.n = 3; /* shorter than what is kept */
    answer(&t, 0, 1);
    /* another adapter's keys and values are not used */
    say(&t, "i");
    ya_adapter *adapter = ya_adapter_new(t.kept, NULL, 0);
    assert_int_equal(ya_model_attach(t.kept, adapter), 0);
    assert_null(t.kept->kept.sequence);
    answer(&t, 0, 1); /* a new adapter changes nothing */
    ya_adapter_free(adapter);
    assert_null(t.kept->kept.sequence);
    ya_ctx_free(t.ya);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_tokens), cmocka_unit_test(begins_again)};
    return cmocka_run_group_tests(tests, keep_setup, tiny_files_remove);
}
