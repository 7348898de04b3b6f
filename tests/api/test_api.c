/* The public interface in your_ai.h on a tiny model: every call, what it refuses, and that runs are the program's runs. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "support_oom.h"
#include "train/support_tiny.h"
#include "your_ai.h"

#define OPTIONS(...) (const ya_option[]){__VA_ARGS__}, sizeof((const ya_option[]){__VA_ARGS__}) / sizeof(ya_option)

static struct tiny_files tiny;

static void refused(ya_ctx *ctx, const char *kind, const char *says)
{
    if (!ya_error(ctx)) fail_msg("nothing was refused; wanted '%s'", says);
    if (strcmp(ya_error_kind(ctx), kind) != 0 || !strstr(ya_error(ctx), says))
        fail_msg("'%s' (%s) lacks '%s' (%s)", ya_error(ctx), ya_error_kind(ctx), says, kind);
    ya_error_clear(ctx);
}

static void must(ya_ctx *ctx, bool ok)
{
    if (!ok || ya_error(ctx)) fail_msg("%s", ya_error(ctx) ? ya_error(ctx) : "it failed without an error");
}

static ya_model *open_tiny(ya_ctx *ctx)
{
    ya_model *m = ya_model_open(ctx, tiny.model, NULL, 0);
    must(ctx, m != NULL);
    return m;
}

/* ---- models and text ---------------------------------------------------------------------------------------------- */

static void text_becomes_tokens_and_back(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_model *m = open_tiny(ctx);
    int32_t ids[8];
    char text[8];
    assert_int_equal(ya_model_vocab(m), TINY_VOCAB);
    assert_true(ya_model_context(m) >= 48);
    assert_int_equal(ya_tokenize(m, "hello", 5, 0, NULL, 0), 5);
    assert_int_equal(ya_tokenize(m, "hello", 5, 0, ids, 8), 5);
    assert_int_equal(ya_tokenize(m, "hello", 5, 0, ids, 2), 5);
    assert_int_equal(ya_detokenize(m, ids, 5, 0, text, sizeof text), 5);
    assert_memory_equal(text, "hello", 5);
    assert_int_equal(ya_tokenize(m, "<|endoftext|>", 13, 0, NULL, 0), 13);
    assert_int_equal(ya_tokenize(m, "<|endoftext|>", 13, YA_SPECIAL, ids, 8), 1);
    assert_int_equal(ids[0], TINY_EOS);
    assert_int_equal(ya_detokenize(m, ids, 1, 0, text, sizeof text), 0);
    assert_int_equal(ya_detokenize(m, ids, 1, YA_SPECIAL, text, sizeof text), 13);
    ids[0] = TINY_VOCAB;
    assert_int_equal(ya_detokenize(m, ids, 1, 0, text, sizeof text), -1);
    refused(ctx, "input", "token 257 (place 0) is outside");
    assert_int_equal(ya_chat_prompt(m, &(ya_message){"user", "hi"}, 1, ids, 8), -1);
    refused(ctx, "unsupported", "template");
    ya_ctx_free(ctx);
}

static int stop_at_three(void *user, int32_t id, const char *text, size_t n_bytes)
{
    (void)id;
    (void)text;
    assert_true(n_bytes <= 1);
    return ++*(int *)user == 3;
}

/* The text that came, and whether a call came with the id -1. */
struct told {
    char text[256];
    size_t n;
    bool rest;
};

static int keep_text(void *user, int32_t id, const char *text, size_t n_bytes)
{
    struct told *t = user;
    assert_true(t->n + n_bytes < sizeof t->text);
    memcpy(t->text + t->n, text, n_bytes);
    t->n += n_bytes;
    if (id < 0) t->rest = true;
    return 0;
}

/* A stop string is a piece of what the model writes anyway: the text ends before it, the ids with it. A string that is only
 * begun when the answer ends comes as the rest. */
