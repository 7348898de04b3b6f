/* cuda_adapters: adapters rounded to bf16 and joined (struct cuda_pack_args), kept from one call to the next. A step reads
 * each group of adapters twice or more, and they change once, when the optimizer has run: then the first product that reads
 * any of them has one launch make all groups again.
 *
 * What is kept is never older than what it was made of. Only adapters in blocks of their own are kept (array_persistent,
 * such as the slab of an adapter's values), whose bounds are known, and everything that can write there passes the table
 * of cuda_backend.c: a row, an upload, a fetch. Each of them says what it wrote, and a row that names such an array as
 * anything but the input of a product counts as writing it, whatever it does. When a block is freed all groups are dropped.
 * A recording that is lost with a packing in it stays an error of the backend (cuda_graph.c), so nothing is computed with
 * what it should have made.
 *
 * The memory is the backend's, in the statistics as `kept_bytes`, and the plan counts it, as a counting backend keeps
 * groups too. Where the card has no memory for it, or needs it for arrays, groups are packed into scratch at every call. */
#ifndef YA_BACKEND_CUDA_ADAPTERS_H
#define YA_BACKEND_CUDA_ADAPTERS_H

#include "array/linear_view.h"
#include "backend/cuda/cuda_kernels.h"

struct cuda_backend;

/* A model of 126 layers, the largest of the family, has 504 groups. What does not fit into these tables is packed at every
 * call. */
enum { ADAPTER_GROUPS = 1024, ADAPTER_BLOCKS = 8, ADAPTER_CHUNKS = 512 };

/* A stretch of memory. */
struct adapter_stretch {
    char *at;
    size_t bytes;
};

struct cuda_adapters {
    struct cuda_pack_args group[ADAPTER_GROUPS];
    struct adapter_stretch block[ADAPTER_BLOCKS]; /* that the groups' adapters lie in: the array layer's */
    struct adapter_stretch chunk[ADAPTER_CHUNKS]; /* that the packed matrices lie in: owned */
    int n_groups, n_blocks, n_chunks;
    size_t used;                  /* of the last chunk */
    struct cuda_pack_args *table; /* on the card, in the first chunk: room for every group */
    int sent;                     /* so many groups are in it */
    int last;                     /* group that was asked for last: the next one is a neighbour of it */
    bool stale;                   /* an adapter may have changed since the groups were packed */
    bool full;                    /* the card has no memory for more */
    const void *busy;             /* the matrix that the running call reads; NULL: none */
};

/* Sets k->a and k->b, of a group that is described by all the rest of *k, to the matrices packed: kept, or in scratch of
 * the running call. The slots of *v hold the arrays whose data the group names. E_FIT, E_MEMORY, or what a launch fails
 * with. */
enum status cuda_adapters_pack(struct cuda_backend *b, const struct linear_view *v, struct cuda_pack_args *k);
/* To be called whenever device memory may have been written. */
void cuda_adapters_written(struct cuda_backend *b, const void *at, size_t bytes);
/* To be called behind each row, with what it was. */
void cuda_adapters_called(struct cuda_backend *b, const struct op_call *call);
/* To be called before a block of device memory is freed. */
void cuda_adapters_freed(struct cuda_backend *b, const void *block, size_t bytes);
/* Gives back all memory but what the running call reads, and keeps no more groups until those who owned the adapters have
 * freed them. False when there was nothing to give. */
bool cuda_adapters_give_back(struct cuda_backend *b);
/* Drops all groups. */
void cuda_adapters_drop(struct cuda_backend *b);

#endif
