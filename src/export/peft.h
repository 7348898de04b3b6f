/* peft: a trained adapter as a folder to give to others: PEFT's files and a card that says what it was trained on. */
#ifndef YA_EXPORT_PEFT_H
#define YA_EXPORT_PEFT_H

#include "model/model.h"

/* Writes adapter_config.json, adapter_model.safetensors (lora_save_peft) and README.md into `dir` (made when missing). The
 * card names the base model and the SHA-256 of each of its weight files, so that the adapter is never put on other weights
 * unnoticed. Reads those files whole once. E_IO. */
enum status peft_export(const struct model *m, const struct lora *l, const char *dir);

#endif
