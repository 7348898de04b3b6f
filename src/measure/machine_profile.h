/* machine_profile: what `setup` found and measured, as a file in the user's configuration folder that other commands read:
 *
 *   {"version": 2, "program": "0.1.0", "device": "cpu-avx2", "cpu": "...", "threads": 2, "fma_one": 1.0e11, ...,
 *    "step_f32": 1.0e11, "parts_f32": [[[0.001, ...], ...], ...], ...}
 *
 * A profile of another machine (another processor, number of threads or kernels) is not used. */
#ifndef YA_MEASURE_MACHINE_PROFILE_H
#define YA_MEASURE_MACHINE_PROFILE_H

#include "base/host.h"
#include "io/json.h"
#include "measure/step_model.h"
#include "model/model.h"

struct machine_profile {
    char program[32], device[64], cpu[HOST_NAME_BYTES], date[32]; /* device as struct backend has it; date: of the day */
    int64_t threads;
    double fma_one, fma; /* f32 operations a second of multiply-adds in registers, on one thread and on all; 0: not known */
    double read;         /* bytes a second read from memory by all threads */
    double step[COMPUTES];      /* operations a second (step_cost.h) of training steps by each arithmetic; 0: not measured */
    step_times parts[COMPUTES]; /* seconds of their parts (step_model.h); all 0: not measured, as on a card */
};

/* Path of the profile: owner the caller. NULL with E_INPUT where the user has no folder for it. */
char *machine_profile_path(struct ctx *c);

/* The profile as JSON: owner the caller (json_decref). NULL with E_MEMORY. */
json_t *machine_profile_json(struct ctx *c, const struct machine_profile *p);
/* Writes it; folders are made. E_IO. */
enum status machine_profile_write(struct ctx *c, const struct machine_profile *p, const char *path);

/* Whether machine_profile_write can make the file, before there is anything to write: makes its folder, and a file beside it
 * for a moment. A disk that is full is not seen. E_INPUT, E_IO. */
enum status machine_profile_try(struct ctx *c, const char *path);

/* Reads one from n bytes, or from a file; every member must be there, of its type and in its range. E_INPUT naming file and
 * member, E_IO. */
enum status machine_profile_parse(struct ctx *c, const char *what, const char *text, size_t n, struct machine_profile *out);
enum status machine_profile_read(struct ctx *c, const char *path, struct machine_profile *out);

/* The user's profile, when there is one of this device with as many threads. Otherwise false, and one that cannot be used is
 * logged as a warning with the reason. */
bool machine_profile_find(struct ctx *c, const char *device, int64_t threads, struct machine_profile *out);

/* Whether the profile is of this device and processor with as many threads. */
bool machine_profile_is_of(const struct machine_profile *p, const char *device, int64_t threads);

/* Seconds of a training step by one arithmetic, as predicted from the profile; 0: not known. On a card, whose calls cannot
 * be timed one by one, from the operations alone. */
double machine_profile_predict(const struct machine_profile *p, enum compute compute, const struct step_shape *s);

#endif
