/* trial_log: a file of measurements, one JSON object a line, that an interrupted series continues from:
 *
 *   {"key": "smollm2-135m cpu-amx as-is bf16 4x512 r16", "outcome": "ok", "tokens_per_s": 951.2, "planned_bytes": ...}
 *
 * The key says all that a measurement is a function of, so what stands there is not measured again. */
#ifndef YA_MEASURE_TRIAL_LOG_H
#define YA_MEASURE_TRIAL_LOG_H

#include "base/ctx.h"

enum { TRIAL_KEY_BYTES = 256, TRIAL_MESSAGE_BYTES = 256, TRIAL_LOG_MAX = 10000 };

enum trial_outcome {
    TRIAL_OK,
    TRIAL_UNFIT,  /* the planner refused it, or an allocation failed */
    TRIAL_SLOW,   /* it had no result within its time */
    TRIAL_KILLED, /* by the system, which usually means memory, or by a fault */
    TRIAL_FAILED, /* with a message */
    TRIAL_OUTCOMES
};
extern const char *const trial_outcome_name[TRIAL_OUTCOMES]; /* "ok", "does not fit", "too slow", "killed", "failed" */

struct trial_result {
    char key[TRIAL_KEY_BYTES];
    enum trial_outcome outcome;
    double tokens_per_s;               /* of training steps; 0 where there is none */
    int64_t planned_bytes;             /* of memory, by the planner; 0: not known */
    int64_t peak_bytes;                /* that its process held, of a card that the device did; 0: not known */
    char message[TRIAL_MESSAGE_BYTES]; /* why not, else "" */
};

struct trial_log {
    struct ctx *c;
    struct trial_result *list; /* owned */
    size_t n, room;
};

/* Reads a file, which need not exist; an incomplete last line, as a kill leaves it, is left out. E_INPUT naming line and
 * member for anything else that trial_log_append does not write, E_IO, E_MEMORY. Release with trial_log_release, also after
 * a failure. trial_log_parse: the same from n bytes. */
enum status trial_log_read(struct ctx *c, const char *path, struct trial_log *log);
enum status trial_log_parse(struct trial_log *log, const char *path, const char *text, size_t n);
void trial_log_release(struct trial_log *log);

/* The last result of a key, or NULL. */
const struct trial_result *trial_log_find(const struct trial_log *log, const char *key);

/* Writes a line behind those of the file and brings it to the disk. Folders are made. E_IO. */
enum status trial_log_append(struct ctx *c, const char *path, const struct trial_result *r);

#endif
