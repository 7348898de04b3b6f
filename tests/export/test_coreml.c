/* Core ML packages: what their ops compute, in the interpreter, against our engine on the same f16 weights, for every head
 * and every rotary form; the cache; faults that must be caught; packages that are broken. */
#include "model/support_model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "export/coreml/coreml_quant.h"
#include "export/coreml/coreml_session.h"
#include "export/export.h"
#include "export/formats.h"
#include "array/dtype.h"
#include "io/json.h"

enum { TOKENS = 48, VOCAB = 50 };

/* Engine: logits of n ids through a cache of `capacity`. */
static void engine_logits(struct model *m, const int32_t *ids, int64_t n, int64_t capacity, float *out)
{
    struct engine *e = engine_native_new(m->c, m, NULL);
    struct engine_sequence *q = e->ops->sequence_new(e, capacity);
    assert_int_equal(e->ops->extend(q, ids, n, n, out), OK);
    e->ops->sequence_free(q);
    e->ops->free(e);
}

/* A model's package and the same weights as an f16 folder: DIR/NAME and DIR/ref. */
static struct model *export_both(struct fixture *f, const struct tiny *t, const char *type, const char *lengths,
                                 int64_t context)
{
    struct export_source s;
    char to[64];
    assert_int_equal(dir_remove(f->c, fixture_path(f, "hf")), OK);
    assert_int_equal(dir_remove(f->c, fixture_path(f, "both")), OK);
    tiny_write_hf(f, t, "hf", NULL);
    assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "hf")), OK);
    s.coreml_context = context;
    s.coreml_lengths = lengths;
    snprintf(to, sizeof to, "safetensors:f16,coreml:%s", type);
    struct export_job job;
    if (export_plan(&s, to, fixture_path(f, "both"), &job) != OK) fail_msg("%s: %s", to, f->c->message);
    for (size_t i = 0; i < job.n; i++) {
        struct export_result r;
        if (export_write(&s, &job.targets[i], false, NULL, &r) != OK) fail_msg("%s: %s", to, f->c->message);
        mem_free(f->c, r.opens);
    }
    export_job_release(f->c, &job);
    export_close(&s);
    struct model *m = model_open(f->c, fixture_path(f, "both/safetensors-f16"));
    assert_ok(f->c);
    return m;
}

static struct coreml_package *open_package(struct fixture *f, const char *type)
{
    char name[96];
    snprintf(name, sizeof name, "both/coreml-%s/Model.mlpackage", type);
    struct coreml_package *k = coreml_package_open(f->c, fixture_path(f, name));
    if (!k) fail_msg("%s: %s", type, f->c->message);
    return k;
}

static void make_ids(int32_t *ids)
{
    for (int i = 0; i < TOKENS; i++) ids[i] = (7 * i * i + 3 * i + 5) % VOCAB;
}

/* Largest difference, relative L2, and whether the most probable tokens are the same but where two are nearer to each other
 * than the difference. */
struct difference {
    double largest, relative;
    bool same_top;
};

static int top_of(const float *row)
{
    int top = 0;
    for (int j = 1; j < VOCAB; j++)
        if (row[j] > row[top]) top = j;
    return top;
}

static struct difference compare(const float *want, const float *got, int64_t n)
{
    struct difference d = {.same_top = true};
    double squares = 0, all = 0;
    for (int64_t i = 0; i < n * VOCAB; i++) {
        double e = fabs((double)want[i] - (double)got[i]);
        d.largest = e > d.largest || isnan(e) ? e : d.largest;
        squares += e * e;
        all += (double)want[i] * (double)want[i];
    }
    for (const float *w = want, *g = got; w < want + n * VOCAB; w += VOCAB, g += VOCAB)
        d.same_top &= (double)w[top_of(w)] - (double)w[top_of(g)] <= 2 * d.largest;
    d.relative = sqrt(squares / all);
    return d;
}

