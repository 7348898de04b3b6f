/* ref_f32: the reference kernels for float. See ref_real.h. */
#define REAL            float
#define REAL_DTYPE      DTYPE_F32
#define REAL_WEIGHT_ROW weight_row_f32
#define REAL_KERNELS    ref_kernels_f32
#include "backend/cpu/ref/ref_real.h"