static void stop_strings_end_the_text(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_model *m = open_tiny(ctx);
    const int32_t prompt[] = {104, 101, 108};
    struct told all = {.n = 0}, cut = {.n = 0}, rest = {.n = 0};
    const char *end;
    ya_generate_options o = ya_generate_defaults();
    o.max_tokens = 12;
    o.temperature = 1;
    o.seed = 3;
    int64_t n = ya_generate(m, prompt, 3, &o, keep_text, &all, NULL, 0, &end);
    must(ctx, n == 12 && all.n == 12 && !all.rest);
    char stop[4] = {0}, begun[8] = {0};
    size_t from = 3;
    while (from < 9 && strnlen(all.text + from, 3) < 3) from++; /* a string has no zero byte; the model's bytes may be one */
    memcpy(stop, all.text + from, 3);
    size_t first = (size_t)((char *)memmem(all.text, all.n, stop, 3) - all.text); /* letters may come again */
    o.stop = (const char *const[]){"no such text", stop};
    o.n_stop = 2;
    assert_int_equal(ya_generate(m, prompt, 3, &o, keep_text, &cut, NULL, 0, &end), first + 3);
    assert_string_equal(end, "stop");
    assert_int_equal(cut.n, first);
    assert_memory_equal(cut.text, all.text, first);
    begun[0] = all.text[11];
    assert_true(begun[0] != 0);
    strcat(begun, "~~");
    o.stop = (const char *const[]){begun};
    o.n_stop = 1;
    assert_int_equal(ya_generate(m, prompt, 3, &o, keep_text, &rest, NULL, 0, &end), 12);
    assert_true(rest.rest && rest.n == 12);
    assert_memory_equal(rest.text, all.text, 12);
    o.stop = (const char *const[]){""};
    assert_int_equal(ya_generate(m, prompt, 3, &o, NULL, NULL, NULL, 0, NULL), -1);
    refused(ctx, "input", "a stop string of 0 bytes");
    ya_ctx_free(ctx);
}

/* What was there already becomes less probable: with a large penalty no token comes twice, and none of the prompt's. */
static void a_penalty_keeps_tokens_from_coming_again(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_model *m = open_tiny(ctx);
    const int32_t prompt[] = {104, 101, 108};
    int32_t plain[20], one[20], ids[23] = {104, 101, 108};
    ya_generate_options o = ya_generate_defaults();
    o.max_tokens = 20;
    int64_t n = ya_generate(m, prompt, 3, &o, NULL, NULL, plain, 20, NULL);
    o.repeat_penalty = 0;
    must(ctx, ya_generate(m, prompt, 3, &o, NULL, NULL, one, 20, NULL) == n);
    assert_memory_equal(plain, one, (size_t)n * sizeof *one);
    o.repeat_penalty = 10;
    n = ya_generate(m, prompt, 3, &o, NULL, NULL, ids + 3, 20, NULL);
    must(ctx, n > 1);
    for (int64_t i = 3; i < n + 3; i++)
        for (int64_t k = 0; k < i; k++) assert_int_not_equal(ids[i], ids[k]);
    o.repeat_penalty = 11;
    assert_int_equal(ya_generate(m, prompt, 3, &o, NULL, NULL, NULL, 0, NULL), -1);
    refused(ctx, "input", "repeat penalty 11");
    ya_ctx_free(ctx);
}

static void generation_takes_the_largest_logit(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_model *m = open_tiny(ctx);
    int32_t prompt[] = {104, 101, 108}, ids[6];
    float logits[TINY_VOCAB];
    const char *end;
    int calls = 0;
    ya_generate_options o = ya_generate_defaults();
    o.max_tokens = 4;
    int64_t n = ya_generate(m, prompt, 3, &o, NULL, NULL, ids, 6, &end);
    must(ctx, n >= 1 && n <= 4);
    assert_int_equal(ya_logits(m, prompt, 3, logits), 0);
    int best = 0;
    for (int i = 1; i < TINY_VOCAB; i++)
        if (logits[i] > logits[best]) best = i;
    assert_int_equal(ids[0], best);
    assert_string_equal(end, n == 4 ? "length" : "stop");
    o.temperature = 1;
    o.max_tokens = 30;
    o.seed = 3;
    assert_int_equal(ya_generate(m, prompt, 3, &o, stop_at_three, &calls, ids, 6, &end), 3);
    assert_int_equal(calls, 3);
    assert_string_equal(end, "caller");
    o.top_p = 2;
    assert_int_equal(ya_generate(m, prompt, 3, &o, NULL, NULL, NULL, 0, &end), -1);
    refused(ctx, "input", "top-p 2");
    assert_int_equal(ya_logits(m, prompt, 0, logits), -1);
    refused(ctx, "input", "no tokens");
    ya_ctx_free(ctx);
}

