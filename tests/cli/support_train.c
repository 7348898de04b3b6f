/* support_train: the tiny model of the training tests, for the tests of the program. */
#include "train/support_tiny.c"
