/* your_ai: the public C interface: models, text, scores, adapters, training. Arrays and derivatives: your_ai_array.h.
 *
 * Owners. A ya_ctx owns memory, threads and the error. What is made with it (models, adapters, objectives, trainings) is
 * freed by the function named like it, or with the ctx, the newest first. Strings and arrays that are passed in are the
 * caller's and are copied where they are needed longer than the call. A ctx and everything made with it belong to one thread
 * at a time; several ctx may work at once.
 *
 * Errors. A function that fails returns NULL (handles) or -1 (counts and results) and ya_error says why, with the values.
 * The first failure stays: every later call on this ctx fails too until ya_error_clear, and a NULL handle gives NULL or -1,
 * so a chain of calls is checked once at its end. Out-of-memory is an error like any other. Nothing here prints or ends the
 * process.
 *
 * Faults of the library itself (a broken invariant) are no errors: they go to the panic hook, see ya_hooks.
 *
 * Options are pairs of text with the names, defaults and ranges of the command line: {"rank", "8"} is `--rank 8`. Flags take
 * "true" or "false". `your_ai train --help` lists them all. A name that is unknown or belongs to another function, a value
 * out of range, and an option given twice are errors that say so.
 *
 * Text is UTF-8 of a given length in bytes. Token ids are int32. Log-probabilities are natural logarithms.
 */
#ifndef YOUR_AI_H
#define YOUR_AI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define YA_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* the library is built with everything else hidden */

typedef struct ya_ctx ya_ctx;
typedef struct ya_model ya_model;
typedef struct ya_adapter ya_adapter;
typedef struct ya_objective ya_objective;
typedef struct ya_training ya_training;

/* Version of the library that runs; YA_VERSION is that of the header. While it is 0.x, a new minor version may change this
 * interface, and the name of the shared library changes with it (libyour_ai.so.0.1). */
const char *ya_version(void);

typedef struct ya_option {
    const char *name, *value; /* without dashes */
} ya_option;

/* ---- context ------------------------------------------------------------------------------------------------------ */

typedef enum ya_log_level { YA_LOG_DEBUG, YA_LOG_INFO, YA_LOG_WARN } ya_log_level;

/* What the host may replace; members left NULL have the default. All are called on the thread that called the library. */
typedef struct ya_hooks {
    void *user; /* first argument of each */
    /* Memory, as realloc: old NULL allocates, bytes 0 frees and returns NULL. Default: the C library's. Libraries that the
     * file readers stand on (jansson, utf8proc) and the C library's own calls do not go through it. */
    void *(*alloc)(void *user, void *old, size_t bytes);
    /* One line of text without a newline, valid during the call. Default: nothing is logged. */
    void (*log)(void *user, ya_log_level level, const char *message);
    /* A fault of the library was found; the message says where. Default: it is written to stderr and the process aborts,
     * which also happens when the hook returns. The hook may leave by longjmp: no worker thread is at work then, also when
     * the fault was found in one. Of all functions only ya_ctx_free, ya_error and ya_error_kind may be called on the ctx
     * afterwards; every other one fails and ya_error says so. ya_ctx_free gives back memory, threads, mapped files and
     * locks. */
    void (*panic)(void *user, const char *message);
} ya_hooks;

/* A context with one thread. hooks may be NULL; it is copied. NULL when memory is exhausted or YA_CPU in the environment
 * names kernels that this machine cannot run. */
ya_ctx *ya_ctx_new(const ya_hooks *hooks);
/* Frees the ctx and all that was made with it. Accepts NULL. Not from inside a callback. */
void ya_ctx_free(ya_ctx *ctx);
/* Uses n threads from now on; 0: one for each core. Results are the same bytes for any n. Not from inside a callback. */
int ya_ctx_set_threads(ya_ctx *ctx, int n);

/* The message of the first failure since the last clear, or NULL. One line; valid until the next call on this ctx. A ctx
 * that is NULL could not be made, and the message says that. */
const char *ya_error(const ya_ctx *ctx);
/* Its kind in one word: "input", "io", "memory", "fit" (a training that would not fit in memory), "shape", "dtype",
 * "unsupported", "numeric", "interrupted", "bug" (after a panic); or NULL. */
const char *ya_error_kind(const ya_ctx *ctx);
void ya_error_clear(ya_ctx *ctx); /* does nothing after a panic */

/* ---- models ------------------------------------------------------------------------------------------------------- */

