/* weight_source: rows of a frozen matrix as its file holds them, widened to f32 whatever type they are stored in. */
#include "array/weight_source.h"

#include "array/codec/quant.h"

void weight_source_row_f32(const struct weight_source *s, int64_t i, float *out)
{
    quant_to_f32(s->type, weight_source_row(s, i), out, s->cols);
}
