/* cuda_graph: recording, and the table of executable graphs. See cuda_graph.h. */
#include "backend/cuda/cuda_graph.h"

#include <pthread.h>
#include <stdlib.h>

/* The first graph behind a wait is short, because the card is idle until it comes; each further one is twice as long, as the
 * card has work meanwhile. The same calls at two places behind a wait have graphs of their own, since the first may still
 * run when the second is made; behind GRAPH_PLACES graphs the places are counted from the beginning again. An executable
 * graph of 256 calls takes some 4 MiB of the card, so at most GRAPH_MOST are kept. */
enum { GRAPH_FIRST = 16, GRAPH_LONGEST = 256, GRAPH_PLACES = 64, GRAPH_SLOTS = 256, GRAPH_MOST = GRAPH_SLOTS / 2 };

static const uint64_t FNV_BASIS = 0xcbf29ce484222325, FNV_PRIME = 0x100000001b3;

struct graph_slot {
    uint64_t key; /* of the calls and their place; 0: free */
    CUgraphExec exec;
};

struct cuda_graphs {
    struct cuda *card;
    struct cuda_graphs *next; /* recorder */
    bool recording, locked;   /* locked: a call is being recorded, between cuda_queue_begin and cuda_queue_end */
    CUresult failed;          /* of a sending, until the backend's own thread says so */
    int nodes, longest;       /* calls in the graph that is recorded, and how many it may have */
    int place;                /* of the graph behind the last wait */
    uint64_t hash;            /* of the calls' tags */
    int filled;               /* slots */
    struct graph_slot slot[GRAPH_SLOTS];
};

/* Of this process: how many cards are open, and the backends that record. The lock is held while a call is recorded, so that
 * another thread that opens a card may send what there is. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int backends;
static struct cuda_graphs *recorders;

enum status cuda_graphs_open(struct cuda *d)
{
    d->graphs = calloc(1, sizeof(*d->graphs));
    if (!d->graphs) return ctx_fail(d->c, E_MEMORY, "CUDA: no memory for the table of graphs");
    d->graphs->card = d;
    d->graphs->longest = GRAPH_FIRST;
    pthread_mutex_lock(&lock);
    d->graphs->next = recorders;
    recorders = d->graphs;
    pthread_mutex_unlock(&lock);
    return OK;
}

/* Frees all executable graphs. None may be under way. */
static void graphs_forget(struct cuda *d)
{
    struct cuda_graphs *g = d->graphs;
    for (int i = 0; i < GRAPH_SLOTS; i++) {
        if (g->slot[i].exec) d->driver.cuGraphExecDestroy(g->slot[i].exec);
        g->slot[i] = (struct graph_slot){0};
    }
    g->filled = 0;
}

void cuda_graphs_close(struct cuda *d)
{
    CUgraph dropped = NULL;
    if (!d->graphs) return;
    pthread_mutex_lock(&lock);
    struct cuda_graphs **link = &recorders;
    while (*link != d->graphs) link = &(*link)->next;
    *link = d->graphs->next;
    if (d->graphs->recording && d->driver.cuStreamEndCapture(d->stream, &dropped) == CUDA_SUCCESS)
        d->driver.cuGraphDestroy(dropped);
    pthread_mutex_unlock(&lock);
    graphs_forget(d);
    free(d->graphs);
    d->graphs = NULL;
}

/* The slot of the recorded calls at their place; a new one has no graph. */
static struct graph_slot *graph_slot(struct cuda *d)
{
    struct cuda_graphs *g = d->graphs;
    uint64_t key = ((g->hash ^ (uint64_t)(g->place % GRAPH_PLACES)) * FNV_PRIME) | 1;
    if (g->filled == GRAPH_MOST) {
        d->driver.cuStreamSynchronize(d->stream);
        graphs_forget(d);
    }
    size_t i = (key ^ key >> 32) % GRAPH_SLOTS;
    while (g->slot[i].key && g->slot[i].key != key) i = (i + 1) % GRAPH_SLOTS;
    if (!g->slot[i].key) g->filled++;
    g->slot[i].key = key;
    return &g->slot[i];
}

/* Makes the slot's executable graph that of `graph`: by new arguments where the driver can, else anew. */
static CUresult graph_update(struct cuda *d, struct graph_slot *slot, CUgraph graph)
{
    CUgraphExecUpdateResultInfo info;
    if (slot->exec && d->driver.cuGraphExecUpdate(slot->exec, graph, &info) == CUDA_SUCCESS) return CUDA_SUCCESS;
    if (slot->exec) d->driver.cuGraphExecDestroy(slot->exec);
    slot->exec = NULL;
    return d->driver.cuGraphInstantiate(&slot->exec, graph, 0);
}

