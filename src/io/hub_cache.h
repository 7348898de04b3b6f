/* hub_cache: models by name, in the cache that the Hugging Face libraries keep on this machine. Nothing is ever fetched. */
#ifndef YA_IO_HUB_CACHE_H
#define YA_IO_HUB_CACHE_H

#include "base/ctx.h"

/* Length of a user or repository name at the start of n bytes: letters, digits, "-", "_", ".", as the hub allows them; 0
 * when there is none. */
size_t hub_cache_name_part(const char *s, size_t n);
/* Whether n bytes are "owner/name" in these characters. Some relative paths look the same. */
bool hub_cache_is_id(const char *s, size_t n);

/* The path of a model: `model` itself when it is a file or not a name; for a folder without safetensors its only
 * .gguf file (the first part of a split one) where it has one, else the folder; else, for "owner/name" or
 * "owner/name@REVISION" (a branch, a tag or a commit; "main" without), the folder of that snapshot, or its only .gguf file
 * when it holds no config.json. Owner of the result: the caller (mem_free). E_INPUT when the cache does not have it, saying
 * which command would fetch it.
 *
 * The cache is $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub or
 * ~/.cache/huggingface/hub, the first that is set; in it models--OWNER--NAME/refs/REVISION holds a commit, and
 * snapshots/COMMIT the files (huggingface_hub, "Understand caching"). */
char *hub_cache_resolve(struct ctx *c, const char *model);

/* "owner/name" of a path that lies in such a cache's snapshots, or NULL. Owner: the caller. */
char *hub_cache_id_of(struct ctx *c, const char *path);

#endif