static void perplexity_is_exp_of_the_mean(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_model *m = open_tiny(ctx);
    int32_t ids[12];
    double logprobs[12], perplexity, sum = 0;
    must(ctx, ya_tokenize(m, "some letters", 12, 0, ids, 12) == 12);
    must(ctx, ya_perplexity(m, ids, 12, 0, logprobs, &perplexity) == 0);
    assert_true(isnan(logprobs[0]));
    for (int i = 1; i < 12; i++) sum += logprobs[i];
    assert_true(fabs(perplexity - exp(-sum / 11)) < 1e-12);
    assert_int_equal(ya_perplexity(m, ids, 1, 0, NULL, &perplexity), -1);
    refused(ctx, "input", "at least 2");
    ya_ctx_free(ctx);
}

struct seen {
    int documents;
    int64_t tokens;
    double nll;
    int stop_after;
};

static int see_row(void *user, int64_t row, int64_t tokens, double nll)
{
    struct seen *s = user;
    s->documents++;
    s->tokens += tokens;
    s->nll += nll;
    assert_int_equal(row, s->documents);
    return s->documents == s->stop_after;
}

static void rows_are_scored_as_they_are_trained(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_model *m = open_tiny(ctx);
    const char *path = tiny_path("%s/two.jsonl", tiny_folder());
    ya_rows_score score;
    struct seen seen = {0};
    tiny_write(path, "{\"text\":\"abcd\"}\n{\"prompt\":\"ab\",\"completion\":\"cd\"}\n");
    must(ctx, ya_perplexity_rows(m, path, see_row, &seen, &score) == 0);
    assert_int_equal(score.documents, 2);
    assert_int_equal(score.tokens, 4 + 3); /* abcd and EOS but the first; cd and EOS */
    assert_int_equal(seen.tokens, score.tokens);
    assert_true(seen.nll == score.nll && score.perplexity == exp(score.nll / 7));
    /* both rows are the same tokens, so the second one's sum is the end of the first one's */
    int32_t ids[] = {97, 98, 99, 100, TINY_EOS};
    double logprobs[5], nll = 0;
    must(ctx, ya_perplexity(m, ids, 5, 0, logprobs, NULL) == 0);
    for (int i = 1; i < 5; i++) nll -= logprobs[i] * (i >= 2 ? 2 : 1);
    assert_true(fabs(nll - score.nll) < 1e-9);
    seen = (struct seen){.stop_after = 1};
    assert_int_equal(ya_perplexity_rows(m, path, see_row, &seen, NULL), -1);
    refused(ctx, "interrupted", "stopped it at row 1");
    tiny_write(path, "{\"text\":1}\n");
    assert_int_equal(ya_perplexity_rows(m, path, NULL, NULL, &score), -1);
    refused(ctx, "input", "two.jsonl:1");
    ya_ctx_free(ctx);
}

/* ---- the objective ------------------------------------------------------------------------------------------------ */

