/* peft: the card of a trained adapter, for those whom the folder is given to. Its other files are lora_save_peft's. */
#ifndef YA_EXPORT_PEFT_H
#define YA_EXPORT_PEFT_H

#include "model/model.h"

/* Writes README.md into the adapter folder `dir`, which must exist. The card names the base model and the SHA-256 of each of
 * its weight files, so that the adapter is never put on other weights unnoticed. Reads those files whole once. E_IO. */
enum status peft_write_card(const struct model *m, const struct lora *l, const char *dir);

#endif
