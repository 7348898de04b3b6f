/* state: everything of a running training that is not the adapter and its moments: state.json of a checkpoint. Packs,
 * dropout masks and the schedule are pure functions of the seed and of these counters, so there is no RNG state. */
#ifndef YA_TRAIN_STATE_H
#define YA_TRAIN_STATE_H

#include "array/weight.h"
#include "train/clip.h"

struct train_state {
    int64_t step;           /* optimizer steps done */
    int64_t epoch;          /* the epoch that the next step belongs to, from 0 */
    int64_t epoch_step;     /* steps of that epoch already done */
    int64_t trained_tokens; /* trained on so far */
    uint64_t metrics_bytes; /* length of metrics.jsonl at this step */
    int64_t best_step;      /* 0: no validation yet */
    double best_loss;       /* weighted validation loss at best_step */
    int64_t seed;
    double q, mean_g;          /* of the objective, as fitted on the training set */
    int64_t recomputed_blocks; /* as decided by the plan of the first start; -1 (all kept) is decided anew on a resume */
    enum compute compute;      /* of products with the base: another one would be another run */
    char config_sha256[65];    /* of config.json: a run continues with the settings that it began with */
    char data_sha256[65];      /* of data_manifest.json: and with the same files */
    struct clip clip;
};

enum { STATE_CAP_BYTES = 1 << 16 };

/* Writes state.json into a folder, atomically. */
enum status state_save(struct ctx *c, const struct train_state *s, const char *dir);
/* Reads it back; every member is checked for type and range (E_INPUT naming file and member). */
enum status state_load(struct ctx *c, const char *dir, struct train_state *s);

#endif