/* The package's logits: all but three tokens at once, those one by one. */
static struct difference run_package(struct fixture *f, const char *type, bool half, const int32_t *ids, const float *want)
{
    struct coreml_package *k = open_package(f, type);
    struct coreml_session q;
    static float got[TOKENS * VOCAB];
    assert_int_equal(coreml_session_open(&q, k, half), OK);
    assert_int_equal(q.vocab, VOCAB);
    coreml_session_extend(&q, ids, TOKENS - 3, got);
    for (int i = TOKENS - 3; i < TOKENS; i++) coreml_session_extend(&q, ids + i, 1, got + i * VOCAB);
    assert_ok(f->c);
    coreml_session_close(&q);
    coreml_package_close(k);
    return compare(want, got, TOKENS);
}

static void check_form(struct fixture *f, const char *what, const struct tiny *t, const char *type, const char *lengths,
                       int64_t context)
{
    int32_t ids[TOKENS];
    static float want[TOKENS * VOCAB];
    struct model *m = export_both(f, t, type, lengths, context);
    bool ane = type[0] == 'a';
    make_ids(ids);
    engine_logits(m, ids, TOKENS, context, want);
    struct difference wide = run_package(f, type, false, ids, want), half = run_package(f, type, true, ids, want);
    if (!(wide.largest <= (ane ? 5e-3 : 2e-3)) || !wide.same_top)
        fail_msg("%s %s, lengths %s: f32 arithmetic differs by %g", what, type, lengths, wide.largest);
    if (!(half.relative <= 1e-2) || !half.same_top)
        fail_msg("%s %s, lengths %s: f16 arithmetic differs by %g, top-1 %d", what, type, lengths, half.relative,
                 half.same_top);
    model_free(m);
}

static const struct {
    const char *what;
    enum model_family family;
    int64_t heads, kv, dim;
    bool tied, biases;
    const char *extra;
} forms[] = {
    {"grouped heads", FAMILY_LLAMA, 4, 2, 10, false, true, NULL},
    {"one key-value head, tied", FAMILY_LLAMA, 4, 1, 8, true, false, NULL},
    {"a key-value head each", FAMILY_LLAMA, 3, 3, 8, false, false, NULL},
    {"linear", FAMILY_LLAMA, 4, 2, 10, false, false, "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.5},"},
    {"llama3", FAMILY_LLAMA, 4, 2, 10, false, false,
     "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
     "\"original_max_position_embeddings\": 32},"},
    {"dynamic", FAMILY_LLAMA, 4, 2, 10, false, false, "\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 2.0},"},
    {"window", FAMILY_MISTRAL, 4, 2, 10, false, false, "\"sliding_window\": 8,"},
};

/* Fixed and enumerated lengths, plain and for the Neural Engine. */
static void every_form(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tiny t = tiny_llama;
        t.family = forms[i].family;
        t.heads = forms[i].heads;
        t.kv = forms[i].kv;
        t.dim = forms[i].dim;
        t.tied = forms[i].tied;
        t.qkv_bias = t.o_bias = t.mlp_bias = forms[i].biases;
        t.extra = forms[i].extra;
        check_form(f, forms[i].what, &t, "f16", "1,8,16", 64);
        check_form(f, forms[i].what, &t, "ane", i % 2 ? "1,45" : "3", 64);
    }
}

/* SmolLM3, Granite, Phi-3 (longrope, a part of each head, fused matrices), yarn with norms of q and k, OLMo-2. */
static void every_family(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < TINY_FAMILIES; i++) {
        char what[32];
        snprintf(what, sizeof what, "family %d", i);
        check_form(f, what, &tiny_families[i], "f16", i % 2 ? "1" : "1,50", 64);
        check_form(f, what, &tiny_families[i], "ane", "1,16", 64);
    }
}