static void distrust_is_the_formula(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_objective *o =
        ya_objective_new(ctx, OPTIONS({"distrust-alpha", "2.5"}, {"lambda", "0.5"}, {"distrust-ratio", "1e6"}));
    const double w[] = {0, 0.9, 0.99}, h[] = {3, 1, 0};
    const int64_t tokens[] = {10, 20, 30};
    ya_distrust each[3], sum, mean, one;
    must(ctx, ya_objective_score(o, 0.9, 1, &one) == 0);
    double s = log(1 - 0.9 + 1e-8) + 1;
    assert_true(one.s == s && one.d == 2.5 * s * s && fabs(one.g - pow(log1p(exp(s)), 2)) < 1e-15 && isnan(one.omega));
    must(ctx, ya_objective_fit(o, w, h, tokens, 3) == 0);
    must(ctx, ya_objective_batch(o, w, h, tokens, 3, each, &sum, &mean) == 0);
    assert_true(fabs(mean.omega - 1) < 1e-12);
    assert_true(each[0].omega > each[1].omega && each[1].omega > each[2].omega);
    double d = 10 * each[0].d + 20 * each[1].d + 30 * each[2].d;
    assert_true(fabs(sum.d - d) < 1e-9 && fabs(mean.d - d / 60) < 1e-12);
    must(ctx, ya_objective_batch(o, w, h, NULL, 3, NULL, &sum, &mean) == 0);
    assert_true(fabs(sum.s - (each[0].s + each[1].s + each[2].s)) < 1e-12 && fabs(mean.s - sum.s / 3) < 1e-12);
    /* a restored objective is the fitted one */
    double q, mean_g;
    must(ctx, ya_objective_fitted(o, &q, &mean_g) == 0);
    ya_objective *again =
        ya_objective_new(ctx, OPTIONS({"distrust-alpha", "2.5"}, {"lambda", "0.5"}, {"distrust-ratio", "1e6"}));
    must(ctx, ya_objective_restore(again, q, mean_g) == 0 && ya_objective_score(again, 0.9, 1, &one) == 0);
    assert_true(one.omega == each[1].omega);
    ya_objective *off = ya_objective_new(ctx, OPTIONS({"distrust", "off"}));
    must(ctx, ya_objective_score(off, 0.9, 1, &one) == 0);
    assert_true(one.omega == 1 && one.g == 0);
    ya_ctx_free(ctx);
}

static void distrust_checks_each_input(void **state)
{
    (void)state;
    static const struct {
        double w, h;
        int64_t tokens;
        const char *says;
    } cases[] = {
        {-0.1, 1, 1, "document 1: auth_weight -0.1"},
        {0.991, 1, 1, "document 1: auth_weight 0.991"},
        {NAN, 1, 1, "auth_weight"},
        {0.5, -1e-9, 1, "document 1: prov_entropy"},
        {0.5, NAN, 1, "prov_entropy"},
        {0.5, INFINITY, 1, "document 1: prov_entropy inf"},
        {0.5, 1, 0, "document 1: 0 trained tokens"},
    };
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_objective *o = ya_objective_new(ctx, NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const double w[] = {0.5, cases[i].w}, h[] = {1, cases[i].h};
        const int64_t tokens[] = {1, cases[i].tokens};
        ya_distrust each[2] = {{.s = 7}}, sum = {.s = 7};
        assert_int_equal(ya_objective_batch(o, w, h, tokens, 2, each, &sum, NULL), -1);
        refused(ctx, "input", cases[i].says);
        assert_true(each[0].s == 7 && sum.s == 7);
        assert_int_equal(ya_objective_fit(o, w, h, tokens, 2), -1);
        refused(ctx, "input", cases[i].says);
    }
    assert_int_equal(ya_objective_fit(o, NULL, NULL, NULL, 0), -1);
    refused(ctx, "input", "no document");
    assert_int_equal(ya_objective_restore(o, 1, 2), -1);
    refused(ctx, "input", "cannot belong together");
    assert_null(ya_objective_new(ctx, OPTIONS({"lambda", "2"})));
    refused(ctx, "input", "lambda: 2 is outside 0 to 1");
    ya_ctx_free(ctx);
}

/* ---- adapters ----------------------------------------------------------------------------------------------------- */

