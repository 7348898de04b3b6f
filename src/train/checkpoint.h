/* checkpoint: folders RUN/checkpoints/step-000120, from each of which a run continues bit for bit.
 *
 *   adapter_config.json, adapter_model.safetensors   the adapter, loadable by PEFT as it is
 *   adapter_optimizer.safetensors                    first and second moments, f32
 *   state.json                                       counters, clip window, best so far (state.h)
 *   manifest.json                                    size and SHA-256 of each of the others, written last
 *
 * A checkpoint is made under a temporary name, every file fsynced, then renamed, then the parent is fsynced: a folder with a
 * final name is complete, or the disk lied, and then the manifest tells. The manifest is not parsed: it is made again from
 * the files that are there and compared, so there is nothing in it to be fooled by. "last" is the highest complete step, and
 * "best" is what the state of a checkpoint says: no pointer file or symbolic link can disagree with the folders. RUN/best is
 * a link to the best one for people; the program never reads it. */
#ifndef YA_TRAIN_CHECKPOINT_H
#define YA_TRAIN_CHECKPOINT_H

#include "engine/engine.h"
#include "train/state.h"

/* Saves a checkpoint of s->step; an older folder of the same step is replaced. E_IO: what failed and that earlier ones are
 * intact. */
enum status checkpoint_save(struct ctx *c, const char *run_dir, const struct train_state *s, struct engine *e);

/* Compares the files of one checkpoint folder with its manifest. E_INPUT naming the file and what is wrong with it. */
enum status checkpoint_verify(struct ctx *c, const char *dir);

/* Path of the newest complete checkpoint (owner the caller), the ones that were skipped logged as warnings with their
 * reason. NULL without an error when there is no checkpoint at all; NULL with E_INPUT when none of them is complete. */
char *checkpoint_last(struct ctx *c, const char *run_dir);

/* Path of the checkpoint of one step, complete or not. Owner the caller. */
char *checkpoint_path(struct ctx *c, const char *run_dir, int64_t step);

/* Reads parameters and moments of a verified checkpoint into an engine that must train the same ones (E_INPUT otherwise). */
enum status checkpoint_restore(struct ctx *c, const char *dir, struct engine *e);

/* Makes RUN/best a link to the checkpoint of a step, in place of an older one. Where links cannot be made there is none. */
void checkpoint_link_best(struct ctx *c, const char *run_dir, int64_t step);

/* Copies the adapter of a checkpoint to RUN/adapter, replacing an older one. */
enum status checkpoint_publish(struct ctx *c, const char *dir, const char *run_dir);

/* Deletes old checkpoints: the newest `keep` stay, and whatever one of them names as best. */
enum status checkpoint_prune(struct ctx *c, const char *run_dir, int64_t keep);

/* Removes what a killed save left behind. */
enum status checkpoint_sweep(struct ctx *c, const char *run_dir);

#endif
