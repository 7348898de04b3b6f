/* Rules of the user's: whatever they are, they are refused with a reason or score a text. */
/* mutations: 2000 */
#include <string.h>

#include "base/mem.h"
#include "fuzz/fuzz.h"
#include "score/score_common.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char text[] =
        "Published in 1923: experts agree, a Patent US1234567 of the archive, (Smith, 2020) [1] ibid.\n"
        "\xC3\x89tude WHO news letter, 1. Smith, Title, 1999, and so on, until all streams have a part of it,"
        " which takes some more words, commas, and a lab  notebook, an interview, a measurement.";
    struct ctx *c = ctx_new(NULL);
    for (int scorer = 0; scorer < 2; scorer++) {
        struct rules *r = rules_read(c, "rules", (const char *)data, size, (enum scorer)scorer);
        if (r) {
            struct matcher_count *counts = score_counts_new(c, r);
            struct score_result out;
            struct score_input in = {.text = text, .n = sizeof text - 1, .other = text, .other_n = 40};
            in.field[FIELD_URL] = (struct score_value){VALUE_STRING, 0, "https://a.who.int/x", 19};
            score_document(r, counts, &in, &out);
            if (!(out.auth_weight >= 0 && out.auth_weight <= 0.99 && out.prov_entropy >= 0)) __builtin_trap();
            mem_free(c, counts);
        }
        rules_free(c, r);
        if (!ctx_ok(c) && c->status != E_INPUT && c->status != E_UNSUPPORTED) __builtin_trap();
        if (scorer == 0) ctx_clear(c);
    }
    fuzz_check(c, size, 1 << 13, 16 << 20);
    ctx_free(c);
    return 0;
}