static void adapters_are_made_kept_and_merged(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_model *m = open_tiny(ctx), *other = open_tiny(ctx);
    int32_t prompt[] = {104, 101};
    float before[TINY_VOCAB], after[TINY_VOCAB];
    ya_adapter *a = ya_adapter_new(m, OPTIONS({"rank", "2"}, {"targets", "q_proj"}));
    must(ctx, ya_adapter_parameters(a) == 2 * 2 * (64 + 64));
    must(ctx, ya_logits(m, prompt, 2, before) == 0);
    must(ctx, ya_model_attach(m, a) == 0 && ya_logits(m, prompt, 2, after) == 0);
    assert_memory_equal(before, after, sizeof before); /* B is 0 */
    assert_int_equal(ya_model_attach(other, a), -1);
    refused(ctx, "input", "attached to another model");
    char *dir = strdup(tiny_path("%s/adapter", tiny_folder()));
    must(ctx, ya_adapter_save(a, dir) == 0);
    ya_adapter *b = ya_adapter_load(m, dir);
    must(ctx, b && ya_adapter_parameters(b) == ya_adapter_parameters(a));
    must(ctx, ya_model_attach(m, b) == 0 && ya_model_attach(other, a) == 0);
    char *merged = strdup(tiny_path("%s/merged", tiny_folder()));
    assert_int_equal(ya_model_merge(m, merged, "int8"), -1);
    refused(ctx, "input", "none of bf16, f16 and f32");
    must(ctx, ya_model_merge(m, merged, "f32") == 0);
    ya_model *whole = ya_model_open(ctx, merged, NULL, 0);
    must(ctx, whole && ya_logits(whole, prompt, 2, after) == 0);
    assert_memory_equal(before, after, sizeof before);
    assert_null(ya_adapter_new(m, OPTIONS({"lr", "1"})));
    refused(ctx, "input", "ya_adapter_new has no option lr; it has: rank alpha");
    assert_null(ya_adapter_new(m, OPTIONS({"targets", "w_proj"})));
    refused(ctx, "input", "'w_proj'");
    ya_adapter_free(b); /* detaches */
    must(ctx, ya_logits(m, prompt, 2, after) == 0);
    ya_model_free(other); /* its adapter lives on */
    must(ctx, ya_adapter_parameters(a) > 0);
    free(dir);
    free(merged);
    ya_ctx_free(ctx); /* frees what is left */
}

/* ---- training ----------------------------------------------------------------------------------------------------- */

struct watch {
    int steps, validations, saved, stop_after;
    double last_loss;
};

static void on_step(void *user, const ya_progress *p)
{
    struct watch *w = user;
    w->steps++;
    assert_true(p->step >= 1 && p->total_steps == 5 && p->loss > 0 && p->trained_tokens > 0 && p->tokens_per_second > 0);
    w->last_loss = p->loss;
}

static void on_validation(void *user, const ya_progress *p)
{
    assert_true(p->evaluated && p->valid_loss > 0);
    ((struct watch *)user)->validations++;
}

static bool stop(void *user)
{
    const struct watch *w = user;
    return w->stop_after && w->steps >= w->stop_after;
}

static void on_saved(void *user, int64_t step)
{
    assert_true(step >= 1);
    ((struct watch *)user)->saved++;
}

static ya_training_hooks hooks_of(struct watch *w)
{
    return (ya_training_hooks){w, on_step, on_validation, stop, NULL, on_saved};
}

/* Trains 5 steps into `run`; with stop_after only so many. Returns what ya_training_run did. */
static int train(ya_ctx *ctx, const char *run, int stop_after)
{
    struct watch w = {.stop_after = stop_after};
    ya_training_hooks hooks = hooks_of(&w);
    ya_training *t = ya_training_start(ctx,
                                       OPTIONS({"model", tiny.model}, {"data", tiny.rows}, {"valid", tiny.rows},
                                               {"output", run}, {"rank", "4"}, {"max-length", "48"}, {"batch", "2"},
                                               {"max-steps", "5"}, {"eval-every", "2"}, {"lr", "1e-2"}, {"dropout", "0.1"}),
                                       &hooks);
    must(ctx, t && ya_training_total_steps(t) == 5 && ya_training_step(t) == 0);
    int result = ya_training_run(t);
    must(ctx, result >= 0);
    assert_int_equal(w.steps, stop_after ? stop_after : 5);
    assert_int_equal(ya_training_step(t), w.steps);
    assert_true(w.saved >= 1 && w.validations == 1 + (stop_after ? stop_after / 2 : 3));
    ya_training_free(t);
    return result;
}

