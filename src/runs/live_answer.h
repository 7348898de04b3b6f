/* live_answer: what the live page of a run answers to a request that http_request.h let pass: the pages, made in memory from
 * the run's history. */
#ifndef YA_RUNS_LIVE_ANSWER_H
#define YA_RUNS_LIVE_ANSWER_H

#include "report/http_request.h"
#include "runs/run_read.h"

enum { LIVE_ANSWER_CAP_BYTES = 8 << 20 };

struct live_answer {
    struct ctx *c;
    struct run_read read;
    bool open;
    struct buf page; /* the newest report */
    double made;     /* when, in seconds of the monotonic clock */
};

/* Reads the run; strings are borrowed. Errors of run_read_open. */
enum status live_answer_open(struct live_answer *a, struct ctx *c, const char *run, const char *program);
/* Accepts a zeroed one. */
void live_answer_close(struct live_answer *a);

/* Appends the whole answer, headers and all, to a request whose status is not 0. room: one more may listen for events; true
 * is returned when this one does. A report is made at most every two seconds, however often it is asked for; when it cannot
 * be made the answer says why, with status 503. */
bool live_answer_write(struct live_answer *a, const struct http_request *r, bool room, struct buf *out);

/* Appends the event of a step. */
void live_answer_event(int64_t step, int64_t total_steps, double loss, struct buf *out);

#endif
