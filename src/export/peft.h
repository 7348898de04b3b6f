/* peft: the card of a trained adapter, for those whom the folder is given to, and the check that its record serves. The
 * other files of the folder are lora_save_peft's; the card of an export is export_card.h's. */
#ifndef YA_EXPORT_PEFT_H
#define YA_EXPORT_PEFT_H

#include "base/buf.h"
#include "train/trainer.h"

/* How the line of the card begins that has the fingerprint; a grave accent ends it. */
#define PEFT_NORMS_START "Norm gains (the same in every form of the base): `"

/* Writes README.md into the adapter folder `dir`, which must exist. The card names the base model and the SHA-256 of each of
 * its weight files, and the fingerprint of its norm gains, so that the adapter is never put on other weights unnoticed.
 * Reads those files whole once. E_IO. */
enum status peft_write_card(struct model *m, const struct lora *l, const char *dir);

/* The same for the adapter that a run of training has published, in RUN/adapter. */
enum status peft_write_run_card(struct model *m, const struct lora *l, const char *run);

/* Appends what a run says about its training: options, steps and loss, data files with their SHA-256, and where the weight
 * of its rows lies by type of source. What a run does not have is left out. E_MEMORY, E_IO. */
enum status peft_append_run(struct ctx *c, const char *run, struct buf *b);

/* Paths of the weight files of a model, sorted: the .gguf itself or all parts of a split one, or the .safetensors of its
 * folder. Owner: the caller (dir_list_free). */
enum status peft_weight_files(const struct model *m, char ***paths, size_t *n);

/* Holds the adapter in `dir` against the model that it is to be put on. E_INPUT when the fingerprint of norm gains that its
 * training recorded (model_norms.h; in its card, or in environment.json of the run that it lies in) is not that of `m`: then
 * it was made for another model; with `force` that is warned of. Where the fingerprints agree and the files differ, `m` is
 * another form of the same model, which is said. Without a fingerprint it warns (LOG_WARN) when the adapter in `dir` was
 * trained on other weights than those of `m`: by the sizes and SHA-256 in its card or in the manifest of the run that it
 * lies in, else by base_model_name_or_path where both are hub ids. SHA-256 reads the weights once (hash_cache.h); without
 * `thorough`, of models above 4 GiB only the sizes are compared. E_IO when the model's files cannot be read. */
enum status peft_check_base(struct model *m, const char *dir, bool thorough, bool force);

/* Holds a tokenizer that lies in the adapter's folder (tokenizer.json, else added_tokens.json) against the model's. E_INPUT
 * naming the first token that the model has not, or has as another one. A chat template that is another one is warned of.
 * Nothing for an adapter without these files. */
enum status peft_check_tokenizer(struct ctx *c, const struct tokenizer *model, const char *dir);
/* For trainer_hooks.opened: the adapter that a training starts from, if there is one, is held against model and tokenizer.
 */
enum status peft_check_start(void *user, const struct trainer *t);

#endif
