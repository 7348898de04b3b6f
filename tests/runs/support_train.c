/* support_train: the tiny model of the training tests, for the tests of what runs leave. */
#include "train/support_tiny.c"
