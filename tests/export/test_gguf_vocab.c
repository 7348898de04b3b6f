/* Tokenizers from folders to GGUF: the small ones of tests/data/io, each put beside a tiny model, exported, and opened from
 * the file: the ids of every golden case are those of the reference. What GGUF cannot say is refused. And a GGUF base keeps
 * what it says. */
#include "model/support_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "export/export.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/tokenizer/tokenizer.h"

static void copy_into(struct fixture *f, const char *folder, const char *name)
{
    char from[512], to[64];
    size_t n;
    snprintf(from, sizeof from, TEST_DATA "/io/%s/%s", folder, name);
    snprintf(to, sizeof to, "hf/%s", name);
    if (!file_exists(from)) return;
    char *bytes = file_read(f->c, from, 1 << 24, &n);
    assert_non_null(bytes);
    assert_int_equal(file_write_atomic(f->c, fixture_path(f, to), bytes, n), OK);
    mem_free(f->c, bytes);
}

/* DIR/hf: a tiny model with three rows more than the tokenizer has tokens. */
static void make_folder(struct fixture *f, const char *folder)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"};
    char path[512];
    snprintf(path, sizeof path, TEST_DATA "/io/%s/%s", folder, names[0]);
    if (!file_exists(path)) snprintf(path, sizeof path, TEST_DATA "/io/%s/%s", folder, names[1]);
    struct tokenizer *t = tokenizer_open(f->c, path);
    assert_ok(f->c);
    struct tiny model = tiny_llama;
    model.layers = 1;
    model.vocab = tokenizer_vocab_size(t) + 3;
    tokenizer_free(t);
    tiny_write_hf(f, &model, "hf", NULL);
    for (int i = 0; i < 3; i++) copy_into(f, folder, names[i]);
}

/* Writes DIR/hf as GGUF into DIR/out; the path of the file, owned, or NULL with the failure. */
static char *export_folder(struct fixture *f, const char *model)
{
    struct export_source s;
    struct export_job job = {.n = 0};
    struct export_result r = {.opens = NULL};
    struct export_logits *wanted = NULL;
    if (export_open(&s, f->c, NULL, fixture_path(f, model)) == OK &&
        export_plan(&s, "gguf:f32", fixture_path(f, "out"), &job) == OK)
        export_write(&s, &job.targets[0], true, &wanted, &r);
    export_logits_free(wanted);
    export_job_release(f->c, &job);
    export_close(&s);
    return r.opens;
}

/* Behind an added token llama.cpp begins a text anew, with a space in front, and knows no tokens that swallow spaces: rows
 * with added tokens may differ from the reference where tokens are SentencePiece's. */
static bool has_added(const struct tokenizer *t, const char *text)
{
    for (int64_t id = 0; id < tokenizer_vocab_size(t); id++)
        if (tokenizer_is_added(t, (int32_t)id) && strstr(text, tokenizer_token(t, (int32_t)id))) return true;
    return false;
}