/* Opens a Hugging Face folder, a .gguf file or "owner/name", a model in the local Hugging Face cache, with its tokenizer.
 * Weights stay mapped, unless options ask for another form: base-type (as-is, nf4, int8), compute (auto, f32, bf16, int8x2,
 * int8). */
ya_model *ya_model_open(ya_ctx *ctx, const char *path, const ya_option *options, size_t n_options);
void ya_model_free(ya_model *model); /* accepts NULL; detaches its adapter, which lives on */

int64_t ya_model_vocab(const ya_model *model);   /* token ids are in [0, vocab) */
int64_t ya_model_context(const ya_model *model); /* most tokens of one document */

/* ---- text and tokens ---------------------------------------------------------------------------------------------- */

enum {
    YA_BOS = 1,    /* begin with BOS if documents of this model do */
    YA_SPECIAL = 2 /* tokenize: the text of special tokens ("<|im_end|>") becomes their ids instead of plain text;
                    * detokenize: special tokens are written as their text instead of left out */
};

/* Ids of a text. Writes the first `capacity` of them to ids (which may be NULL with capacity 0) and returns how many there
 * are. */
int64_t ya_tokenize(ya_model *model, const char *text, size_t n_bytes, int flags, int32_t *ids, size_t capacity);
/* Bytes of n ids, without a terminating zero. Writes the first `capacity` of them and returns how many there are. The bytes
 * of one id may be a part of a character. */
int64_t ya_detokenize(ya_model *model, const int32_t *ids, size_t n, int flags, char *text, size_t capacity);

typedef struct ya_message {
    const char *role;    /* "system", "user", "assistant" */
    const char *content; /* zero-terminated */
} ya_message;

/* Ids of a conversation in the model's chat template, the header of the assistant's answer opened at its end. `ids` and the
 * result as for ya_tokenize. "unsupported": the model has no template, or one with something that is not supported;
 * "input": the template refuses the conversation. */
int64_t ya_chat_prompt(ya_model *model, const ya_message *messages, size_t n_messages, int32_t *ids, size_t capacity);

/* ---- logits, generation, perplexity ------------------------------------------------------------------------------- */

/* Logits of the token after n >= 1 ids: vocab floats into `logits`. */
int ya_logits(ya_model *model, const int32_t *ids, size_t n, float *logits);

typedef struct ya_generate_options {
    int64_t max_tokens; /* most new tokens, >= 1 */
    double temperature; /* 0: always the most probable token */
    int64_t top_k;      /* only so many of the most probable ones; 0: all */
    double top_p;       /* only the most probable ones that make up this share, in (0, 1]; 1: all */
    uint64_t seed;
    double repeat_penalty;   /* logits of tokens that are in prompt or answer already are divided by it where positive and
                                multiplied where negative, 0.1 to 10; 1 or 0: as they are */
    const char *const *stop; /* (n_stop) strings that end the answer where one appears; the answer's text lacks it, its ids
                                do not. At most 16, of 1 to 256 bytes */
    size_t n_stop;
    int keep; /* not 0: the model keeps the keys and values of prompt and answer, and a later call with `keep` whose prompt
                 begins with both reads only what is new. For conversations: the result is the same, and comes sooner */
} ya_generate_options;

/* 256 tokens, temperature 0, no penalty, no stop strings, nothing kept. */
ya_generate_options ya_generate_defaults(void);

/* Called with each new token, the last one included: its id and the bytes of its text (none for a special token; perhaps a
 * part of a character). With stop strings, bytes that may become one come with a later token; what is still held back at the
 * end comes in one more call, with the id -1. Anything but 0 ends the generation. May call ya_tokenize and ya_detokenize,
 * and nothing that runs, opens or frees. */
typedef int (*ya_token_callback)(void *user, int32_t id, const char *text, size_t n_bytes);

/* Continues n >= 1 prompt ids under the adapter that is attached. options NULL: the defaults; on_token NULL: none; ids as
 * for ya_tokenize. Returns how many tokens came, the end-of-text token included. *end (may be NULL): "stop" (the model or a
 * stop string ended the text), "length", "context" (it is full) or "caller". Same prompt, options and seed: same tokens. */
int64_t ya_generate(ya_model *model, const int32_t *prompt, size_t n, const ya_generate_options *options,
                    ya_token_callback on_token, void *user, int32_t *ids, size_t capacity, const char **end);

