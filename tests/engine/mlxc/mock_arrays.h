/* mock_arrays: what the files of the mock share. */
#ifndef YA_TESTS_MOCK_ARRAYS_H
#define YA_TESTS_MOCK_ARRAYS_H

#include "engine/mlx/mlx_library.h"
#include "your_ai_array.h"

#define EXPORT __attribute__((visibility("default")))

/* Prototypes of the library's functions: a definition that differs from what the engine expects does not compile. */
#define DECLARE(result, name, parameters) EXPORT result mlx_##name parameters;
MLX_CALLS(DECLARE)
#undef DECLARE

extern ya_ctx *mock_context; /* while there are handles */

/* The array behind a handle, or in a vector; borrowed. */
ya_array *mock_of(struct mlx_array a);
ya_array *mock_of_item(struct mlx_vector v, size_t i);
/* Puts an array (owned from here on; NULL: the context holds an error) into *out. The result of a function of mlx-c. */
int mock_give(struct mlx_array *out, ya_array *a);
ya_dtype mock_dtype(enum mlx_dtype dtype);

#endif