/* 32 tokens one by one, each the most probable behind the last, as our engine chooses them. */
static void generates_as_the_engine(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {"f16", "ane"};
    for (int k = 0; k < 2; k++) {
        struct model *m = export_both(f, &tiny_llama, types[k], "1", 40);
        struct coreml_package *p = open_package(f, types[k]);
        struct coreml_session q;
        int32_t ids[33] = {7};
        static float want[33 * VOCAB], got[VOCAB];
        assert_int_equal(coreml_session_open(&q, p, false), OK);
        for (int i = 0; i < 32; i++) {
            assert_int_equal(coreml_session_extend(&q, ids + i, 1, got), OK);
            engine_logits(m, ids, i + 1, 40, want);
            assert_true(compare(want + i * VOCAB, got, 1).largest < 2e-3);
            ids[i + 1] = top_of(want + i * VOCAB);
            assert_int_equal(top_of(got), ids[i + 1]);
        }
        coreml_session_close(&q);
        coreml_package_close(p);
        model_free(m);
    }
}

/* The packages that coremltools opened, typed and decoded (tools/check_coreml.py) are those that are written now. */
static void packages_are_those_that_were_checked(void **state)
{
    struct fixture *f = *state;
    const char *key;
    json_t *golden = json_parse_file(f->c, TEST_DATA "/coreml/golden.json", 1 << 20), *want;
    assert_true(json_object_size(golden) >= 20);
    json_object_foreach(golden, key, want)
    {
        char folder[256], type[16], lengths[32], to[32], hex[65];
        struct export_source s;
        struct export_job job;
        struct export_result r;
        uint64_t bytes;
        assert_int_equal(sscanf(key, "%100s %15s %31s", folder, type, lengths), 3);
        char path[512];
        snprintf(path, sizeof path, TEST_DATA "/%s", folder);
        snprintf(to, sizeof to, "coreml:%s", type);
        assert_int_equal(export_open(&s, f->c, NULL, path), OK);
        s.coreml_context = 64;
        s.coreml_lengths = lengths;
        assert_int_equal(export_plan(&s, to, fixture_path(f, "golden"), &job), OK);
        if (export_write(&s, &job.targets[0], false, NULL, &r) != OK) fail_msg("%s: %s", key, f->c->message);
        snprintf(path, sizeof path, "%s/Data/com.apple.CoreML/model.mlmodel", r.opens);
        assert_int_equal(file_sha256(f->c, path, hex, &bytes), OK);
        if (strcmp(hex, json_string_value(want)) != 0)
            fail_msg("%s: is not the package that was checked: run tools/check_coreml.py PROGRAM --write", key);
        assert_int_equal(dir_remove(f->c, fixture_path(f, "golden")), OK);
        mem_free(f->c, r.opens);
        export_job_release(f->c, &job);
        export_close(&s);
    }
    json_decref(golden);
}

/* ---- faults ----------------------------------------------------------------------------------------------------------- */

/* Changes the bytes behind the last place where `find` stands in a file. */
static void patch(struct fixture *f, const char *path, const void *find, size_t n, size_t skip, const void *bytes,
                  size_t n_bytes)
{
    size_t size;
    char *all = file_read(f->c, path, 1 << 26, &size), *at = NULL;
    for (size_t i = 0; i + n <= size; i++)
        if (memcmp(all + i, find, n) == 0) at = all + i;
    assert_non_null(at);
    memcpy(at + skip, bytes, n_bytes);
    assert_int_equal(file_write_atomic(f->c, path, all, size), OK);
    mem_free(f->c, all);
}

/* The writer, and then one constant of the program is another. */
static enum { FAULT_SCALE, FAULT_ORDER } fault;
static struct fixture *fault_fixture;

static enum status write_with_fault(const struct export_source *s, const char *dir, const char *type)
{
    TRY(format_coreml.write(s, dir, type));
    char *path = mem_printf(s->c, "%s/Model.mlpackage/Data/com.apple.CoreML/model.mlmodel", dir);
    if (fault == FAULT_SCALE) { /* 1/sqrt(10) as f16 is 0x350f; bytes { values } hold it low byte first */
        patch(fault_fixture, path, "\x0a\x02\x0f\x35", 4, 2, "\x0f\x39", 2);
    } else { /* the order (0, 2, 1, 3) in which heads leave attention becomes (0, 1, 2, 3): with as many heads as tokens it
                fits */
        patch(fault_fixture, path, "\x0a\x04\x00\x02\x01\x03", 6, 2, "\x00\x01\x02\x03", 4);
    }
    mem_free(s->c, path);
    return s->c->status;
}