/* Ids of every golden case; returns how many there were. */
static int check_cases(struct fixture *f, const char *folder, const struct tokenizer *t)
{
    char path[512], *line = NULL;
    size_t room = 0;
    ssize_t n;
    int cases = 0;
    bool pieces = tokenizer_has_pieces(t);
    snprintf(path, sizeof path, TEST_DATA "/io/%s/cases.jsonl", folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    for (; (n = getline(&line, &room, file)) > 0; cases++) {
        json_t *row = json_parse(f->c, path, line, (size_t)n);
        const json_t *text = json_object_get(row, "text"), *want = json_object_get(row, "ids");
        struct ids ids = {0};
        assert_int_equal(tokenizer_encode(f->c, t, json_string_value(text), json_string_length(text),
                                          json_is_true(json_object_get(row, "special")), &ids),
                         OK);
        bool same = ids.n == json_array_size(want);
        for (size_t i = 0; same && i < ids.n; i++) same = ids.data[i] == json_integer_value(json_array_get(want, i));
        const char *start = json_string_value(text);
        bool spaced =
            (*start == ' ' || strncmp(start, "\xE2\x96\x81", 3) == 0) && strstr(folder, "metaspace"); /* warned of */
        if (!same && !spaced && !(pieces && has_added(t, json_string_value(text))))
            fail_msg("%s: other ids for %s", folder, line);
        ids_release(f->c, &ids);
        json_decref(row);
    }
    free(line);
    fclose(file);
    return cases;
}

static void folders(void **state)
{
    static const struct {
        const char *folder, *refusal; /* NULL: written */
    } cases[] = {{"tokenizer/gpt2", NULL},
                 {"tokenizer/llama3", NULL},
                 {"tokenizer/qwen", NULL},
                 {"tokenizer/smollm", NULL},
                 {"tokenizer/added", "no name for the way"},
                 {"forms/prepend", NULL},
                 {"forms/proto", NULL},
                 {"forms/metaspace", NULL},
                 {"forms/other", "no name for the way"},
                 {"forms/prefix", "no name for the way"},
                 {"forms/words", "no name for the way"}};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_folder(f, cases[i].folder);
        char *path = export_folder(f, "hf");
        if (cases[i].refusal) {
            if (path) fail_msg("%s was written", cases[i].folder);
            assert_failed(f->c, E_UNSUPPORTED, cases[i].refusal);
        } else {
            if (!path) fail_msg("%s: %s", cases[i].folder, f->c->message);
            struct tokenizer *t = tokenizer_open(f->c, path);
            assert_ok(f->c);
            assert_true(check_cases(f, cases[i].folder, t) > 50);
            tokenizer_free(t);
            mem_free(f->c, path);
            assert_int_equal(dir_remove(f->c, fixture_path(f, "out")), OK);
        }
        assert_int_equal(dir_remove(f->c, fixture_path(f, "hf")), OK);
    }
}

/* A tokenizer.json of one-character pieces, bytes, and the pieces that the merges make. */
static void write_merges(struct fixture *f, const char *letters, const char *const *merges, int n_merges)
{
    struct buf b;
    int id = 0;
    buf_init(&b, f->c, 1 << 20);
    buf_append_str(
        &b, "{\"added_tokens\":[],\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":"
            "\"\xE2\x96\x81\"},\"pre_tokenizer\":null,\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":"
            "\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},\"content\":\" "
            "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}]},\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\","
            "\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{\"<unk>\":0");
    for (int i = 0; i < 256; i++) buf_printf(&b, ",\"<0x%02X>\":%d", i, ++id);
    buf_printf(&b, ",\"\xE2\x96\x81\":%d", ++id);
    for (const char *p = letters; *p; p++) buf_printf(&b, ",\"%c\":%d", *p, ++id);
    for (int i = 0; i < n_merges; i++) {
        char text[16];
        snprintf(text, sizeof text, "%s%s", merges[2 * i], merges[2 * i + 1]);
        bool before = false;
        for (int k = 0; k < i; k++) {
            char other[16];
            snprintf(other, sizeof other, "%s%s", merges[2 * k], merges[2 * k + 1]);
            before |= strcmp(text, other) == 0;
        }
        if (!before) buf_printf(&b, ",\"%s\":%d", text, ++id);
    }
    buf_append_str(&b, "},\"merges\":[");
    for (int i = 0; i < n_merges; i++) buf_printf(&b, "%s[\"%s\",\"%s\"]", i ? "," : "", merges[2 * i], merges[2 * i + 1]);
    buf_append_str(&b, "]}}");
    struct tiny model = tiny_llama;
    model.layers = 1;
    model.vocab = id + 1;
    tiny_write_hf(f, &model, "hf", NULL);
    assert_int_equal(file_write_atomic(f->c, fixture_path(f, "hf/tokenizer.json"), buf_str(&b), b.len), OK);
    buf_release(&b);
}

/* All texts of up to six letters of four: where two merges make one piece, the score is the rank of the one that is taken.
 */
static void scores_follow_the_merges_that_are_taken(void **state)
{
    static const char *const merges[] = {"a", "b", "a", "bc", "c", "d", "ab", "c", "b", "c", "d", "a"};
    struct fixture *f = *state;
    write_merges(f, "abcd", merges, 6);
    struct tokenizer *from = tokenizer_open(f->c, fixture_path(f, "hf/tokenizer.json"));
    char *path = export_folder(f, "hf");
    struct tokenizer *to = path ? tokenizer_open(f->c, path) : NULL;
    assert_ok(f->c);
    for (int code = 1; code < 1 << 14; code++) { /* two bits a letter behind the highest bit that is set */
        struct ids want = {0}, got = {0};
        char text[8];
        int n = 0, bits = 0;
        while (code >> bits > 1) bits++;
        if (bits == 0 || bits % 2 || bits == 14) continue; /* no letter, or half of one */
        for (int at = 0; at < bits; at += 2) text[n++] = "abcd"[code >> at & 3];
        assert_int_equal(tokenizer_encode(f->c, from, text, (size_t)n, false, &want), OK);
        assert_int_equal(tokenizer_encode(f->c, to, text, (size_t)n, false, &got), OK);
        if (want.n != got.n || memcmp(want.data, got.data, want.n * sizeof *want.data) != 0)
            fail_msg("%.*s gets other ids", n, text);
        ids_release(f->c, &want);
        ids_release(f->c, &got);
    }
    tokenizer_free(from);
    tokenizer_free(to);
    mem_free(f->c, path);
}

