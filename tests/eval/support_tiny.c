/* support_tiny: the tiny model of the training tests and its helpers. */
#include "train/support_tiny.c"
