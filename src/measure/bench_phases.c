/* bench_phases: whole training steps and whole generations, timed together with the time of each primitive in them. The
 * profile (backend/profile.h) stands between the arrays and the backend and adds up the time of every kernel call; what a
 * phase takes beyond their sum is spent between kernels, in the program itself. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/engine.h"
#include "eval/generate.h"
#include "measure/bench.h"
#include "measure/machine.h"
#include "model/batch.h"
#include "train/optim.h"

/* ---- clocks ---------------------------------------------------------------------------------------------------------- */

/* The two clocks at the start of a phase: wall time and processor time of the process, both in seconds. */
struct clocks {
    double seconds, cpu;
};

/* Sets the profile back and reads both clocks. */
static struct clocks begin(struct profile *p)
{
    profile_reset(p);
    return (struct clocks){machine_seconds(), machine_cpu_seconds()};
}

/* Keeps the phase that began at `from` when it is the fastest so far. */
static void phase_end(const struct profile *p, struct clocks from, int64_t tokens, struct bench_phase *best)
{
    double seconds = machine_seconds() - from.seconds;
    if (best->tokens && seconds >= best->seconds) return;
    *best = (struct bench_phase){.tokens = tokens, .seconds = seconds, .cpu_seconds = machine_cpu_seconds() - from.cpu};
    memcpy(best->row, p->row, sizeof best->row);
}

/* ---- a training step ------------------------------------------------------------------------------------------------- */

/* One optimizer step of one micro-batch on the trained tokens' mean loss: forward, backward, norm and update. */
static enum status one_step(struct engine *e, const struct batch *batch, const struct bench_options *o, int64_t step,
                            struct bench *b)
{
    double n = (double)(o->documents * (o->length - 1));
    const struct optim optim = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    const struct engine_micro micro = {.step = step + 1, .count = 1, .inv_n = 1 / n};
    const struct engine_update update = optim_step(&optim, step + 1, 1e-4, INFINITY);
    struct engine_result result;
    TRY(e->ops->step(e, batch, &micro));
    TRY(e->ops->update(e, &update));
    TRY(e->ops->result(e, step + 1, &result, NULL));
    if (step == 0) b->loss = result.loss.weighted / n, b->grad_norm = result.norm;
    return OK;
}

enum status bench_step_run(struct model *m, struct profile *p, const struct bench_options *o, const struct ids *text,
                           struct bench *b)
{
    struct ctx *c = m->c;
    struct lora_config config = {.rank = o->rank, .alpha = 2 * (double)o->rank, .targets = LORA_ALL};
    if (text->n < 1) return ctx_fail(c, E_INPUT, "the text to train on has no tokens");
    if (o->length > m->config.max_positions)
        return ctx_fail(c, E_INPUT, "documents of %lld tokens: the model's context holds %lld", (long long)o->length,
                        (long long)m->config.max_positions);
    struct batch *batch = batch_repeat_new(c, o->documents, o->length, text->data, text->n);
    struct lora *lora = batch ? lora_new(c, &m->config, &config) : NULL;
    if (lora) model_attach_lora(m, lora);
    struct engine *e = lora ? engine_native_new(c, m, lora) : NULL;
    for (int64_t step = 0; e && step < o->runs && ctx_ok(c); step++) {
        struct clocks from = begin(p);
        if (one_step(e, batch, o, step, b) == OK) phase_end(p, from, batch->n, &b->step);
    }
    if (e) e->ops->free(e);
    model_attach_lora(m, NULL);
    lora_free(lora);
    batch_repeat_free(c, batch);
    return c->status;
}

/* ---- generation ------------------------------------------------------------------------------------------------------ */

/* What the callback of a generation needs to tell the prompt's pass from the tokens after it. */
struct listener {
    struct profile *p;
    struct bench *b;
    const struct ids *prompt;
    int64_t n, new_tokens; /* heard so far, wanted */
    struct clocks from;
};

/* The first token ends the prompt's pass; the last ends decoding. */
static bool hear(void *user, int32_t id)
{
    struct listener *l = user;
    (void)id;
    if (++l->n == 1) {
        phase_end(l->p, l->from, (int64_t)l->prompt->n, &l->b->prompt);
        l->from = begin(l->p);
    } else if (l->n == l->new_tokens) {
        phase_end(l->p, l->from, l->new_tokens - 1, &l->b->decode);
    }
    return true;
}

/* Bytes of weights that one token of a generation reads: all linear layers of the blocks and the output layer. The embedding
 * is one row and not counted. */
static double linear_bytes(const struct model *m)
{
    double sum = (double)m->head.rows * (double)m->head.row_bytes;
    for (int64_t i = 0; i < m->config.n_layers; i++)
        for (int p = 0; p < LORA_PLACES; p++) {
            const struct weight *w = llama_block_linear(&m->blocks[i], (enum lora_place)p);
            sum += (double)w->rows * (double)w->row_bytes;
        }
    return sum;
}

enum status bench_generate_run(struct model *m, struct profile *p, const struct bench_options *o, const struct ids *prompt,
                               struct bench *b)
{
    enum generate_end how = GENERATE_LENGTH;
    if ((int64_t)prompt->n > m->config.max_positions - o->new_tokens)
        return ctx_fail(m->c, E_INPUT, "a prompt of %zu tokens and %lld new ones: the model's context holds %lld", prompt->n,
                        (long long)o->new_tokens, (long long)m->config.max_positions);
    b->decode_bytes = linear_bytes(m);
    struct engine *e = engine_native_new(m->c, m, NULL);
    for (int64_t run = 0; e && run < o->runs && ctx_ok(m->c); run++) {
        struct listener l = {.p = p, .b = b, .prompt = prompt, .new_tokens = o->new_tokens, .from = begin(p)};
        struct generate_params g = {.max_tokens = o->new_tokens, .sample = {.top_p = 1}, .on_token = hear, .user = &l};
        ids_release(m->c, &b->generated);
        generate_run(e, prompt->data, prompt->n, &g, &b->generated, &how);
    }
    if (e) e->ops->free(e);
    return m->c->status;
}
