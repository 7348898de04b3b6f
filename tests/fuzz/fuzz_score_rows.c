/* Rows to be scored, by each scorer and with both rule sets: as JSON Lines or an array, faulty rows skipped. What comes out
 * must be rows that the strict JSON parser takes, as many as were counted. */
/* mutations: 4000 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"
#include "io/json.h"
#include "io/row_file.h"
#include "score/score_row.h"

/* Each line of the output parses as an object with an auth_weight in [0, 0.99]. */
static void check_output(struct ctx *c, const struct buf *out, size_t rows)
{
    size_t found = 0;
    for (size_t at = 0; at < out->len; found++) {
        const char *end = memchr(out->data + at, '\n', out->len - at);
        if (!end) __builtin_trap();
        json_t *row = json_parse(c, "output", out->data + at, (size_t)(end - out->data) - at);
        double weight = json_number_value(json_object_get(row, "auth_weight"));
        /* members that are not looked at may be there twice, which only the parser refuses */
        if (!row && !strstr(c->message, "duplicate key") && !strstr(c->message, "too many") && !strstr(c->message, "double"))
            __builtin_trap();
        if (row && !(weight >= 0 && weight <= 0.99)) __builtin_trap();
        json_decref(row);
        ctx_clear(c);
        at = (size_t)(end - out->data) + 1;
    }
    if (found != rows) __builtin_trap();
}

static void score_all(struct ctx *c, const struct rules *rules, const char *path)
{
    struct score_row row;
    struct row_batch batch = {0};
    struct buf out;
    size_t rows = 0;
    struct row_file *source = row_file_open(c, path);
    buf_init(&out, c, 1 << 26);
    struct score_row_options options = {.existing = EXISTING_REPLACE, .breakdown = true, .use_prior = true};
    enum status status = score_row_init(&row, c, rules, options);
    while (source && status == OK && row_file_fill(source, &batch) == OK && batch.n_spans > 0) {
        row_file_hash(source);
        for (size_t i = 0; i < batch.n_spans; i++) {
            const struct row_span *s = &batch.spans[i];
            fuzz_read(batch.bytes + s->at, s->n);
            if (score_row_write(&row, "row", batch.bytes + s->at, s->n, &out) == OK)
                rows++;
            else if (c->status != E_INPUT)
                __builtin_trap();
            ctx_clear(c);
        }
    }
    ctx_clear(c);
    check_output(c, &out, rows);
    row_file_close(source);
    row_batch_release(c, &batch);
    score_row_release(&row);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ctx *shared; /* of the rules, which are read once */
    static struct rules *rules[4];
    if (!shared) {
        shared = ctx_new(NULL);
        for (int i = 0; i < 4; i++) {
            rules[i] = rules_open(shared, NULL, i % 2, i / 2 ? SCORER_HEURISTIC : SCORER_CITATION);
            if (!rules[i]) abort();
        }
    }
    struct ctx *c = ctx_new(NULL);
    for (int i = 0; i < 4; i++) score_all(c, rules[i], fuzz_file(data, size));
    fuzz_check(c, size, 128, 32 << 20);
    ctx_free(c);
    return 0;
}