/* Queues a recorded graph. Executable graphs take memory of the card that no plan knows: where it has none left, those of
 * other calls make room. */
static CUresult graph_launch(struct cuda *d, CUgraph graph)
{
    struct graph_slot *slot = graph_slot(d);
    CUresult made = graph_update(d, slot, graph);
    if (made == CUDA_ERROR_OUT_OF_MEMORY) {
        d->driver.cuStreamSynchronize(d->stream);
        graphs_forget(d);
        slot = graph_slot(d);
        made = graph_update(d, slot, graph);
    }
    return made == CUDA_SUCCESS ? d->driver.cuGraphLaunch(slot->exec, d->stream) : made;
}

/* Under the lock: ends the recording, and queues it. What fails is kept for the thread whose ctx it is. */
static void send_recorded(struct cuda *d)
{
    struct cuda_graphs *g = d->graphs;
    CUgraph graph = NULL;
    if (!g->recording) return;
    g->recording = false;
    g->failed = d->driver.cuStreamEndCapture(d->stream, &graph);
    if (g->failed == CUDA_SUCCESS) g->failed = graph_launch(d, graph);
    if (graph) d->driver.cuGraphDestroy(graph);
    g->place++;
    if (g->longest < GRAPH_LONGEST) g->longest *= 2;
}

/* Under the lock, by the backend's own thread: what a sending failed with. */
static enum status graph_check(struct cuda *d)
{
    return cuda_check(d, d->graphs->failed, "queueing recorded calls (YA_CUDA_GRAPHS=0 queues them one by one)");
}

void cuda_graphs_trim(struct cuda *d)
{
    if (!d->graphs || cuda_graph_send(d) != OK) return;
    d->driver.cuStreamSynchronize(d->stream);
    graphs_forget(d);
}

enum status cuda_graph_send(struct cuda *d)
{
    if (!d->graphs) return d->c->status;
    pthread_mutex_lock(&lock);
    send_recorded(d);
    graph_check(d);
    pthread_mutex_unlock(&lock);
    return d->c->status;
}

enum status cuda_graph_send_last(struct cuda *d)
{
    cuda_graph_send(d);
    if (d->graphs) d->graphs->place = 0, d->graphs->longest = GRAPH_FIRST;
    return d->c->status;
}

void cuda_graphs_enter(void)
{
    pthread_mutex_lock(&lock);
    backends++;
    for (struct cuda_graphs *g = recorders; g; g = g->next) {
        struct cuda *d = g->card;
        if (g->recording) d->driver.cuCtxSetCurrent(d->context);
        send_recorded(d);
    }
    pthread_mutex_unlock(&lock);
}

void cuda_graphs_leave(void)
{
    pthread_mutex_lock(&lock);
    backends--;
    pthread_mutex_unlock(&lock);
}

/* Under the lock. */
static void graph_begin(struct cuda *d)
{
    struct cuda_graphs *g = d->graphs;
    /* relaxed: memory may be allocated meanwhile, and another thread may end what one began */
    g->failed = d->driver.cuStreamBeginCapture(d->stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    g->recording = g->failed == CUDA_SUCCESS;
    g->nodes = 0;
    g->hash = FNV_BASIS;
}

enum status cuda_queue_begin(struct cuda *d, uint64_t tag, bool known)
{
    struct cuda_graphs *g = d->graphs;
    bool begins = tag < CUDA_TAG_COPY || tag > CUDA_TAG_ZERO;
    if (!g) return d->c->status;
    pthread_mutex_lock(&lock);
    if (!known || (g->recording && g->nodes == g->longest)) send_recorded(d);
    if (!g->recording && known && begins && backends == 1 && g->failed == CUDA_SUCCESS) graph_begin(d);
    graph_check(d);
    g->locked = g->recording;
    if (g->recording) {
        g->nodes++;
        g->hash = (g->hash ^ tag) * FNV_PRIME;
    } else {
        pthread_mutex_unlock(&lock); /* a call that is queued by itself is in nobody's way */
    }
    return d->c->status;
}

void cuda_queue_end(struct cuda *d)
{
    if (!d->graphs || !d->graphs->locked) return;
    d->graphs->locked = false;
    pthread_mutex_unlock(&lock);
}
