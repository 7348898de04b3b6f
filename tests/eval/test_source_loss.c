/* What a run says of its sources is what can be computed from its rows one by one: with a rate of 0 the model stays what it
 * is, so the loss of a source over an epoch, whatever was packed with what into which micro-batch, is that of its documents
 * scored alone. The same for validation rows; many sources are bounded; and telling sources apart changes no byte of the
 * training. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "eval/loglik.h"
#include "train/support_tiny.h"

static struct tiny_files tiny;
static char second[128];

static int group_setup(void **state)
{
    (void)state;
    tiny_files_make(&tiny, 40, 9);
    strcpy(second, tiny_keep(&tiny, "second.jsonl"));
    tiny_rows(second, 17, 3);
    return 0;
}

/* Trains without dropout and with a rate of 0: one epoch in steps of two micro-batches. */
static struct train_config still_config(const char *run, const char *const *data, size_t n)
{
    struct train_config k = tiny_config(tiny.model, run, data, tiny.valid);
    k.rows.n_paths = n;
    k.adapter.dropout = 0;
    k.schedule = (struct schedule){.kind = SCHEDULE_CONSTANT};
    k.max_steps = 0;
    k.eval_every = 0;
    return k;
}

/* Sums of one source over the lines of a metrics file, from their means. */
struct told {
    double nll, weighted, weight_share;
    int64_t tokens;
};

static bool is_source(const json_t *o, const char *by, const char *name)
{
    const char *text = json_string_value(json_object_get(o, "name"));
    if (strcmp(json_string_value(json_object_get(o, "by")), by) != 0 || json_object_get(o, "others")) return false;
    return text ? name && strcmp(text, name) == 0 : !name;
}

/* Adds what a line says of a source; all tokens of its kind too, which must be those of the line. */
static void add_line(const json_t *line, const char *key, const char *by, const char *name, struct told *t)
{
    const json_t *o, *list = json_object_get(line, key);
    double share = 0, nll = 0, weighted = 0;
    size_t i;
    bool valid = strcmp(key, "sources") != 0;
    int64_t tokens = json_integer_value(json_object_get(line, valid ? "valid_trained_tokens" : "trained_tokens"));
    json_array_foreach((json_t *)(uintptr_t)list, i, o)
    {
        if (strcmp(json_string_value(json_object_get(o, "by")), by) != 0) continue;
        double n = (double)json_integer_value(json_object_get(o, "trained_tokens"));
        double loss = n * json_number_value(json_object_get(o, "loss"));
        double heavy = n * json_number_value(json_object_get(o, "weighted_loss"));
        tokens -= (int64_t)n;
        nll += loss;
        weighted += heavy;
        share += json_number_value(json_object_get(o, "weight_share"));
        if (!is_source(o, by, name)) continue;
        t->tokens += (int64_t)n;
        t->nll += loss;
        t->weighted += heavy;
        t->weight_share += json_number_value(json_object_get(o, "weight_share"));
    }
    assert_int_equal(tokens, 0);
    assert_true(fabs(share - 1) < 1e-12);
    double n = (double)json_integer_value(json_object_get(line, valid ? "valid_trained_tokens" : "trained_tokens"));
    double all = n * json_number_value(json_object_get(line, valid ? "valid_loss" : "loss"));
    double heavy = n * json_number_value(json_object_get(line, valid ? "valid_weighted_loss" : "weighted_loss"));
    assert_true(fabs(nll - all) < 1e-5 * all && fabs(weighted - heavy) < 1e-5 * heavy);
}

/* What the lines of a run that have `key` say of a source; returns how many there are. The validation before step 1 is left
 * out: with it every validation row would count twice. */
static int read_run(struct ctx *c, const char *run, const char *key, const char *by, const char *name, struct told *t)
{
    size_t n;
    int lines = 0;
    char *text = tiny_read(tiny_path("%s/metrics.jsonl", run), &n);
    *t = (struct told){0};
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *doc = json_parse(c, "metrics", line, strlen(line));
        assert_non_null(doc);
        if (json_object_get(doc, key) && json_integer_value(json_object_get(doc, "step")) > 0) {
            add_line(doc, key, by, name, t);
            lines++;
        }
        json_decref(doc);
    }
    free(text);
    return lines;
}

/* The same from the documents of a cache file, each scored alone. type: -1 for those without; file: -1 for all. */
static struct told score_alone(struct trainer *t, const struct dataset *d, int32_t type, int32_t file)
{
    struct told sum = {0};
    double weight = 0, all = 0;
    for (int64_t i = 0; i < dataset_n_documents(d); i++) {
        const struct dataset_document *k = dataset_document(d, i);
        const uint8_t *trained = dataset_trained(d, i);
        double *logprob = mem_alloc(t->c, (size_t)k->n, sizeof *logprob);
        double w = (double)(float)(objective_omega(&t->objective, k->auth_weight, k->prov_entropy) * k->loss_weight);
        bool counts = file >= 0 ? k->file == file : k->source_type == type;
        assert_int_equal(loglik_ids(t->engine, dataset_tokens(d, i), (size_t)k->n, 0, logprob), OK);
        all += w * k->n_trained;
        for (int32_t j = 1; counts && j < k->n; j++) {
            if (!trained[j]) continue;
            sum.nll -= logprob[j];
            sum.weighted -= w * logprob[j];
            weight += w;
            sum.tokens++;
        }
        mem_free(t->c, logprob);
    }
    sum.weight_share = weight / all;
    return sum;
}

