/* calibrate: measures the machine for its profile, in some seconds. */
#ifndef YA_MEASURE_CALIBRATE_H
#define YA_MEASURE_CALIBRATE_H

#include "measure/machine_profile.h"

/* Fills the rates of *out: multiply-adds and reading, and training steps of a small model with random weights by each
 * arithmetic that this device has and that training would choose (f32, what is faster than that, bf16 on a card). The ctx
 * computes already. Needs 110 MB in $TMPDIR or /var/tmp for a moment. E_IO, E_MEMORY, E_FIT. */
enum status calibrate_run(struct ctx *c, struct machine_profile *out);

#endif