static void a_stopped_run_resumes_to_the_same_bytes(void **state)
{
    (void)state;
    char *whole = strdup(tiny_path("%s/run", tiny_folder())), *cut = strdup(tiny_path("%s/run", tiny_folder()));
    ya_ctx *ctx = ya_ctx_new(NULL);
    assert_int_equal(train(ctx, whole, 0), 0);
    assert_int_equal(train(ctx, cut, 2), 1);
    assert_null(ya_error(ctx));
    ya_ctx_free(ctx);

    ctx = ya_ctx_new(NULL);
    must(ctx, ya_ctx_set_threads(ctx, 3) == 0);
    struct watch w = {0};
    ya_training_hooks hooks = hooks_of(&w);
    ya_training *t = ya_training_resume(ctx, cut, NULL, 0, &hooks);
    must(ctx, t && ya_training_step(t) == 2 && ya_training_run(t) == 0);
    assert_int_equal(w.steps, 3);
    tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", whole),
                          tiny_path("%s/adapter/adapter_model.safetensors", cut));
    tiny_assert_same_file(tiny_path("%s/metrics.jsonl", whole), tiny_path("%s/metrics.jsonl", cut));
    assert_true(file_exists(tiny_path("%s/adapter/README.md", cut)));

    /* what was trained is what the model computes under the adapter */
    ya_model *m = open_tiny(ctx);
    ya_adapter *a = ya_adapter_load(m, tiny_path("%s/adapter", cut));
    ya_rows_score before, after;
    must(ctx, a && ya_perplexity_rows(m, tiny.rows, NULL, NULL, &before) == 0);
    must(ctx, ya_model_attach(m, a) == 0 && ya_perplexity_rows(m, tiny.rows, NULL, NULL, &after) == 0);
    assert_true(after.perplexity < 0.9 * before.perplexity);
    free(whole);
    free(cut);
    ya_ctx_free(ctx);
}

static void adapters_of_another_model_are_refused(void **state)
{
    (void)state;
    const char *folder = tiny_folder();
    char *one = strdup(tiny_path("%s/one", folder)), *two = strdup(tiny_path("%s/two", folder));
    char *run = strdup(tiny_path("%s/run", folder)), *adapter = strdup(tiny_path("%s/run/adapter", folder));
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, one, false);
    tiny_model(c, two, false);
    tiny_ctx_free(c);
    tiny_set_gain(one, 1.5f);
    tiny_set_gain(two, 0.5f);
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_training *t = ya_training_start(
        ctx, OPTIONS({"model", one}, {"data", tiny.rows}, {"output", run}, {"rank", "2"}, {"max-steps", "1"}), NULL);
    must(ctx, t && ya_training_run(t) == 0);
    must(ctx, ya_adapter_load(ya_model_open(ctx, one, NULL, 0), adapter) != NULL);
    ya_model *other = ya_model_open(ctx, two, NULL, 0);
    assert_null(ya_adapter_load(other, adapter));
    refused(ctx, "input", "was made for another model");
    must(ctx, ya_adapter_load_forced(other, adapter) != NULL);
    free(one);
    free(two);
    free(run);
    free(adapter);
    ya_ctx_free(ctx);
}

static void training_refuses_by_name(void **state)
{
    (void)state;
    char *run = strdup(tiny_path("%s/run", tiny_folder()));
    ya_ctx *ctx = ya_ctx_new(NULL);
    assert_null(ya_training_start(ctx, OPTIONS({"model", tiny.model}, {"output", run}), NULL));
    refused(ctx, "input", "--data FILE is needed");
    assert_null(ya_training_start(ctx, OPTIONS({"modle", tiny.model}), NULL));
    refused(ctx, "input", "unknown option 'modle'; did you mean model");
    assert_null(ya_training_start(ctx, OPTIONS({"rank", NULL}), NULL));
    refused(ctx, "input", "option 0 has no name or no value");
    assert_null(ya_training_start(
        ctx, OPTIONS({"model", tiny.model}, {"data", tiny.rows}, {"output", run}, {"last-layers", "9"}), NULL));
    refused(ctx, "input", "--last-layers: 9 is more than");
    assert_false(dir_exists(run));
    assert_null(ya_training_resume(ctx, run, NULL, 0, NULL));
    refused(ctx, "input", "there is no such folder");
    assert_null(ya_training_resume(ctx, run, OPTIONS({"lr", "1"}), NULL));
    refused(ctx, "input", "ya_training_resume has no option lr; it has: max-steps threads");
    free(run);
    ya_ctx_free(ctx);
}

/* ---- contexts ----------------------------------------------------------------------------------------------------- */

