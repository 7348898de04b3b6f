/* weight: rows of a frozen matrix as numbers, through the row map and the block format. */
#include "array/weight.h"

#include "array/quant.h"

void weight_row_f32(const struct weight *w, int64_t row, float *out)
{
    quant_to_f32(w->type, weight_row(w, row), out, w->cols);
}

void weight_row_f64(const struct weight *w, int64_t row, double *out)
{
    quant_to_f64(w->type, weight_row(w, row), out, w->cols);
}
