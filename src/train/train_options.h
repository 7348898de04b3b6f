/* train_options: the option table of `train`, which is also the form of a run's config.json. It lies here and not with the
 * program, so that a library can start and resume runs by the same names, defaults and checks. */
#ifndef YA_TRAIN_TRAIN_OPTIONS_H
#define YA_TRAIN_TRAIN_OPTIONS_H

#include "base/options.h"
#include "io/json.h"
#include "train/trainer.h"

struct train_values {
    struct train_config config;
    struct option_list data; /* becomes config.data */
    const char *device;      /* for backend_open */
    int64_t threads;
    bool plot;         /* for the program: the trainer draws nothing */
    int64_t samples;   /* likewise: prompts that are answered before and after the training */
    const char *serve; /* likewise: where the report is shown meanwhile; NULL: nowhere. Not in config.json */
};

extern const struct option_table train_table;

/* Makes the paths of the input files absolute, so that the run can be resumed from any folder. *doc (owner the caller,
 * json_decref, also after a failure) holds all strings of *values afterwards, except config.run, which stays as it was
 * given. Before train_options_settle. E_INPUT for a path that is not UTF-8. */
enum status train_options_absolute(struct ctx *c, struct train_values *values, json_t **doc);

/* Fills in what follows from the values: config.rows.paths from `data` (so *values must stay where it is) and a --compute
 * auto from the device. Before trainer_new and train_options_text. E_UNSUPPORTED when YA_CPU names no kernels here. */
enum status train_options_settle(struct ctx *c, struct train_values *values);

/* An adapter that training starts from has its rank, scale and layers: options that say them too are refused by name
 * (E_INPUT). given: one flag for each row of train_table, true where the user gave the option himself. */
enum status train_options_check_start(struct ctx *c, const struct train_values *values, const bool *given);

/* The text of config.json for these values: every option with its value, but for those that come with an adapter that
 * training starts from. Owner the caller (mem_free). NULL with E_INPUT for text that is not UTF-8, or E_MEMORY. */
char *train_options_text(struct ctx *c, const struct train_values *values);

/* Reads config.json of a run folder; the values are settled. Options that did not exist when the run was made have the value
 * that does what was done then. Strings of *values point into *doc, which the caller releases
 * (json_decref) also after a failure. E_INPUT naming file and member; for a folder that is no run, what it seems to be,
 * and never the advice to remove it. */
enum status train_options_read(struct ctx *c, const char *run, struct train_values *values, json_t **doc);

#endif
