/* mlx_library: the functions of mlx-c, the C binding of Apple's MLX, found at run time. The program links to none of it and
 * the build needs no header of it: the prototypes below are written from mlx-c's documentation, and only versions of MLX are
 * accepted that they were tested with. A library that is missing or of another version is an answer with a message.
 *
 * Conventions of mlx-c. Each kind of handle is a struct of one pointer, passed by value. A function that returns int gives
 * 0, or 1 after it called the error handler with a message. Its first argument is where the result goes, a handle that
 * already exists (mlx_array_new); what that one held before is let go of. Each handle is freed once, by its kind's _free.
 * Work is lazy: it is done when mlx_eval asks for a result.
 *
 * No path and no text that comes from outside is ever handed to mlx-c: it uses the message of an error as a printf format,
 * so a `%` in a file name could end the process. */
#ifndef YA_ENGINE_MLX_LIBRARY_H
#define YA_ENGINE_MLX_LIBRARY_H

#include "base/ctx.h"

/* One struct a kind of handle, so that the compiler tells them apart. */
struct mlx_array {
    void *ctx;
};
struct mlx_vector { /* of arrays */
    void *ctx;
};
struct mlx_closure { /* a function from arrays to arrays */
    void *ctx;
};
struct mlx_gradient { /* a closure that also gives derivatives */
    void *ctx;
};
struct mlx_stream { /* a queue of a device */
    void *ctx;
};
struct mlx_device {
    void *ctx;
};
struct mlx_string {
    void *ctx;
};

/* The values of mlx_dtype that are used here. */
enum mlx_dtype { MLX_BOOL = 0, MLX_U32 = 3, MLX_I32 = 7, MLX_F16 = 9, MLX_F32 = 10, MLX_BF16 = 12 };
enum mlx_device_type { MLX_DEVICE_CPU, MLX_DEVICE_GPU };

/* A number or a dtype that may be left out. */
struct mlx_optional_int {
    int value;
    bool has_value;
};
struct mlx_optional_dtype {
    enum mlx_dtype value;
    bool has_value;
};

/* A function of ours that MLX calls, when a closure is applied and again when it is differentiated. 0 for success. */
typedef int (*mlx_callback)(struct mlx_vector *out, struct mlx_vector in, void *payload);

