/* ref_f64: the reference kernels for double: what gradient checks run on. See ref_real.h. */
#define REAL            double
#define REAL_DTYPE      DTYPE_F64
#define REAL_WEIGHT_ROW weight_row_f64
#define REAL_KERNELS    ref_kernels_f64
#include "backend/cpu/ref/ref_real.h"
