/* bench_coreml: how far a Core ML package is from the engine, computed by the interpreter of its ops (coreml/mil_run.h).
 *
 * usage: bench_coreml FOLDER PACKAGE [TOKENS]: FOLDER is the same model as safetensors:f16, so that both have the same
 * weights. Prints one JSON line: differences of all logits of the prompt that exports are checked with, in f32 and in f16
 * arithmetic, and of TOKENS (32) more, one by one through the cache in f32 arithmetic, each the engine's most probable. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/backend_open.h"
#include "base/mem.h"
#include "base/threads.h"
#include "engine/engine.h"
#include "export/coreml/coreml_session.h"
#include "export/export_check.h"

static int64_t top_index(const float *row, int64_t n)
{
    int64_t top = 0;
    for (int64_t j = 1; j < n; j++)
        if (row[j] > row[top]) top = j;
    return top;
}

/* The tokens whose most probable next one is another in a package: the most that the engine's best logit is above that
 * of the other, and how many of the two are no further apart than neighbouring f16 numbers are there, ties that logits in
 * f16 need not decide as the engine does, and how many are. */
struct others {
    double gap, spacing; /* spacing: of f16 numbers where the gap is */
    int ties, apart;
};

static struct others find_others(const struct export_logits *wanted, const float *got)
{
    struct others o = {0};
    for (size_t i = 0; i < wanted->ids.n; i++) {
        const float *row = wanted->values + (int64_t)i * wanted->vocab;
        int64_t best = top_index(row, wanted->vocab), other = top_index(got + (int64_t)i * wanted->vocab, wanted->vocab);
        double gap = (double)row[best] - (double)row[other];
        int exponent;
        frexp((double)row[best], &exponent); /* |row[best]| is in [2^(exponent-1), 2^exponent): 2^10 f16 numbers */
        double spacing = ldexp(1, exponent - 11);
        o.ties += best != other && gap <= spacing;
        o.apart += best != other && gap > spacing;
        if (gap > o.gap) o = (struct others){gap, spacing, o.ties, o.apart};
    }
    return o;
}

/* The prompt in calls as long as the package takes. */
static enum status compare_prompt(const struct coreml_package *k, const struct export_logits *wanted, bool half)
{
    struct coreml_session q;
    struct export_difference d = {0};
    struct others others = {0};
    float *got = mem_alloc(k->c, wanted->ids.n * (size_t)wanted->vocab, sizeof *got);
    if (got && coreml_session_open(&q, k, half) == OK) {
        if (coreml_session_extend(&q, wanted->ids.data, (int64_t)wanted->ids.n, got) == OK) {
            export_check_values(wanted, got, &d);
            others = find_others(wanted, got);
        }
        coreml_session_close(&q);
    }
    mem_free(k->c, got);
    printf("\"%s\": {\"tokens\": %lld, \"largest\": %.3g, \"relative\": %.3g, \"same_top\": %lld, \"gap\": %.3g, "
           "\"spacing\": %.3g, \"ties\": %d, \"apart\": %d}, ",
           half ? "f16" : "f32", (long long)d.tokens, d.largest, d.relative, (long long)d.same_top, others.gap,
           others.spacing, others.ties, others.apart);
    return k->c->status;
}

/* n tokens through both caches, beginning with the prompt's first. */
static enum status compare_cache(struct model *m, const struct coreml_package *k, int32_t id, int n)
{
    const int64_t vocab = m->config.vocab;
    struct coreml_session q;
    struct engine *e = engine_native_new(m->c, m, NULL);
    struct engine_sequence *s = e ? e->ops->sequence_new(e, n) : NULL;
    float *want = mem_alloc(m->c, 2 * (size_t)vocab, sizeof *want), *got = want ? want + vocab : NULL;
    double largest = 0;
    int same = 0;
    if (s && want && coreml_session_open(&q, k, false) == OK) {
        for (int i = 0; i < n && ctx_ok(m->c); i++) {
            if (e->ops->extend(s, &id, 1, 1, want) != OK || coreml_session_extend(&q, &id, 1, got) != OK) break;
            for (int64_t j = 0; j < vocab; j++) largest = fmax(largest, fabs((double)want[j] - (double)got[j]));
            id = (int32_t)top_index(want, vocab);
            same += top_index(got, vocab) == id;
        }
        coreml_session_close(&q);
    }
    printf("\"cache\": {\"tokens\": %d, \"largest\": %.3g, \"same_top\": %d}}\n", n, largest, same);
    if (e) {
        e->ops->sequence_free(s);
        e->ops->free(e);
    }
    mem_free(m->c, want);
    return m->c->status;
}

static enum status compare_all(struct ctx *c, const char *folder, const char *path, int n)
{
    struct export_source s;
    struct coreml_package *k = NULL;
    struct export_logits *wanted = NULL;
    TRY(array_env_new(c, backend_open(c, "cpu")));
    if (export_open(&s, c, NULL, folder) == OK) k = coreml_package_open(c, path);
    if (k) wanted = export_logits_new(&s, 0);
    if (wanted) {
        printf("{\"package\": \"%s\", ", path);
        compare_prompt(k, wanted, false);
        compare_prompt(k, wanted, true);
        compare_cache(s.model, k, wanted->ids.data[0], n);
    }
    export_logits_free(wanted);
    coreml_package_close(k);
    export_close(&s);
    return c->status;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) {
        fputs("usage: bench_coreml FOLDER PACKAGE [TOKENS]\n", stderr);
        return 2;
    }
    struct ctx *c = ctx_new(NULL);
    if (!c || ctx_set_threads(c, 0) != OK || compare_all(c, argv[1], argv[2], argc == 4 ? atoi(argv[3]) : 32) != OK) {
        fprintf(stderr, "error: %s\n", c ? c->message : "no memory");
        return 1;
    }
    array_env_free(c);
    ctx_free(c);
    return 0;
}