static void planted_faults_are_caught(void **state)
{
    struct fixture *f = *state;
    struct export_format wrong = format_coreml;
    struct export_source s;
    struct export_result r;
    fault_fixture = f;
    struct tiny tiny = tiny_llama;
    tiny.kv = 4;
    wrong.write = write_with_fault;
    tiny_write_hf(f, &tiny, "hf", NULL);
    for (int i = 0; i < 2; i++) {
        struct export_target t = {.format = &wrong, .type = "f16", .path = mem_strdup(f->c, fixture_path(f, "wrong"))};
        struct export_logits *wanted = NULL;
        assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "hf")), OK);
        s.coreml_lengths = "4"; /* as many as there are heads, so that swapped axes have sizes that fit */
        fault = i ? FAULT_ORDER : FAULT_SCALE;
        enum status status = export_write(&s, &t, true, &wanted, &r);
        assert_int_equal(status, E_NUMERIC);
        assert_failed(f->c, E_NUMERIC, "computes something else");
        assert_false(dir_exists(fixture_path(f, "wrong")));
        mem_free(f->c, t.path);
        export_close(&s);
    }
}

/* A package whose weights have another order, and one whose weights are of another scale. */
static void wrong_weights_are_seen(void **state)
{
    struct fixture *f = *state;
    int32_t ids[TOKENS];
    static float want[TOKENS * VOCAB];
    struct tiny t = tiny_llama;
    t.dim = 6; /* o_proj is square */
    struct model *m = export_both(f, &t, "f16", "1,16", 64);
    make_ids(ids);
    engine_logits(m, ids, TOKENS, 64, want);
    assert_true(run_package(f, "f16", false, ids, want).largest < 2e-3);
    struct coreml_package *k = open_package(f, "f16");
    int var = mil_find(k->program, "model_layers_1_self_attn_o_proj_weight", 38);
    assert_true(var >= 0);
    uint64_t at = k->program->vars[var].value->offset + 64;
    coreml_package_close(k);
    const char *path = fixture_path(f, "both/coreml-f16/Model.mlpackage/Data/com.apple.CoreML/weights/weight.bin");
    char file[512];
    size_t size;
    snprintf(file, sizeof file, "%s", path);
    for (int which = 0; which < 2; which++) {
        char *all = file_read(f->c, file, 1 << 26, &size);
        uint16_t *w = (uint16_t *)(void *)(all + at), old[24 * 24];
        memcpy(old, w, sizeof old);
        for (int i = 0; i < 24; i++)
            for (int j = 0; j < 24; j++)
                w[24 * i + j] = which ? f32_to_f16(1.25f * f16_to_f32(old[24 * i + j])) : old[24 * j + i];
        assert_int_equal(file_write_atomic(f->c, file, all, size), OK);
        assert_true(run_package(f, "f16", false, ids, want).largest > 1e-2);
        memcpy(w, old, sizeof old);
        assert_int_equal(file_write_atomic(f->c, file, all, size), OK);
        mem_free(f->c, all);
    }
    model_free(m);
}

/* ---- what is refused -------------------------------------------------------------------------------------------------- */

static void options_are_checked(void **state)
{
    struct fixture *f = *state;
    static const char *const wrong[] = {"0", "4,2", "1,1", "1,x", "", "65", "1,2,"};
    struct export_source s;
    struct export_job job;
    tiny_write_hf(f, &tiny_llama, "hf", NULL);
    assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "hf")), OK);
    s.coreml_context = 64;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        s.coreml_lengths = wrong[i];
        assert_int_equal(export_plan(&s, "coreml", fixture_path(f, "out"), &job), E_INPUT);
        assert_failed(f->c, E_INPUT, "--coreml-lengths");
        export_job_release(f->c, &job);
    }
    s.coreml_context = 1 << 20;
    assert_int_equal(export_plan(&s, "coreml", fixture_path(f, "out"), &job), E_INPUT);
    assert_failed(f->c, E_INPUT, "positions");
    export_job_release(f->c, &job);
    export_close(&s);
}

