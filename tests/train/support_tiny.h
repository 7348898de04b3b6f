/* support_tiny: what the tests of training share: a tiny random Llama folder with a tokenizer of bytes, scratch folders, and
 * a context that computes. */
#ifndef YA_TESTS_SUPPORT_TINY_H
#define YA_TESTS_SUPPORT_TINY_H

#include "io/json.h"
#include "train/trainer.h"

/* A ctx with a pool of threads, the CPU backend and an array environment. */
struct ctx *tiny_ctx(int threads);
void tiny_ctx_free(struct ctx *c);

/* A new empty folder under the system's temporary folder; removed with everything in it by tiny_cleanup. */
const char *tiny_folder(void);
void tiny_cleanup(void);
/* Path of a run folder that does not exist yet, in a new folder; valid until the program ends. */
const char *tiny_run(void);
/* printf into one of 16 rotating static buffers, for paths. */
const char *tiny_path(const char *format, ...) __attribute__((format(printf, 1, 2)));
void tiny_write(const char *path, const char *text);
/* Whole file, malloc. */
char *tiny_read(const char *path, size_t *n);
void tiny_assert_same_file(const char *a, const char *b);
/* The same for each of `files` (paths within the folders a and b, ended by NULL). */
void tiny_assert_same_files(const char *a, const char *b, const char *const *files);

/* Writes config.json, model.safetensors and tokenizer.json: 2 layers, hidden 64, 4 heads, 2 kv heads, ffn 80, tied; one
 * token a byte plus "<|endoftext|>" (256). With `poison` one number of the last norm is infinite. */
void tiny_model(struct ctx *c, const char *dir, bool poison);
/* Sets the first gain of the last norm of such a model: with all gains 1 it has no fingerprint. */
void tiny_set_gain(const char *dir, float gain);
enum { TINY_EOS = 256, TINY_VOCAB = 257 };

/* n rows {"text"} of pseudo-random letters with scores, and now and then a prompt and completion. */
void tiny_rows(const char *path, int n, uint64_t seed);

/* What all tests of a file train on, in a new folder: FOLDER/model, FOLDER/train.jsonl, FOLDER/valid.jsonl. */
struct tiny_files {
    char folder[64], model[128], rows[128], valid[128];
};
/* Writes them, for a group setup: n_rows rows to train on, n_valid to validate on (0: no such file). */
void tiny_files_make(struct tiny_files *f, int n_rows, int n_valid);
/* The group teardown that belongs to it: tiny_cleanup. */
int tiny_files_remove(void **state);
/* FOLDER/NAME; valid until the program ends, where tiny_path's buffers are used again after 16 calls. */
const char *tiny_keep(const struct tiny_files *f, const char *name);

/* Options of a short run with everything on: dropout, accumulation, packing, weights. */
struct train_config tiny_config(const char *model, const char *run, const char *const *data, const char *valid);

/* Starts a run, trains it to its end (or to what stops it) and closes it; returns the status, which stays in the ctx. */
enum status tiny_train(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks);
enum status tiny_resume(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks);

struct engine;
/* Numbers of parameter i of an engine's table, and a copy of its values (enum engine_values), to be freed. */
int64_t tiny_size(const struct engine *e, size_t i);
float *tiny_values(struct engine *e, int which, size_t i);

#endif