/* Every value of a but the type of the file is in b, bit for bit; returns how many of the tokenizer there were. */
static int check_kept(const struct gguf *a, const struct gguf *b)
{
    int tokenizer = 0;
    for (size_t i = 0; i < gguf_value_count(a); i++) {
        const struct gguf_value *v = gguf_value(a, i), *w = gguf_get(b, v->key);
        if (strcmp(v->key, "general.file_type") == 0) continue;
        if (!w || v->kind != w->kind || v->item_kind != w->item_kind || v->n != w->n) fail_msg("%s is not kept", v->key);
        for (uint64_t k = 0; v->kind == GGUF_ARRAY && v->item_kind == GGUF_STRING && k < v->n; k++) {
            struct gguf_string x = gguf_array_string(v, k), y = gguf_array_string(w, k);
            if (x.n != y.n || memcmp(x.data, y.data, x.n) != 0) fail_msg("%s: item %d is not kept", v->key, (int)k);
        }
        size_t bytes = v->kind == GGUF_ARRAY ? (size_t)v->n * gguf_kind_bytes(v->item_kind) : gguf_kind_bytes(v->kind);
        if (bytes && memcmp(v->data, w->data, bytes) != 0) fail_msg("%s is not kept", v->key);
        if (v->kind == GGUF_STRING && memcmp(v->data, w->data, (size_t)v->n) != 0) fail_msg("%s is not kept", v->key);
        tokenizer += strncmp(v->key, "tokenizer.", 10) == 0;
    }
    return tokenizer;
}

/* A GGUF base with an adapter to GGUF again: tokenizer, template and metadata stay, and every golden case keeps its ids. */
static void a_trained_gguf_keeps_its_tokenizer(void **state)
{
    static const char *const folders[] = {"tokenizer/llama3", "forms/prepend"};
    struct fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        struct export_source s;
        struct export_job job;
        struct export_result r;
        make_folder(f, folders[i]);
        char *base = export_folder(f, "hf");
        assert_ok(f->c);
        struct model *m = model_open(f->c, base);
        struct lora *l = lora_new(f->c, &m->config, &(struct lora_config){.rank = 2, .alpha = 4, .targets = LORA_ALL});
        assert_int_equal(dir_make(f->c, fixture_path(f, "adapter")), OK);
        assert_int_equal(lora_save_peft(f->c, l, fixture_path(f, "adapter"), m->name), OK);
        assert_int_equal(export_open(&s, f->c, fixture_path(f, "adapter"), base), OK);
        assert_int_equal(export_plan(&s, "gguf:bf16", fixture_path(f, "again"), &job), OK);
        if (export_write(&s, &job.targets[0], false, NULL, &r) != OK) fail_msg("%s: %s", folders[i], f->c->message);
        struct gguf *a = gguf_open(f->c, base), *b = gguf_open(f->c, r.opens);
        assert_ok(f->c);
        assert_true(check_kept(a, b) >= 6);
        struct tokenizer *t = tokenizer_open(f->c, r.opens);
        assert_ok(f->c);
        assert_true(check_cases(f, folders[i], t) > 50);
        tokenizer_free(t);
        gguf_close(a);
        gguf_close(b);
        mem_free(f->c, r.opens);
        export_job_release(f->c, &job);
        export_close(&s);
        lora_free(l);
        model_free(m);
        mem_free(f->c, base);
        for (int k = 0; k < 4; k++)
            assert_int_equal(dir_remove(f->c, fixture_path(f, (const char *[]){"hf", "out", "again", "adapter"}[k])), OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folders, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(scores_follow_the_merges_that_are_taken, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_trained_gguf_keeps_its_tokenizer, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