static void too_many_heads_are_refused(void **state)
{
    struct fixture *f = *state;
    struct tiny t = tiny_llama;
    struct export_source s;
    struct export_job job;
    t.heads = 512;
    t.kv = 1;
    t.dim = 2;
    tiny_write_hf(f, &t, "hf", NULL);
    assert_int_equal(export_open(&s, f->c, NULL, fixture_path(f, "hf")), OK);
    assert_int_equal(export_plan(&s, "coreml:ane", fixture_path(f, "out"), &job), E_UNSUPPORTED);
    assert_failed(f->c, E_UNSUPPORTED, "512 heads");
    export_job_release(f->c, &job);
    assert_int_equal(export_plan(&s, "coreml:f16", fixture_path(f, "out"), &job), OK);
    export_job_release(f->c, &job);
    export_close(&s);
}

static void broken_packages_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"Manifest.json", "Data/com.apple.CoreML/model.mlmodel"};
    model_free(export_both(f, &tiny_llama, "f16", "1,16", 64));
    for (int i = 0; i < 2; i++) {
        char name[160], path[512];
        snprintf(name, sizeof name, "both/coreml-f16/Model.mlpackage/%s", files[i]);
        snprintf(path, sizeof path, "%s", fixture_path(f, name));
        size_t n;
        char *all = file_read(f->c, path, 1 << 26, &n);
        for (size_t cut = 0; cut < n; cut += n / 40 + 1) {
            assert_int_equal(file_write_atomic(f->c, path, all, cut), OK);
            assert_null(coreml_package_open(f->c, fixture_path(f, "both/coreml-f16/Model.mlpackage")));
            assert_true(f->c->status == E_INPUT || f->c->status == E_UNSUPPORTED);
            ctx_clear(f->c);
        }
        assert_int_equal(file_write_atomic(f->c, path, all, n), OK);
        mem_free(f->c, all);
    }
    struct coreml_package *k = open_package(f, "f16");
    struct coreml_session q;
    static float logits[65 * VOCAB];
    static int32_t ids[65];
    assert_int_equal(coreml_session_open(&q, k, false), OK);
    assert_int_equal(coreml_session_extend(&q, ids, 65, logits), E_INPUT); /* one more than the context */
    assert_failed(f->c, E_INPUT, "context of 64");
    coreml_session_close(&q);
    coreml_package_close(k);
}

/* Outputs that hold no logits: a constant, and a shape without elements. */
static void outputs_without_logits_are_refused(void **state)
{
    struct fixture *f = *state;
    const int32_t id = 1;
    float logits[VOCAB];
    struct coreml_session q;
    model_free(export_both(f, &tiny_llama, "f16", "1", 64));
    struct coreml_package *k = open_package(f, "f16");
    int *out = &k->program->outputs[0], was = *out;
    const struct mil_var gain = k->program->vars[mil_find(k->program, "model_norm_weight", 17)]; /* f16 (1, 1, 24) */
    *out = mil_file(k->program, "unused", &gain.type, gain.value->offset);
    assert_int_equal(coreml_session_open(&q, k, false), OK);
    assert_int_equal(q.vocab, 24);
    assert_int_equal(coreml_session_extend(&q, &id, 1, logits), E_INPUT);
    assert_failed(f->c, E_INPUT, "output unused does not hold logits");
    coreml_session_close(&q);
    *out = was;
    k->program->vars[was].type.dim[0] = 0;
    assert_int_equal(coreml_session_open(&q, k, false), E_INPUT);
    assert_failed(f->c, E_INPUT, "has not the inputs, states and outputs");
    coreml_session_close(&q);
    coreml_package_close(k);
}

/* Shapes without elements are bounded as others are: steps along their axes would overflow. */
static void empty_shapes_are_bounded(void **state)
{
    const int64_t large = (int64_t)1 << 30;
    struct mil_type t = mil_tensor(MIL_F16, 3, (int64_t[]){0, 5, 7});
    (void)state;
    assert_int_equal(mil_elements(&t), 0);
    t = mil_tensor(MIL_F16, 3, (int64_t[]){0, large, large});
    assert_int_equal(mil_elements(&t), -1);
    t = mil_tensor(MIL_F16, 3, (int64_t[]){large, large, 0});
    assert_int_equal(mil_elements(&t), -1);
}

