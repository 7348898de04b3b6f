/* model_folder: why a folder cannot be opened as a Hugging Face model, from the names in it, so that the message says what
 * is there instead and what to do. */
#ifndef YA_IO_MODEL_FOLDER_H
#define YA_IO_MODEL_FOLDER_H

#include "base/ctx.h"

/* E_INPUT with the reason why a folder has no weights that can be opened: links that lead nowhere, weights as pickle or
 * under another name, a package of Core ML, nothing at all. To be called when neither model.safetensors nor its index can be
 * opened. Returns the status of the ctx. */
enum status model_folder_refuse_weights(struct ctx *c, const char *dir);
/* The same for a folder with neither tokenizer.json nor tokenizer.model. */
enum status model_folder_refuse_tokenizer(struct ctx *c, const char *dir);
/* E_INPUT when the file of that name in the folder is a link to something that is not there, as in a cache from which files
 * were removed or a snapshot that was copied without its blobs. OK otherwise. */
enum status model_folder_check_link(struct ctx *c, const char *dir, const char *name);

#endif
