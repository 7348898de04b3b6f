/* support_bigram: the second engine, for the tests of what runs on engines. */
#include "engine/support_bigram.c"
