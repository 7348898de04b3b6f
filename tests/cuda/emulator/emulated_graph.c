/* emulated_graph: stream capture, graphs and executable graphs. See emulated_graph.h. */
#include "emulated_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct emulated_list {
    struct emulated_work *work;
    size_t n;
};

static bool recording;
static struct emulated_list recorded;

bool emulated_is_recording(void)
{
    return recording;
}

static void list_add(struct emulated_list *l, const struct emulated_work *work)
{
    l->work = realloc(l->work, (l->n + 1) * sizeof(*l->work));
    struct emulated_work *w = &l->work[l->n++];
    *w = *work;
    if (!work->args) return;
    w->args = aligned_alloc(64, (work->args_bytes + 63) / 64 * 64); /* tensor maps begin at multiples of 64 bytes */
    memcpy(w->args, work->args, work->args_bytes);
}

static void list_free(struct emulated_list *l)
{
    for (size_t i = 0; i < l->n; i++) free(l->work[i].args);
    free(l->work);
    *l = (struct emulated_list){0};
}

static struct emulated_list *list_copy(const struct emulated_list *from)
{
    struct emulated_list *l = calloc(1, sizeof(*l));
    for (size_t i = 0; i < from->n; i++) list_add(l, &from->work[i]);
    return l;
}

CUresult emulated_queue(const struct emulated_work *work)
{
    if (recording)
        list_add(&recorded, work);
    else
        emulated_do(work);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamBeginCapture(CUstream stream, CUstreamCaptureMode mode)
{
    (void)stream;
    if (recording || mode != CU_STREAM_CAPTURE_MODE_RELAXED) return CUDA_ERROR_ILLEGAL_STATE;
    recording = true;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
    (void)stream;
    if (!recording) return CUDA_ERROR_ILLEGAL_STATE;
    recording = false;
    *graph = (CUgraph)list_copy(&recorded);
    list_free(&recorded);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphDestroy(CUgraph graph)
{
    list_free((struct emulated_list *)graph);
    free(graph);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphInstantiate(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
    (void)flags;
    *exec = (CUgraphExec)list_copy((struct emulated_list *)graph);
    return CUDA_SUCCESS;
}

/* How many graphs were launched, for tests. */
static size_t launches;
EXPORT size_t emulated_graph_launches(void)
{
    return launches;
}

static bool same_kernel(const struct emulated_work *a, const struct emulated_work *b)
{
    return a->kind == b->kind && a->kernel == b->kernel && a->product.algorithm == b->product.algorithm;
}

/* New arguments, for work of the same kinds in the same order. */
EXPORT CUresult cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info)
{
    struct emulated_list *to = (struct emulated_list *)exec, *from = (struct emulated_list *)graph;
    bool same = to->n == from->n;
    for (size_t i = 0; same && i < to->n; i++) same = to->work[i].kind == from->work[i].kind;
    memset(info, 0, sizeof(*info));
    if (!same) return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    for (size_t i = 0; i < to->n; i++)
        if (!same_kernel(&to->work[i], &from->work[i])) {
            fprintf(stderr, "emulator: call %zu of a graph is another kernel or algorithm than before\n", i);
            abort();
        }
    list_free(to);
    for (size_t i = 0; i < from->n; i++) list_add(to, &from->work[i]);
    return CUDA_SUCCESS;
}

EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec)
{
    return cuGraphDestroy((CUgraph)exec);
}

EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
    const struct emulated_list *l = (struct emulated_list *)exec;
    (void)stream;
    if (recording) return CUDA_ERROR_ILLEGAL_STATE;
    launches++;
    for (size_t i = 0; i < l->n; i++) emulated_do(&l->work[i]);
    return CUDA_SUCCESS;
}
