/* mil: a Core ML "ML program" in memory: one function of ops in the order in which they run, in static single assignment
 * form. MIL (Model Intermediate Language) is what coremltools and Core ML call these programs; the numbers of data types
 * and of fields are those of the public MIL.proto of coremltools.
 *
 * A writer (mil_write), a reader (mil_read) and an interpreter (mil_run) share this form: what was written is read back into
 * the same structures and computed from them. */
#ifndef YA_EXPORT_MIL_H
#define YA_EXPORT_MIL_H

#include "base/buf.h"

enum mil_dtype {
    MIL_BOOL = 1,
    MIL_STRING = 2,
    MIL_F16 = 10,
    MIL_F32 = 11,
    MIL_I8 = 21,
    MIL_I32 = 23,
    MIL_U8 = 31,
    MIL_U4 = 35 /* two elements a byte, the first in the low half */
};

/* MIL_UNKNOWN: a dimension that is known only when the function is called (the number of tokens of a call). */
enum { MIL_RANK_MAX = 6, MIL_UNKNOWN = -1 };

struct mil_type {
    enum mil_dtype dtype;
    int rank; /* 0: a scalar */
    int64_t dim[MIL_RANK_MAX];
    bool is_state; /* memory that lives from call to call, and not a tensor */
};

/* A constant. Elements are as in memory: u8 for bool, i32, f32, f16 and i8 as they are, u4 packed; of a string its bytes. */
struct mil_value {
    struct mil_type type;
    const char *text; /* of MIL_STRING: NUL-terminated */
    const void *data; /* of all others, unless it lies in the weights file */
    size_t bytes;
    bool in_file; /* then `offset` is that of its header in the weights file (coreml_blob.h) */
    uint64_t offset;
};

struct mil_var {
    const char *name;
    struct mil_type type;
    const struct mil_value *value; /* of a constant, else NULL */
};

/* One argument of an op: a variable, or a constant that is written in place. An input of several variables (the values of
 * concat) is several arguments of one key, one after the other. */
struct mil_arg {
    const char *key;
    int var;                       /* -1: `value` */
    const struct mil_value *value; /* else NULL */
};

enum { MIL_ARGS_MAX = 512, MIL_CONCAT_MAX = MIL_ARGS_MAX - 2 }; /* concat has two more than its values */
struct mil_op {
    const char *kind; /* "linear" */
    int out;          /* variable; -1: none (write_state) */
    struct mil_arg *args;
    int n_args;
};

struct mil_chunk;
struct map;

/* A program owns all that its ops point to. Inputs come first in `vars`, in order; states are the inputs of state type. */
struct mil_program {
    struct ctx *c;
    struct mil_var *vars; /* owned */
    struct mil_op *ops;   /* owned */
    size_t n_vars, n_ops, most_vars, most_ops;
    size_t n_inputs;
    int outputs[64]; /* variables */
    size_t n_outputs;
    struct map *names;        /* owned: name of a variable to its number */
    struct mil_chunk *chunks; /* owned: memory of names, arguments and constants */
};
enum { MIL_OUTPUTS_MAX = sizeof((struct mil_program *)0)->outputs / sizeof(int) };

/* An empty program; owner the caller, NULL with E_MEMORY. mil_free accepts NULL. */
struct mil_program *mil_new(struct ctx *c);
void mil_free(struct mil_program *p);

/* n zeroed bytes, or copies, that live as long as the program. NULL with E_MEMORY. */
void *mil_alloc(struct mil_program *p, size_t n);
const char *mil_copy(struct mil_program *p, const void *text, size_t n);

/* Adds a variable; its number, or -1 when memory is out or the name is taken (E_INPUT). The name is not copied. */
int mil_add_var(struct mil_program *p, const char *name, const struct mil_type *type);
/* Adds an op without arguments that gives `out` (-1: nothing); space for n arguments, which the caller fills. NULL with
 * E_MEMORY. Valid until the next op is added. */
struct mil_op *mil_add_op(struct mil_program *p, const char *kind, int out, int n_args);
/* The variable of a name, or -1. */
int mil_find(const struct mil_program *p, const char *name, size_t n);

/* The argument of a key, or NULL. */
const struct mil_arg *mil_arg_of(const struct mil_op *op, const char *key);

/* Bytes of `elements` elements; 0 for types that have no fixed size. */
size_t mil_bytes(enum mil_dtype dtype, int64_t elements);
/* Number of elements of a type without unknown dimensions; -1 when one is unknown or the product is beyond 2^40. That bound
 * holds for the dimensions beside one of 0, too, so steps from an element to the next never overflow. */
int64_t mil_elements(const struct mil_type *type);
/* "f16 (1, 64, 576)" into `out`, for messages. Returns `out`. */
enum { MIL_TYPE_TEXT = 96 };
const char *mil_type_text(const struct mil_type *type, char out[MIL_TYPE_TEXT]);

/* Appends the program as the message Program of MIL.proto. */
void mil_write(const struct mil_program *p, struct buf *out);
/* Reads such a message; views on the bytes are kept in it, so they must outlive the program. `name` is for messages. NULL
 * with E_INPUT for bytes that are no such program, E_UNSUPPORTED for what this program never writes (several functions, ops
 * with blocks, other types of values), E_MEMORY. */
struct mil_program *mil_read(struct ctx *c, const char *name, const uint8_t *bytes, size_t n);

#endif
