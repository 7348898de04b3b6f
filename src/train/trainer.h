/* trainer: one training from its options to its adapter. trainer_new and trainer_resume open everything and plan;
 * trainer_run does the steps. Between the two a program can show what will happen (all of it is in the struct).
 *
 * The loss of an optimizer step is L = (1/N) sum omega_i v_i nll, N the trained tokens of the whole step, known from the
 * pack before its first micro-batch. Everything that decides a step is a pure function of (config, data, step), so a
 * checkpoint holds counters and no generator, and a resumed run equals the unbroken one bit for bit.
 *
 * Nothing here prints: events go through the hooks. */
#ifndef YA_TRAIN_TRAINER_H
#define YA_TRAIN_TRAINER_H

#include "base/resource.h"
#include "data/pack.h"
#include "io/tokenizer/tokenizer.h"
#include "model/model.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/optim.h"
#include "train/planner.h"
#include "train/run.h"
#include "train/schedule.h"

enum { TRAIN_WARMUP_PERCENT = 5 };

/* Every option of a training. The parts are the option structs of the modules that they configure, so a value is written
 * once, by the option table (train_options.h) or by a caller, and read where it is used. trainer_new and trainer_resume
 * fill in what follows from other members, each marked "set by the trainer". Strings are borrowed. */
struct train_config {
    const char *model, *run; /* model folder or .gguf; run folder */
    const char *valid;       /* file of validation rows or NULL */
    const char *start;       /* PEFT folder that training starts from, or NULL: a fresh adapter */
    bool force_start;        /* also when the adapter was made for another model */
    const char *targets;     /* "all", or names of target modules separated by commas; not used with `start` */

    enum engine_kind engine;
    struct model_options form;
    /* With `start` only dropout counts: the rest comes with it. targets, seed: set by the trainer. */
    struct lora_config adapter;
    struct objective_options objective;
    struct dataset_options rows; /* n_paths files of training rows; negative default scores mean none */
    double valid_share;          /* of the training rows, kept for validation instead of `valid`; 0: none */
    struct pack_options packs;   /* max_length, seed: set by the trainer */
    struct optim optim;
    struct schedule schedule; /* a negative warmup: TRAIN_WARMUP_PERCENT of the run. total: set by the trainer */
    enum clip_mode clip_mode;
    double clip;                                   /* c of CLIP_RELATIVE, the largest norm of CLIP_FIXED */
    int64_t epochs, max_steps;                     /* max_steps 0: as many as the epochs hold; otherwise it decides alone */
    bool choose_epochs, choose_packing, choose_lr; /* the trainer may set these where the rows are few (train_choice.h) */

    int64_t eval_every, save_every, keep; /* steps; checkpoints kept beside the best */
    int64_t patience; /* the run ends after so many validations in a row without a better one; 0: never */
    enum plan_checkpoint grad_checkpoint;
    int64_t recomputed_blocks; /* this many, whatever grad_checkpoint says; negative: that decides */
    double max_memory;         /* GiB that the run may take; 0: what is free */
    struct run_moved moved; /* of a run that is resumed: where data files may be now that are not at their place (run.h) */
    int64_t seed;           /* of the adapter's start, the order of documents and dropout */

    const char *program, *command; /* version and command line of the host, for environment.json; NULL: not told */
};

struct train_progress {
    struct metrics_step step;
    struct metrics_timing timing;
    int64_t total_steps;
    double step_seconds; /* running mean */
    double eta_seconds;
    bool evaluated;           /* a validation loss is known; its values: */
    struct metrics_eval eval; /* of step 0: before training */
    int64_t best_step;        /* 0: none yet */
};

struct trainer;

/* What trainer_run is busy with: optimizer steps, a validation, a checkpoint, or the adapter of the whole run. */
enum trainer_phase { TRAINER_STEPS, TRAINER_VALIDATION, TRAINER_SAVE, TRAINER_PUBLISH, TRAINER_PHASES };

/* Any member may be NULL. */
struct trainer_hooks {
    void *user;
    /* The engine to train with, on config->model; it belongs to the trainer then. NULL: config->engine. */
    struct engine *(*open_engine)(void *user, struct ctx *c, const struct train_config *config);
    /* When model and adapter of a new run are open, before its rows are read; a failure ends the setup. */
    enum status (*opened)(void *user, const struct trainer *t);
    /* When the memory of a new run is planned, before the plan is checked; a failure ends the setup. */
    enum status (*planned)(void *user, const struct trainer *t);
    void (*phase)(void *user, enum trainer_phase phase);      /* when it changes */
    void (*step)(void *user, const struct train_progress *p); /* after every optimizer step */
    void (*eval)(void *user, const struct train_progress *p); /* after every validation */
    void (*saved)(void *user, int64_t step);                  /* when a checkpoint of the step is complete on disk */
    bool (*interrupted)(void *user);                          /* asked between micro-batches; true: save and stop */
    bool (*save_asked)(void *user);                           /* asked after every optimizer step; true: save, continue */
};