/* Natural log-probability of each of n >= 2 ids given those before it, into logprobs (n doubles, the first is NaN; may be
 * NULL). Longer texts than `window` tokens are cut into windows that share one token; 0: the model's context. *perplexity
 * (may be NULL): exp of the negative mean. */
int ya_perplexity(ya_model *model, const int32_t *ids, size_t n, int64_t window, double *logprobs, double *perplexity);

typedef struct ya_rows_score {
    int64_t documents; /* documents scored; rows longer than the context count once for each of their pieces */
    int64_t tokens;    /* tokens that training would train: answers, and whole texts */
    double nll;        /* their negative log-likelihood, summed */
    double perplexity; /* exp(nll / tokens) */
} ya_rows_score;

/* One document: the line of its row in the file, its scored tokens and their summed negative log-likelihood. Anything but 0
 * stops the call, which then fails with "interrupted". May not run, open or free anything. */
typedef int (*ya_row_callback)(void *user, int64_t row, int64_t tokens, double nll);

/* Scores every row of a JSONL file of training rows (text, prompt and completion, messages) as training would: the tokens of
 * prompts are context and not scored. Document weights play no part. on_row may be NULL. Needs disk space for the tokenised
 * rows in $TMPDIR or /tmp. */
int ya_perplexity_rows(ya_model *model, const char *path, ya_row_callback on_row, void *user, ya_rows_score *score);

/* ---- the distrust objective --------------------------------------------------------------------------------------- */

/* What the provenance of documents is worth in the loss (docs/DESIGN.md section 6):
 *   s = ln(1 - auth_weight + 1e-8) + prov_entropy
 *   D = alpha * s^2                     the published term: a number to report, without a gradient
 *   g = softplus(s)^power (monotone) or s^2 (published)
 *   omega = (1 - lambda) + lambda * clamp(g, q / ratio, q) / mean_g      the weight of the document's loss
 * q is the token-weighted 99th percentile of g and mean_g the token-weighted mean of the clamped g over a training set, so
 * that omega has token-weighted mean 1 over it. Everything is f64. auth_weight is in [0, 0.99], prov_entropy in [0, 1e6]
 * bits; anything else, NaN included, is an error that names the document's index. */
typedef struct ya_distrust {
    double s, d, g, omega;
} ya_distrust;

/* Options: distrust (off, monotone, published, additive), lambda, distrust-power, distrust-ratio, distrust-alpha. In modes
 * off and additive g is 0 and omega 1. In the others omega is NaN until ya_objective_fit or ya_objective_restore. */
ya_objective *ya_objective_new(ya_ctx *ctx, const ya_option *options, size_t n_options);
void ya_objective_free(ya_objective *objective); /* accepts NULL */

/* Fits q and mean_g to a training set of n >= 1 documents. tokens: trained tokens of each, >= 1; NULL: 1 each. */
int ya_objective_fit(ya_objective *objective, const double *auth_weight, const double *prov_entropy, const int64_t *tokens,
                     size_t n);
/* Sets what an earlier fit gave. */
int ya_objective_restore(ya_objective *objective, double q, double mean_g);
/* Reads what the fit gave; 0 and 0 in modes without weights and before a fit. Either pointer may be NULL. */
int ya_objective_fitted(const ya_objective *objective, double *q, double *mean_g);

/* One document. */
int ya_objective_score(const ya_objective *objective, double auth_weight, double prov_entropy, ya_distrust *score);
/* n >= 1 documents. each (n) may be NULL, and so may sum and mean. sum: each value times its document's tokens (NULL: 1
 * each), added up in the order of the documents. mean: that over the sum of the tokens. Nothing is written on failure. */
int ya_objective_batch(const ya_objective *objective, const double *auth_weight, const double *prov_entropy,
                       const int64_t *tokens, size_t n, ya_distrust *each, ya_distrust *sum, ya_distrust *mean);

/* ---- LoRA adapters ------------------------------------------------------------------------------------------------ */

/* A fresh adapter for a model: A random, B zero, so that it changes nothing until it is trained. Options: rank, alpha,
 * targets, last-layers, rslora, seed. */
ya_adapter *ya_adapter_new(ya_model *model, const ya_option *options, size_t n_options);
/* Reads a PEFT folder (adapter_config.json, adapter_model.safetensors). Fails when the record of its training says that it
 * was made for another model (the gains of the norms differ); the log tells when it was made for another form of the same
 * model. An adapter without such a record is taken as it is. */
