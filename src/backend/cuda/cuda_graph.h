/* cuda_graph: work goes to the card in graphs of many calls, since queueing a kernel by itself takes the host longer than a
 * small kernel takes the card.
 *
 * Calls are recorded as they are made (the driver's stream capture). When a graph is full, or somebody needs what was queued
 * (a wait, a download, an event, memory that is freed), it is sent. The card keeps the executable graphs: one that was made
 * of the same kernels at the same place of an earlier step takes over the new arguments, which costs a fraction of making
 * it; one of other kernels is made anew. So nothing depends on addresses, shapes or positions being the same as before, the
 * order of work is that of the calls, and results are the same bits as without graphs.
 *
 * While a process has several backends open nothing is recorded: memory that one of them frees or takes makes the card wait
 * for all, and the driver then gives up what another is recording. */
#ifndef YA_BACKEND_CUDA_GRAPH_H
#define YA_BACKEND_CUDA_GRAPH_H

#include "backend/cuda/cuda_device.h"

/* What a recorded call is, beside the kernels of cuda_kernel_list.h, whose enumerators are tags as well. A product's tag is
 * a number that stands for its algorithm, above all of these. Some of cuBLASLt's kernels are launched with programmatic
 * dependence (programmatic stream serialization, griddepcontrol): they begin before the kernel in front of them has ended,
 * and wait for it inside. An update of an executable graph takes over arguments and kernels, but not the kind of a
 * dependence, so another algorithm's kernel, which does not wait, would run too early: only the same kernels may take each
 * other's place. */
enum { CUDA_TAG_COPY = CUDA_KERNEL_COUNT, CUDA_TAG_OFFLOAD, CUDA_TAG_ZERO };

/* To be called before a card is opened, and after it was closed, with graphs or without. Nothing is recorded while more than
 * one is open: enter sends what another backend records. */
void cuda_graphs_enter(void);
void cuda_graphs_leave(void);
/* Has calls recorded from now on. E_MEMORY. cuda_close ends it. */
enum status cuda_graphs_open(struct cuda *d);
/* Drops what is recorded and frees the graphs; nothing where none are made. Queued work must be done. */
void cuda_graphs_close(struct cuda *d);

/* Around each call that queues work on the stream, with what it is; end after begin, also where begin failed. With `known`
 * false the call is not recorded but queued by itself, behind what was recorded: the first time that the driver meets a
 * kernel it may have to load it, which it does not do while it records. Copies and zeros do not begin a graph, so that a
 * backend that only loads does not stay in a recording. */
enum status cuda_queue_begin(struct cuda *d, uint64_t tag, bool known);
void cuda_queue_end(struct cuda *d);
/* Sends what is recorded. To be called before anything that relies on queued work, or queues work that is not to be
 * recorded. */
enum status cuda_graph_send(struct cuda *d);
/* Frees all executable graphs, behind queued work, where the card's memory is needed for something else. */
void cuda_graphs_trim(struct cuda *d);
/* cuda_graph_send, before a wait for everything: the next call is the first of a step. */
enum status cuda_graph_send_last(struct cuda *d);

#endif
