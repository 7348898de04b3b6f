/* card: the pieces of a model card (README.md) that adapters of a run and exports have in common. Texts that come from
 * outside (names of models and files, types of sources, settings of a run) go through card_append_plain or
 * card_append_code, so that none can end the head, a row of a table or a block of code. */
#ifndef YA_EXPORT_CARD_H
#define YA_EXPORT_CARD_H

#include "base/buf.h"
#include "model/lora.h"
#include "model/model.h"

enum { CARD_MAX_BYTES = 1 << 20 };

/* Appends at most n bytes of a text as they may stand in a paragraph, a row of a table or between back quotes: Markdown's
 * own characters, control characters and what is not UTF-8 become '_'. */
void card_append_plain(struct buf *b, const char *text, size_t n);
/* The same for a line of a block of code, where only what ends a line, control characters and what is not UTF-8 go. */
void card_append_code(struct buf *b, const char *text, size_t n);

/* What a card calls a model: a hub id as it is, of a path the last part, since where it lay on this machine is nobody's
 * business. A pointer into `name`. */
const char *card_model_name(const char *name);

/* The YAML head that hubs read: base_model, library_name, tags. base_model stands there only when `base` is a hub id:
 * hubs refuse a card that has a path there. `lora`: the tag of adapters. */
void card_append_head(struct buf *b, const char *base, const char *library, bool lora);

/* "rank 8, alpha 16, dropout 0; 210 modules, 2445312 parameters" */
void card_append_adapter(struct buf *b, const struct lora *l);

/* A table of name, size and SHA-256 of every weight file of the model, and below it the fingerprint of its norm gains
 * (PEFT_NORMS_START), which peft_check_base reads. Reads those files whole once (hash_cache.h). E_IO. */
enum status card_append_weights(struct buf *b, struct model *m);

/* Writes README.md into `dir`. E_IO, or the failure of the buffer. */
enum status card_write(struct ctx *c, const char *dir, const struct buf *b);

#endif