/* A step whose update is queued: what is known of it before its result is read. */
struct train_pending {
    bool queued;
    struct metrics_step metrics;
    int64_t epoch_step; /* which step of its epoch, from 0 */
    double seconds;     /* from its first micro-batch to its queued update */
};

/* What the defaults would have been where the trainer chose the length of the run (train_choice.h). */
struct train_choice {
    bool made;             /* epochs, packing and learning rate of the config are chosen; otherwise nothing was changed */
    bool packing;          /* of the defaults */
    int64_t epochs, steps; /* of the defaults: `steps` in all of the epochs */
};

enum { TRAINER_EXTREMES = 2 };

/* Read-only for callers. */
struct trainer {
    struct resource resource; /* on the ctx's list: the lock is given back also after a panic */
    struct ctx *c;
    struct train_config config;
    struct train_choice choice;
    struct trainer_hooks hooks;
    struct tokenizer *tokenizer;
    struct model *model;          /* NULL, as is lora, with an engine of the hook's */
    struct dataset *data, *valid; /* valid: NULL without */
    struct dataset_notes notes;   /* of the training rows; of a resumed run all 0 */
    struct objective objective;
    struct lora *lora;
    struct engine *engine;
    struct pack *pack, *valid_pack;              /* of the running epoch; of validation */
    struct source_loss *sources, *valid_sources; /* what the metrics of a step and of a validation tell apart */
    float *logprobs;                             /* (logprobs_capacity) of a step's tokens, for `sources` */
    int64_t logprobs_capacity;
    struct metrics *metrics;
    struct schedule schedule;
    int64_t extreme_epochs[TRAINER_EXTREMES]; /* with the longest and the widest micro-batch (pack.h) */
    struct plan_input plan_input;
    struct plan plan;
    struct train_state state;
    struct train_progress progress;
    struct train_pending pending;
    int64_t saved_step; /* step of the newest checkpoint of this process; -1: none */
    int lock;           /* the run folder is this process's (dir_lock); -1: not */
};

/* Starts a run in an empty or new folder (run_create): tokenises the data, opens the model, makes the adapter, plans memory
 * and writes the run's description with `config_text` as config.json (with epochs, packing and lr set where config lets the
 * trainer choose them and it did). config and hooks are copied, their strings borrowed until trainer_free. A failure leaves
 * no folder behind. Owner of the result: the caller (trainer_free). NULL with E_INPUT, E_UNSUPPORTED, E_FIT, E_IO, E_MEMORY.
 */
struct trainer *trainer_new(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks,
                            const char *config_text);

/* Continues a run from its newest complete checkpoint, or from its beginning when none was saved yet. Checkpoints that
 * are skipped are logged with their reason. Data and base model must be the files that the run began with (E_INPUT).
 * config->max_steps may differ from config.json's. NULL with the errors of trainer_new. */
struct trainer *trainer_resume(struct ctx *c, const struct train_config *config, const struct trainer_hooks *hooks);

/* Closes files, gives back the lock of the run's folder and frees everything. Accepts NULL. */
void trainer_free(struct trainer *t);

/* Lays the base model's weights out for products where the plan says so (engine_ops.lay_out). trainer_run does it; for who
 * runs steps of the trainer's engine without it. Where the memory is refused it says so, and steps go without. */
enum status trainer_lay_out(const struct trainer *t);

/* Trains to the last step, saves, and publishes the best adapter (the last one without validation) as RUN/adapter. The plan
 * is checked first (E_FIT). E_INTERRUPTED: the hook asked to stop and the state is saved. E_NUMERIC: a loss or norm was no
 * number; step and rows are named, nothing of that step was saved. */
enum status trainer_run(struct trainer *t);

/* Whether --patience ends the run at the step it has reached: from its state alone, so a resumed run knows it too. */
bool trainer_is_out_of_patience(const struct trainer *t);

/* Optimizer steps of the whole run. */
int64_t trainer_total_steps(const struct trainer *t);

#endif
