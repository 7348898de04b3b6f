/* coreml_session: see coreml_session.h. */
#include "export/coreml/coreml_session.h"

#include <string.h>

#include "base/mem.h"

static bool find_input(const struct mil_program *p, const char *name, bool is_state, size_t *out)
{
    int var = mil_find(p, name, strlen(name));
    if (var < 0 || (size_t)var >= p->n_inputs || p->vars[var].type.is_state != is_state) return false;
    *out = (size_t)var;
    return true;
}

/* The longer of a cache's last two dimensions is not always the context, so it is told by the name of the layout: with one
 * output the plain one. */
static bool coreml_session_is_plain(const struct mil_program *p)
{
    return p->n_outputs == 1 && p->vars[p->outputs[0]].type.rank == 3;
}

/* How much of the vocabulary an output holds: V of (1, S, V), or rows of (1, rows, 1, S). -1: it has another shape. */
static int64_t output_rows(const struct mil_type *t, bool plain)
{
    if (t->dtype != MIL_F16 || t->dim[0] != 1) return -1;
    if (plain) return t->dim[2];
    return t->rank == 4 && t->dim[2] == 1 ? t->dim[1] : -1;
}

static bool count_vocab(struct coreml_session *s, const struct mil_program *p)
{
    for (size_t i = 0; i < p->n_outputs; i++) {
        int64_t rows = output_rows(&p->vars[p->outputs[i]].type, coreml_session_is_plain(p));
        if (rows <= 0 || rows > INT32_MAX) return false;
        s->vocab += rows;
    }
    return s->vocab > 0;
}

enum status coreml_session_open(struct coreml_session *s, const struct coreml_package *k, bool half)
{
    const struct mil_program *p = k->program;
    size_t keys, values;
    *s = (struct coreml_session){.package = k};
    if (!find_input(p, "inputIds", false, &s->ids) || !find_input(p, "position", false, &s->at) ||
        !find_input(p, "keyCache", true, &keys) || !find_input(p, "valueCache", true, &values) || !count_vocab(s, p) ||
        p->vars[keys].type.rank != 4)
        return ctx_fail(k->c, E_INPUT, "%s: has not the inputs, states and outputs of a model of ours", k->name);
    s->context = p->vars[keys].type.dim[coreml_session_is_plain(p) ? 2 : 3];
    s->run = mil_run_new(k->c, p, k->name, file_map_data(k->weights), file_map_size(k->weights), half);
    return k->c->status;
}

void coreml_session_close(struct coreml_session *s)
{
    mil_run_free(s->run);
    s->run = NULL;
}

/* The length of the next call. */
static int64_t choose_length(const struct coreml_session *s, int64_t left)
{
    const struct coreml_package *k = s->package;
    int64_t best = 0;
    for (int i = 0; i < k->n_lengths; i++) {
        int64_t length = k->lengths[i];
        if (s->position + length > s->context) continue;
        bool holds = length >= left, held = best >= left;
        if (best == 0 || (holds && (!held || length < best)) || (!holds && !held && length > best)) best = length;
    }
    return best;
}

/* Logits of the first n tokens of a call. An output may be a constant, which has no elements of its own, or of another
 * length than the call: neither is a program of ours. */
static enum status take_logits(const struct coreml_session *s, int64_t n, float *logits)
{
    const struct mil_program *p = s->package->program;
    const bool plain = coreml_session_is_plain(p);
    int64_t first = 0;
    for (size_t i = 0; i < p->n_outputs; i++) {
        struct mil_type t;
        const float *from = mil_run_output(s->run, i, &t);
        int64_t rows = t.dim[plain ? 2 : 1], length = t.dim[plain ? 1 : 3];
        if (!from || length < n)
            return ctx_fail(s->package->c, E_INPUT, "%s: output %s does not hold logits of %lld tokens", s->package->name,
                            p->vars[p->outputs[i]].name, (long long)n);
        for (int64_t k = 0; k < n; k++)
            for (int64_t j = 0; j < rows; j++)
                logits[k * s->vocab + first + j] = plain ? from[k * rows + j] : from[j * length + k];
        first += rows;
    }
    return OK;
}

enum status coreml_session_extend(struct coreml_session *s, const int32_t *ids, int64_t n, float *logits)
{
    struct ctx *c = s->package->c;
    while (n > 0 && ctx_ok(c)) {
        int64_t length = choose_length(s, n), taken = n < length ? n : length;
        if (length == 0)
            return ctx_fail(c, E_INPUT, "%s: no call of its lengths fits after %lld tokens in a context of %lld",
                            s->package->name, (long long)s->position, (long long)s->context);
        int32_t *call = mem_alloc(c, (size_t)length, sizeof *call), position = (int32_t)s->position;
        if (!call) return c->status;
        memcpy(call, ids, (size_t)taken * sizeof *ids);
        if (mil_run_set(s->run, s->ids, call, length) == OK && mil_run_set(s->run, s->at, &position, 1) == OK &&
            mil_run_call(s->run) == OK)
            take_logits(s, taken, logits);
        mem_free(c, call);
        s->position += taken;
        ids += taken;
        n -= taken;
        logits += taken * s->vocab;
    }
    return c->status;
}
