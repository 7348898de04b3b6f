/* generate: text from a model, one token after the other, with a KV cache: the prompt in one pass, then one token a pass. */
#ifndef YA_EVAL_GENERATE_H
#define YA_EVAL_GENERATE_H

#include "engine/engine.h"
#include "eval/sample.h"
#include "io/tokenizer/tokenizer.h"

/* Called with each new token as soon as it is known, a stop token included; false ends the generation. */
typedef bool (*generate_fn)(void *user, int32_t id);

/* The keys and values of a text, kept from one call to the next. Starts zeroed; its engine, model and adapter must stay what
 * they were. */
struct generate_cache {
    struct engine_sequence *sequence; /* owned; NULL: nothing is kept */
    struct ids held;                  /* the tokens in it */
};
/* Lets go of it; the cache is then empty. */
void generate_cache_release(struct ctx *c, struct generate_cache *cache);

struct generate_params {
    int64_t max_tokens; /* new tokens at most, >= 1 */
    struct sample_params sample;
    double repeat_penalty; /* tokens that are in prompt or answer already: their logits are divided by it where positive,
                              multiplied where negative (Keskar 2019, "CTRL"); 1, or 0: nothing */
    const struct tokenizer *tokenizer; /* its end-of-generation ids stop; NULL: none of them do */
    const int32_t *stop_ids;           /* (n_stop) more ids that stop */
    size_t n_stop;
    struct generate_cache *cache; /* NULL: none. A prompt that begins with all that it holds is read from there on; any
                                     other is read whole, in its place */
    generate_fn on_token;         /* NULL: none */
    void *user;
};

enum generate_end {
    GENERATE_STOP,    /* a stop token came */
    GENERATE_LENGTH,  /* max_tokens are there */
    GENERATE_CONTEXT, /* the model's context is full */
    GENERATE_CALLER   /* on_token said so */
};
/* The name of an end in output and in the library: "stop", "length", "context", "caller". Static. */
const char *generate_end_name(enum generate_end end);

/* Appends the new tokens to *out (a stop token included) after n prompt tokens, by the model that the engine runs. Same
 * prompt, parameters and seed: same tokens. E_INPUT: no prompt token, one outside the vocabulary, a prompt longer than the
 * context, a parameter out of range. E_NUMERIC: logits that are NaN or infinite. */
enum status generate_run(struct engine *e, const int32_t *prompt, size_t n, const struct generate_params *p, struct ids *out,
                         enum generate_end *end);

/* Logits of the token after n prompt tokens: vocab floats of host memory. E_INPUT as above. */
enum status generate_logits(struct engine *e, const int32_t *prompt, size_t n, float *logits);

#endif
