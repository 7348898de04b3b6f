/* model_norms: hashes the gains of all norms of a model, in the precision that every container keeps of them. */
#include "model/model_norms.h"

#include <stdio.h>
#include <string.h>

#include "array/dtype.h"
#include "base/mem.h"
#include "base/sha256.h"

enum { HALF_DIGITS = 16 };

/* Both digests on their way, and whether two gains differ. */
struct norms_print {
    struct sha256 direct, through_f16;
    bool any, differ;
    float first;
};

static void add_gain(struct norms_print *p, float gain)
{
    uint16_t h = f32_to_bf16(gain), k = f32_to_bf16(f16_to_f32(f32_to_f16(gain)));
    uint8_t direct[2] = {(uint8_t)h, (uint8_t)(h >> 8)}, through[2] = {(uint8_t)k, (uint8_t)(k >> 8)};
    sha256_update(&p->direct, direct, sizeof direct);
    sha256_update(&p->through_f16, through, sizeof through);
    p->differ |= p->any && gain != p->first;
    if (!p->any) p->first = gain;
    p->any = true;
}

static enum status model_norms_add_norm(struct norms_print *p, struct array *norm)
{
    if (!norm) return OK;
    int64_t n = array_size(norm);
    float *gains = mem_alloc(norm->c, (size_t)n, sizeof *gains);
    if (!gains) return norm->c->status;
    enum status status = array_to_host(norm, DTYPE_F32, gains);
    for (int64_t i = 0; status == OK && i < n; i++) add_gain(p, gains[i]);
    mem_free(norm->c, gains);
    return status;
}

static void model_norms_finish(struct sha256 *s, char *out)
{
    uint8_t digest[32];
    char hex[65];
    sha256_final(s, digest);
    sha256_hex(digest, hex);
    memcpy(out, hex, HALF_DIGITS);
}

/* In the order of layers and of enum block_norm, the final norm last: what a fingerprint is compared with must be made
 * alike. */
enum status model_norms_print(struct model *m, char out[MODEL_NORMS_BYTES])
{
    struct norms_print p = {.any = false};
    sha256_init(&p.direct);
    sha256_init(&p.through_f16);
    memset(out, 0, MODEL_NORMS_BYTES);
    for (int64_t i = 0; i < m->config.n_layers; i++)
        for (int k = 0; k < BLOCK_NORMS; k++)
            TRY(model_norms_add_norm(&p, *llama_block_norm(&m->blocks[i], (enum block_norm)k)));
    TRY(model_norms_add_norm(&p, m->final_norm));
    if (!p.differ) return OK;
    model_norms_finish(&p.direct, out);
    out[HALF_DIGITS] = '-';
    model_norms_finish(&p.through_f16, out + HALF_DIGITS + 1);
    return OK;
}

bool model_norms_is(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    return strlen(text) == MODEL_NORMS_BYTES - 1 && strspn(text, digits) == HALF_DIGITS && text[HALF_DIGITS] == '-' &&
           strspn(text + HALF_DIGITS + 1, digits) == HALF_DIGITS;
}

bool model_norms_match(const char *a, const char *b)
{
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++)
            if (memcmp(a + i * (HALF_DIGITS + 1), b + k * (HALF_DIGITS + 1), HALF_DIGITS) == 0) return true;
    return false;
}