ya_adapter *ya_adapter_load(ya_model *model, const char *folder);
/* The same, but an adapter of another model is loaded, with a warning in the log. */
ya_adapter *ya_adapter_load_forced(ya_model *model, const char *folder);
/* Writes the adapter as a PEFT folder, which is made if it is not there. Without a record of the base model: that is written
 * by training alone. */
int ya_adapter_save(ya_adapter *adapter, const char *folder);
void ya_adapter_free(ya_adapter *adapter); /* accepts NULL; detaches it */
int64_t ya_adapter_parameters(const ya_adapter *adapter);

/* Everything that the model computes from now on is under this adapter (NULL: under none), which must have been made for it
 * or for another model of the same shape. The adapter stays the caller's. */
int ya_model_attach(ya_model *model, ya_adapter *adapter);

/* Writes the model with the attached adapter merged into its weights as a Hugging Face folder, which must be new or empty.
 * type: "bf16", "f16" or "f32". The model must be open in the file's own form (base-type as-is). */
int ya_model_merge(ya_model *model, const char *folder, const char *type);

/* ---- training ----------------------------------------------------------------------------------------------------- */

typedef struct ya_progress {
    int64_t step, total_steps, epoch; /* steps done, of the whole run; epoch from 1 */
    int64_t trained_tokens, tokens;   /* of this step: in the loss, and in all */
    double loss;                      /* mean negative log-likelihood over the trained tokens, unweighted */
    double weighted_loss;             /* the loss that is minimised */
    double lr, grad_norm, threshold;  /* threshold: longer gradients are scaled down to it */
    bool clipped;
    double seconds, tokens_per_second, eta_seconds; /* of this step; of the whole rest */
    size_t peak_bytes;                              /* most memory so far, mapped weights not counted */
    bool evaluated;                                 /* a validation has been made; its values: */
    double valid_loss, valid_weighted_loss;
    int64_t valid_step, best_step; /* of the last validation, 0: the one before step 1; of the best so far, 0: none */
} ya_progress;

/* Members may be NULL. All are called on the thread of ya_training_run, and may not run, open or free anything of the ctx.
 */
typedef struct ya_training_hooks {
    void *user;
    void (*step)(void *user, const ya_progress *progress);       /* after each optimizer step */
    void (*validation)(void *user, const ya_progress *progress); /* after each validation, of which one is before step 1 */
    /* Asked between micro-batches; true: save what is done and stop. */
    bool (*interrupted)(void *user);
    /* Asked after each optimizer step; true: write a checkpoint now, and continue. */
    bool (*save)(void *user);
    void (*saved)(void *user, int64_t step); /* a checkpoint of the step is complete on disk */
} ya_training_hooks;

/* Starts a run: all options of `your_ai train`; model, data (up to 64 times) and output are needed. Opens the model,
 * tokenises the rows, plans memory and makes the folder `output`, which must be new or empty; nothing is trained yet. The
 * run is the program's: `your_ai resume` continues it, and its bytes are the same. The threads are the ctx's, unless the
 * option threads says otherwise. hooks may be NULL; it is copied. On failure no folder is left. */
ya_training *ya_training_start(ya_ctx *ctx, const ya_option *options, size_t n_options, const ya_training_hooks *hooks);
/* Opens a run at its newest complete checkpoint; what is trained from there is the same, bit for bit, as if it had never
 * stopped. Options: max-steps (another length of the whole run), threads. Data and base model must be the files that the run
 * began with. */
ya_training *ya_training_resume(ya_ctx *ctx, const char *run, const ya_option *options, size_t n_options,
                                const ya_training_hooks *hooks);
/* Trains to the end, writes checkpoints on the way and the adapter as OUTPUT/adapter, a PEFT folder: that of the best
 * validation, or the last one without validations. Returns 0, or 1 when the interrupted hook asked to stop: what is done is
 * saved then, and the same training may be run on or resumed later. Returns -1 on failure; checkpoints that were complete
 * stay. */
int ya_training_run(ya_training *training);
int64_t ya_training_step(const ya_training *training);        /* steps done */
int64_t ya_training_total_steps(const ya_training *training); /* of the whole run */
/* Closes the run's files and gives its folder back. Accepts NULL. */
void ya_training_free(ya_training *training);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif

#endif