static void assert_told(const struct told *told, const struct told *want)
{
    assert_true(want->tokens > 0);
    assert_int_equal(told->tokens, want->tokens);
    if (!(fabs(told->nll - want->nll) < 1e-5 * want->nll && fabs(told->weighted - want->weighted) < 1e-5 * want->weighted))
        fail_msg("told %g %g, scored alone %g %g", told->nll, told->weighted, want->nll, want->weighted);
}

static void sources_are_what_their_rows_say_one_by_one(void **state)
{
    (void)state;
    const char *const data[] = {tiny.rows, second};
    static const char *const types[] = {"kind 1", "kind 2", "kind 3"};
    struct ctx *c = tiny_ctx(2);
    struct train_config config = still_config(tiny_run(), data, 2);
    struct trainer *t = trainer_new(c, &config, NULL, "{}\n");
    struct told told, want;
    if (!t || trainer_run(t) != OK) fail_msg("%s", c->message);
    for (int32_t k = -1; k < 3; k++) {
        int32_t type = -1;
        for (size_t i = 0; k >= 0 && i < dataset_n_types(t->data); i++)
            if (strcmp(dataset_type(t->data, i), types[k]) == 0) type = (int32_t)i;
        assert_true(read_run(c, config.run, "sources", "source_type", k < 0 ? NULL : types[k], &told) > 4);
        want = score_alone(t, t->data, type, -1);
        assert_told(&told, &want);
        assert_int_equal(read_run(c, config.run, "valid_sources", "source_type", k < 0 ? NULL : types[k], &told), 1);
        want = score_alone(t, t->valid, type, -1);
        assert_told(&told, &want);
        assert_true(fabs(told.weight_share - want.weight_share) < 1e-6);
    }
    for (int32_t file = 0; file < 2; file++) {
        read_run(c, config.run, "sources", "file", file ? "second.jsonl" : "train.jsonl", &told);
        want = score_alone(t, t->data, -2, file);
        assert_told(&told, &want);
    }
    trainer_free(t);
    tiny_ctx_free(c);
}

/* Rows of the first file with source types of its own making; `types` 0: without any. */
static const char *rows_of_types(int types)
{
    const char *path = tiny_keep(&tiny, types ? (types > 1 ? "many.jsonl" : "one.jsonl") : "none.jsonl");
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 60; i++) {
        fprintf(f, "{\"text\":\"row %d of some kind\",\"auth_weight\":0.%d,\"prov_entropy\":%d", i, i % 9, i % 5);
        if (types) fprintf(f, ",\"source_type\":\"%s%d\"", i % types < 3 ? "a longer name of a kind " : "kind ", i % types);
        fputs("}\n", f);
    }
    assert_int_equal(fclose(f), 0);
    return path;
}

static void many_sources_are_bounded_and_training_stays_the_same(void **state)
{
    (void)state;
    static const int types[] = {0, 1, 30};
    char runs[3][128];
    for (int i = 0; i < 3; i++) {
        const char *const data[] = {rows_of_types(types[i])};
        struct ctx *c = tiny_ctx(2);
        struct told told;
        strcpy(runs[i], tiny_run());
        struct train_config config = tiny_config(tiny.model, runs[i], data, NULL);
        struct trainer *t = trainer_new(c, &config, NULL, "{}\n");
        if (!t || trainer_run(t) != OK) fail_msg("%s", c->message);
        assert_int_equal(t->sources->n_rows, types[i] > 1 ? SOURCE_NAMED_MAX + 1 : 0);
        if (types[i] > 1) assert_int_equal(t->sources->rows[SOURCE_NAMED_MAX].others, types[i] - SOURCE_NAMED_MAX);
        trainer_free(t);
        /* the others included, everything is counted (add_line) */
        assert_int_equal(read_run(c, runs[i], "sources", "source_type", "kind 3", &told), types[i] > 1 ? 6 : 0);
        tiny_ctx_free(c);
        tiny_assert_same_file(tiny_path("%s/adapter/adapter_model.safetensors", runs[0]),
                              tiny_path("%s/adapter/adapter_model.safetensors", runs[i]));
    }
    tiny_assert_same_file(tiny_path("%s/metrics.jsonl", runs[0]), tiny_path("%s/metrics.jsonl", runs[1]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sources_are_what_their_rows_say_one_by_one),
        cmocka_unit_test(many_sources_are_bounded_and_training_stays_the_same),
    };
    return cmocka_run_group_tests(tests, group_setup, tiny_files_remove);
}
