/* node: what the tape remembers of one recorded op, and the rules that turn gradients of its outputs into gradients of its
 * inputs. Private to src/array.
 *
 * A node is counted: the tape holds it until backward leaves it, arrays that it made hold it as long as they live. Once
 * left or dropped it is no longer `live` and arrays that still point to it are constants. */
#ifndef YA_ARRAY_NODE_H
#define YA_ARRAY_NODE_H

#include "array/tape.h"
#include "base/mem.h"

/* Kinds of nodes beyond the rows of ops.def: a watched array, and a checkpointed function. */
enum { NODE_LEAF = OP_COUNT, NODE_CHECKPOINT };

/* Where the gradient of one input goes. Nodes that edges point to are older on the tape, or leaves, so they outlive it. */
struct edge {
    struct node *node; /* NULL: no gradient is wanted */
    int out;
    enum dtype dtype; /* of the input, which the gradient must match */
    int ndim;
    int64_t shape[ARRAY_MAX_DIMS];
};

struct node {
    int refs;
    bool live;
    int kind; /* enum op or NODE_* */
    int n_in, n_out;
    struct edge in[OP_MAX_IN];
    struct array *saved_in[OP_MAX_IN], *saved_out[OP_MAX_OUT]; /* retained; NULL what the row does not save */
    bool again;        /* output 0 can be made again from what this node saves: nobody has to keep it */
    uint32_t again_in; /* bit i: input i is saved as the node that made it; saved_in[i] is there while the rule runs */
    struct array *grad[OP_MAX_OUT]; /* of each output, what has been added up so far; retained */
    _Alignas(16) char params[OP_MAX_PARAMS_BYTES];

    bool grad_is_callers; /* NODE_LEAF: grad[0] was given to tape_watch */

    tape_fn fn;  /* NODE_CHECKPOINT: y = fn(arg, saved_in[0]) */
    void *arg;   /* owned copy */
    void *aside; /* its input, put aside in the host's memory, instead of saved_in[0]; in[0] says its shape and its node */
    size_t aside_bytes;

    /* LINEAR with several weights: grad[i] belongs to view i of the output. dy_all (N, sum M) is where rules that know of
     * it write those gradients at once (vjp_destination), rounded by SWIGLU_BWD where the products take it so; bit i of
     * `claimed` says that a rule has been given view i's part to write to, so that no second one gets it. */
    struct array *dy_all;
    unsigned claimed;

    struct ctx *c;
};

/* A growable list of pointers. */
struct pointers {
    void **at;
    size_t n, capacity;
};
/* Appends; the list doubles when it is full. E_MEMORY, and then the list is as it was. */
enum status pointers_push(struct ctx *c, struct pointers *p, void *value);

/* One reference more, and one less; the struct is freed with the last. node_release accepts NULL. */
struct node *node_retain(struct node *n);
void node_release(struct node *n);

/* Makes `out` output i of the node. */
void node_carry(struct array *out, struct node *n, int i);

struct tape {
    bool on;
    bool keeps_all; /* nothing is made again: see tape_keep_all */
    int paused;
    struct pointers nodes;  /* a stack that backward pops */
    struct pointers leaves; /* watched arrays, retained; their nodes are not on the stack and live until tape_end */
    /* While a checkpointed function runs forward, nothing is recorded; `touched` says whether one of its ops had an operand
     * that wants a gradient. checkpoint_paused is the value of `paused` directly inside it, 0 outside of any. */
    int checkpoint_paused;
    bool replaying; /* a checkpointed function runs again in backward, and the values of its result will not be read */
    bool touched;
};

/* True when a gradient with respect to `a` is wanted: recording is on and `a` comes from a live node. */
bool tape_wants(const struct ctx *c, const struct array *a);
/* Records the call when one of its differentiable inputs wants a gradient. The first n_carry outputs become outputs of the
 * node; bits of `saves` as in ops.def, at most what the row says. Returns the node or NULL. */
struct node *tape_record(struct ctx *c, const struct op_call *call, int n_carry, uint32_t saves);

/* ---- for the rules of vjp.c ----------------------------------------------------------------------------------------- */

/* A rule reads the gradients of the node's outputs (n->grad) and what the row saved, and gives one for every input that
 * needs one (vjp_give). Failures stay in the ctx. vjp_find: the rule of a row; NULL: the row has no derivative. */
typedef void (*vjp_rule)(struct ctx *c, struct node *n);
vjp_rule vjp_find(enum op op);
/* The rules of the fused rows, in vjp_fused.c. */
void vjp_rms_norm(struct ctx *c, struct node *n);
void vjp_linear(struct ctx *c, struct node *n);
void vjp_rope(struct ctx *c, struct node *n);
void vjp_attention(struct ctx *c, struct node *n);
void vjp_swiglu(struct ctx *c, struct node *n);
void vjp_linear_cross_entropy(struct ctx *c, struct node *n);

/* Output 0 of a node with `again` once more, the same bits by the same kernel: an array of the scope, or NULL. */
struct array *vjp_again(struct ctx *c, const struct node *n);

/* Whether anybody wants the gradient with respect to input i. */
static inline bool vjp_needs(const struct node *n, int i)
{
    return n->in[i].node != NULL;
}
/* Adds `g`, an array of the scope, to the gradient of input i; does nothing when it is NULL (an error is recorded) or not
 * needed. */
void vjp_give(struct ctx *c, struct node *n, int i, struct array *g);
/* An array with the shape of input i for a kernel to write its gradient to, to be given by vjp_give afterwards. Where the
 * input is a view of a LINEAR row's output it is the matching part of that row's dy, which saves a copy. */
struct array *vjp_destination(struct ctx *c, struct node *n, int i);
/* The gradient buffer of input i when a kernel may add into it as it stands (contiguous and used by nobody else), or NULL.
 */
struct array *vjp_buffer(const struct node *n, int i);

#endif
