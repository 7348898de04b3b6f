/* live_server: the report of a run as a page that follows it while it trains, for browsers on this machine.
 *
 * A thread of its own answers: GET / (a frame that follows), /page (the report), /live.js (ten lines that listen and load
 * the report again) and /events (server-sent events, one a step). It listens on the loopback address alone and refuses every
 * request that names another host (http_request.h). No part of a request becomes the name of a file: what is read are the
 * run's own metrics, and the pages are made in memory.
 *
 * Training never waits for it: what the training tells it are three atomic stores a step. Connections are few, what each may
 * hold is bounded, one that does not read or write is closed, and the thread runs at a lower priority. */
#ifndef YA_RUNS_LIVE_SERVER_H
#define YA_RUNS_LIVE_SERVER_H

#include "base/ctx.h"

struct live_server; /* opaque */

/* Listens. address: "PORT", "HOST:PORT"; HOST is localhost, 127.0.0.1 or [::1], PORT 0 any that is free. Owner of the
 * result: the caller (live_server_close). NULL with E_INPUT for another address or a port that is taken, E_IO, E_MEMORY. */
struct live_server *live_server_open(struct ctx *c, const char *address);

/* "http://127.0.0.1:8080/"; belongs to the server. */
const char *live_server_url(const struct live_server *s);

/* Starts to answer, about a run whose config.json is written. run and program (the word that calls this program) are
 * borrowed until live_server_close. Errors of run_read_open; E_MEMORY when there is no thread to be had. */
enum status live_server_start(struct live_server *s, const char *run, const char *program);

/* A step is done. Never waits. */
void live_server_note(struct live_server *s, int64_t step, int64_t total_steps, double loss);

/* Ends the thread and closes everything. Accepts NULL. */
void live_server_close(struct live_server *s);

#endif
