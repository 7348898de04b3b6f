/* train_options: the option table of `train`, which is also the form of a run's config.json. */
#ifndef YA_CLI_TRAIN_OPTIONS_H
#define YA_CLI_TRAIN_OPTIONS_H

#include "cli/options.h"
#include "train/trainer.h"

struct train_values {
    struct train_config config;
    struct option_list data; /* becomes config.data */
    int64_t threads;
};

extern const struct option_table train_table;

/* Reads config.json of a run folder. Strings of *values point into *doc, which the caller releases (json_decref) also after
 * a failure. E_INPUT naming file and member. */
enum status train_options_read(struct ctx *c, const char *run, struct train_values *values, json_t **doc);

#endif
