/* calibrate: measures the machine for its profile, in some seconds. */
#ifndef YA_MEASURE_CALIBRATE_H
#define YA_MEASURE_CALIBRATE_H

#include "backend/profile.h"
#include "measure/machine_profile.h"

/* Starts threads (0: one for each usable core) and opens a device for calibrate_run, with *p around it where calls can be
 * timed one by one. The caller ends it with array_env_free while *p is still there. */
enum status calibrate_open(struct ctx *c, const char *device, int64_t threads, struct profile *p);

/* Fills the rates of *out: multiply-adds and reading, and training steps of small models with random weights
 * (step_model.h) by each arithmetic that this device has and that training would choose (f32, what is faster than that,
 * bf16 on a card). Needs 90 MB in $TMPDIR or /var/tmp for a moment. E_IO, E_MEMORY, E_FIT. */
enum status calibrate_run(struct ctx *c, struct profile *p, struct machine_profile *out);

#endif