/* Whatever a changed program says, it is computed or refused. Changes of whole numbers (shapes, indices, offsets) as well as
 * of framing; the same ones every time. */
static void changed_programs_are_computed_or_refused(void **state)
{
    enum { CHANGES = 4000 };
    struct fixture *f = *state;
    static float logits[2 * VOCAB];
    const int32_t ids[2] = {1, 2};
    int computed = 0;
    size_t n;
    model_free(export_both(f, &tiny_llama, "f16", "1,2", 8));
    char *all =
        file_read(f->c, fixture_path(f, "both/coreml-f16/Model.mlpackage/Data/com.apple.CoreML/model.mlmodel"), 1 << 26, &n);
    struct coreml_package *whole = open_package(f, "f16");
    for (uint64_t i = 0; i < CHANGES; i++) {
        struct coreml_package k = {.c = f->c, .name = "changed", .weights = whole->weights};
        struct coreml_session q = {.run = NULL};
        size_t at = (size_t)(i * 2654435761u % n);
        char was = all[at];
        all[at] = i % 3 ? (char)(was ^ 1 << i % 8) : (char)(i % 4);
        if (coreml_package_read(&k, (const uint8_t *)all, n) == OK && coreml_session_open(&q, &k, true) == OK &&
            q.vocab <= VOCAB)
            computed += coreml_session_extend(&q, ids, 2, logits) == OK;
        if (f->c->status != OK && f->c->status != E_INPUT && f->c->status != E_UNSUPPORTED && f->c->status != E_MEMORY)
            fail_msg("byte %zu: %s", at, f->c->message);
        ctx_clear(f->c);
        if (q.package) coreml_session_close(&q);
        mil_free(k.program);
        all[at] = was;
    }
    print_message("%d of %d changed programs are computed\n", computed, CHANGES);
    assert_true(computed > 0 && computed < CHANGES);
    mem_free(f->c, all);
    coreml_package_close(whole);
}

/* ---- stored forms ----------------------------------------------------------------------------------------------------- */

static void tables_are_near(void **state)
{
    (void)state;
    enum { N = 256 };
    float row[N], scratch[N];
    uint16_t table[16];
    uint8_t indices[N / 2];
    int8_t steps[N];
    double squares = 0, even = 0, all = 0, by_steps = 0;
    for (int i = 0; i < N; i++) row[i] = 3 * powf((float)(i * 37 % N) / N - 0.5f, 3); /* most are small, some are not */
    coreml_lut4_table(row, N, scratch, table);
    coreml_lut4_row(row, N, table, indices);
    coreml_int8_row(row, N, steps);
    for (int i = 0; i < N; i++) {
        float low = -0.375f, step = 0.75f / 15, near = low + step * rintf((row[i] - low) / step);
        double e = (double)row[i] - (double)f16_to_f32(table[indices[i / 2] >> 4 * (i % 2) & 15]);
        double s = (double)row[i] - (double)steps[i] * (double)f16_to_f32(coreml_int8_scale(row, N));
        squares += e * e;
        even += ((double)row[i] - (double)near) * ((double)row[i] - (double)near);
        by_steps += s * s;
        all += (double)row[i] * (double)row[i];
    }
    assert_true(squares < 0.6 * even && squares < 0.01 * all);
    assert_true(by_steps < 1e-4 * all);
    float zeros[4] = {0};
    coreml_int8_row(zeros, 4, steps);
    assert_true(steps[0] == 0 && coreml_int8_scale(zeros, 4) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_form, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(every_family, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(generates_as_the_engine, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(packages_are_those_that_were_checked, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(planted_faults_are_caught, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(wrong_weights_are_seen, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(options_are_checked, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(too_many_heads_are_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(broken_packages_are_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(outputs_without_logits_are_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(changed_programs_are_computed_or_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test(empty_shapes_are_bounded),
        cmocka_unit_test(tables_are_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