/* X(result, name without "mlx_", parameters), in mlx-c's order of parameters. */
#define MLX_CALLS(X)                                                                                                        \
    X(void, set_error_handler, (void (*handler)(const char *message, void *data), void *data, void (*free)(void *)))        \
    X(int, version, (struct mlx_string * out))                                                                              \
    X(struct mlx_string, string_new, (void))                                                                                \
    X(const char *, string_data, (struct mlx_string s))                                                                     \
    X(int, string_free, (struct mlx_string s))                                                                              \
    X(struct mlx_device, device_new, (void))                                                                                \
    X(int, device_free, (struct mlx_device d))                                                                              \
    X(int, get_default_device, (struct mlx_device * out))                                                                   \
    X(int, device_get_type, (enum mlx_device_type * out, struct mlx_device d))                                              \
    X(struct mlx_stream, stream_new, (void))                                                                                \
    X(int, stream_free, (struct mlx_stream s))                                                                              \
    X(int, get_default_stream, (struct mlx_stream * out, struct mlx_device d))                                              \
    X(int, get_peak_memory, (size_t * out))                                                                                 \
    X(int, reset_peak_memory, (void))                                                                                       \
    X(int, set_memory_limit, (size_t * before, size_t limit))                                                               \
    X(int, set_cache_limit, (size_t * before, size_t limit))                                                                \
    X(int, set_wired_limit, (size_t * before, size_t limit))                                                                \
    X(struct mlx_array, array_new, (void))                                                                                  \
    X(struct mlx_array, array_new_data, (const void *data, const int *shape, int ndim, enum mlx_dtype dtype))               \
    X(struct mlx_array, array_new_data_managed_payload,                                                                     \
      (void *data, const int *shape, int ndim, enum mlx_dtype dtype, void *payload, void (*free)(void *)))                  \
    X(int, array_free, (struct mlx_array a))                                                                                \
    X(int, array_set, (struct mlx_array * out, struct mlx_array from))                                                      \
    X(size_t, array_size, (struct mlx_array a))                                                                             \
    X(enum mlx_dtype, array_dtype, (struct mlx_array a))                                                                    \
    X(const float *, array_data_float32, (struct mlx_array a))                                                              \
    X(struct mlx_vector, vector_array_new, (void))                                                                          \
    X(struct mlx_vector, vector_array_new_data, (const struct mlx_array *arrays, size_t n))                                 \
    X(int, vector_array_free, (struct mlx_vector v))                                                                        \
    X(int, vector_array_set_data, (struct mlx_vector * out, const struct mlx_array *arrays, size_t n))                      \
    X(size_t, vector_array_size, (struct mlx_vector v))                                                                     \
    X(int, vector_array_get, (struct mlx_array * out, struct mlx_vector v, size_t i))                                       \
    X(int, eval, (struct mlx_vector arrays))                                                                                \
    X(struct mlx_closure, closure_new, (void))                                                                              \
    X(struct mlx_closure, closure_new_func_payload, (mlx_callback f, void *payload, void (*free)(void *)))                  \
    X(int, closure_free, (struct mlx_closure f))                                                                            \
    X(int, closure_apply, (struct mlx_vector * out, struct mlx_closure f, struct mlx_vector in))                            \
    X(int, checkpoint, (struct mlx_closure * out, struct mlx_closure f))                                                    \
    X(struct mlx_gradient, closure_value_and_grad_new, (void))                                                              \
    X(int, closure_value_and_grad_free, (struct mlx_gradient f))                                                            \
    X(int, value_and_grad, (struct mlx_gradient * out, struct mlx_closure f, const int *argnums, size_t n))                 \
    X(int, closure_value_and_grad_apply,                                                                                    \
      (struct mlx_vector * values, struct mlx_vector * gradients, struct mlx_gradient f, struct mlx_vector in))             \
    X(int, add, (struct mlx_array * out, struct mlx_array a, struct mlx_array b, struct mlx_stream s))                      \
    X(int, subtract, (struct mlx_array * out, struct mlx_array a, struct mlx_array b, struct mlx_stream s))                 \
    X(int, multiply, (struct mlx_array * out, struct mlx_array a, struct mlx_array b, struct mlx_stream s))                 \
    X(int, matmul, (struct mlx_array * out, struct mlx_array a, struct mlx_array b, struct mlx_stream s))                   \
    X(int, sigmoid, (struct mlx_array * out, struct mlx_array a, struct mlx_stream s))                                      \
    X(int, astype, (struct mlx_array * out, struct mlx_array a, enum mlx_dtype dtype, struct mlx_stream s))                 \
    X(int, contiguous, (struct mlx_array * out, struct mlx_array a, bool allow_col_major, struct mlx_stream s))             \
    X(int, reshape, (struct mlx_array * out, struct mlx_array a, const int *shape, size_t ndim, struct mlx_stream s))       \
    X(int, transpose_axes, (struct mlx_array * out, struct mlx_array a, const int *axes, size_t n, struct mlx_stream s))    \
    X(int, slice,                                                                                                           \
      (struct mlx_array * out, struct mlx_array a, const int *start, size_t n_start, const int *stop, size_t n_stop,        \
       const int *step, size_t n_step, struct mlx_stream s))                                                                \
    X(int, concatenate_axis, (struct mlx_array * out, struct mlx_vector arrays, int axis, struct mlx_stream s))             \
    X(int, take_axis, (struct mlx_array * out, struct mlx_array a, struct mlx_array ids, int axis, struct mlx_stream s))    \
    X(int, take_along_axis,                                                                                                 \
      (struct mlx_array * out, struct mlx_array a, struct mlx_array ids, int axis, struct mlx_stream s))                    \
    X(int, sum, (struct mlx_array * out, struct mlx_array a, bool keepdims, struct mlx_stream s))                           \
    X(int, logsumexp_axis, (struct mlx_array * out, struct mlx_array a, int axis, bool keepdims, struct mlx_stream s))      \
    X(int, quantized_matmul,                                                                                                \
      (struct mlx_array * out, struct mlx_array x, struct mlx_array words, struct mlx_array scales,                         \
       struct mlx_array biases, bool transpose, struct mlx_optional_int group, struct mlx_optional_int bits,                \
       const char *mode, struct mlx_stream s))                                                                              \
    X(int, dequantize,                                                                                                      \
      (struct mlx_array * out, struct mlx_array words, struct mlx_array scales, struct mlx_array biases,                    \
       struct mlx_optional_int group, struct mlx_optional_int bits, const char *mode, struct mlx_array global_scale,        \
       struct mlx_optional_dtype dtype, struct mlx_stream s))                                                               \
    X(int, fast_rms_norm,                                                                                                   \
      (struct mlx_array * out, struct mlx_array x, struct mlx_array gain, float eps, struct mlx_stream s))                  \
    X(int, fast_scaled_dot_product_attention,                                                                               \
      (struct mlx_array * out, struct mlx_array q, struct mlx_array k, struct mlx_array v, float scale,                     \
       const char *mask_mode, struct mlx_array mask, struct mlx_array sinks, struct mlx_stream s))

enum { MLX_VERSION_BYTES = 32, MLX_PATH_BYTES = 256 };

/* The functions, called as l->add(...) for mlx_add. */
struct mlx_library {
    bool installed;                       /* the error handler */
    void *handle;                         /* dlopen's */
    char path[MLX_PATH_BYTES];            /* as it was opened, cut to fit; "" when no libmlxc was found */
    char version_text[MLX_VERSION_BYTES]; /* of MLX: "0.31.2" */
#define MLX_MEMBER(result, name, parameters) result(*name) parameters;
    MLX_CALLS(MLX_MEMBER)
#undef MLX_MEMBER
};

/* Opens the library that the environment variable YA_LIBMLXC names, else libmlxc under its usual names, looks all functions
 * up, installs an error handler (mlx-c's own ends the process) and compares the version. E_UNSUPPORTED naming what is
 * missing or which version was found, and what to do; *l is zeroed then. */
enum status mlx_library_open(struct ctx *c, struct mlx_library *l);

/* What there is of MLX on this machine, for a report. */
struct mlx_library_found {
    bool usable;                     /* all functions, and a version that was tested */
    char path[MLX_PATH_BYTES];       /* "" when no libmlxc was found */
    char version[MLX_VERSION_BYTES]; /* of MLX; "" when it could not be asked */
    char problem[CTX_MESSAGE_BYTES]; /* why it is not usable, as mlx_library_open says it; else "" */
};
/* Opens and closes the library as mlx_library_open does and says what was found. The ctx's error is left alone. */
void mlx_library_describe(struct ctx *c, struct mlx_library_found *out);

/* Zeroes *l; a zeroed *l is accepted. The last that is closed puts mlx-c's own error handler back. The library stays in the
 * process, because MLX has threads of its own. */
void mlx_library_close(struct mlx_library *l);

/* Records the failure of a call: E_UNSUPPORTED with `what` was asked for and the message that MLX gave last. Returns the
 * status. */
enum status mlx_library_fail(struct ctx *c, const char *what);
/* Drops that message, where a failure does not matter. */
void mlx_library_forget(void);

#endif
