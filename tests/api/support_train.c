/* The tiny model and folders of the tests of training. */
#include "train/support_tiny.c"