static int call_back_in(void *user, int32_t id, const char *text, size_t n_bytes)
{
    ya_model *m = user;
    (void)text;
    (void)n_bytes;
    char piece[16];
    assert_true(ya_detokenize(m, &id, 1, YA_SPECIAL, piece, sizeof piece) > 0); /* this is allowed */
    assert_int_equal(ya_generate(m, &id, 1, NULL, NULL, NULL, NULL, 0, NULL), -1);
    return 0;
}

static void callbacks_may_not_run_the_model(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    ya_model *m = open_tiny(ctx);
    assert_int_equal(ya_generate(m, &(int32_t){104}, 1, NULL, call_back_in, m, NULL, 0, NULL), -1);
    refused(ctx, "unsupported", "ya_generate was called from inside a callback");
    ya_ctx_free(ctx);
}

static void errors_stay_and_null_is_passed_on(void **state)
{
    (void)state;
    ya_ctx *ctx = ya_ctx_new(NULL);
    assert_null(ya_model_open(ctx, "/nowhere/at/all", NULL, 0));
    char *first = strdup(ya_error(ctx));
    assert_null(ya_model_open(ctx, tiny.model, NULL, 0)); /* the first failure stays */
    assert_string_equal(ya_error(ctx), first);
    assert_int_equal(ya_logits(NULL, NULL, 0, NULL), -1);
    assert_int_equal(ya_model_attach(NULL, NULL), -1);
    assert_int_equal(ya_training_run(NULL), -1);
    ya_training_free(NULL);
    ya_model_free(NULL);
    ya_error_clear(ctx);
    assert_null(ya_model_open(ctx, tiny.model, OPTIONS({"base-type", "int3"})));
    refused(ctx, "input", "'int3' is none of as-is|nf4|int8");
    free(first);
    ya_ctx_free(ctx);
}

static void use_everything(ya_ctx *ctx)
{
    int32_t ids[4];
    ya_model *m = ya_model_open(ctx, tiny.model, NULL, 0);
    ya_adapter *a = ya_adapter_new(m, OPTIONS({"rank", "2"}));
    ya_model_attach(m, a);
    ya_tokenize(m, "abc", 3, 0, ids, 4);
    ya_generate(m, ids, 3, NULL, NULL, NULL, NULL, 0, NULL);
    ya_perplexity(m, ids, 3, 0, NULL, NULL);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct oom oom = {.fail_at = -1};
    ya_ctx *ctx = ya_ctx_new(&(ya_hooks){.user = &oom, .alloc = oom_alloc});
    use_everything(ctx);
    assert_null(ya_error(ctx));
    ya_ctx_free(ctx);
    assert_int_equal(oom.live, 0);
    long calls = oom.calls;
    for (long n = 0; n < calls; n += n < 60 ? 1 : 1 + calls / 97) {
        oom = (struct oom){.fail_at = n, .once = true};
        ctx = ya_ctx_new(&(ya_hooks){.user = &oom, .alloc = oom_alloc});
        if (ctx) use_everything(ctx);
        if (ctx && !ya_error(ctx)) fail_msg("allocation %ld failed and nobody said so", n);
        if (ctx) assert_string_equal(ya_error_kind(ctx), "memory");
        ya_ctx_free(ctx);
        assert_int_equal(oom.live, 0);
    }
}

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_tokens_and_back),
        cmocka_unit_test(generation_takes_the_largest_logit),
        cmocka_unit_test(stop_strings_end_the_text),
        cmocka_unit_test(a_penalty_keeps_tokens_from_coming_again),
        cmocka_unit_test(perplexity_is_exp_of_the_mean),
        cmocka_unit_test(rows_are_scored_as_they_are_trained),
        cmocka_unit_test(distrust_is_the_formula),
        cmocka_unit_test(distrust_checks_each_input),
        cmocka_unit_test(adapters_are_made_kept_and_merged),
        cmocka_unit_test(a_stopped_run_resumes_to_the_same_bytes),
        cmocka_unit_test(adapters_of_another_model_are_refused),
        cmocka_unit_test(training_refuses_by_name),
        cmocka_unit_test(callbacks_may_not_run_the_model),
        cmocka_unit_test(errors_stay_and_null_is_passed_on),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
