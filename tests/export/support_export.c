/* The export tests use the tiny models and the fixture of the model tests as they are. */
#include "model/support_model.c"
#include "model/support_adapter.c"
