/* train_signals: what a training does about signals.
 *
 *   Ctrl-C (SIGINT), SIGTERM, SIGHUP   save and stop: between two micro-batches, with exit code 130
 *   a further Ctrl-C                   quit at once, after saying which steps are lost
 *   SIGUSR1                            save after the running optimizer step and continue
 *
 * A second SIGTERM or SIGHUP does nothing more: closing a terminal sends SIGHUP from the kernel and from the shell, and a
 * service manager sends SIGTERM and then SIGHUP, and neither means to lose the run. A signal that was ignored when the
 * program started stays ignored (nohup, a background job of a plain shell). */
#ifndef YA_CLI_TRAIN_SIGNALS_H
#define YA_CLI_TRAIN_SIGNALS_H

#include "train/trainer.h"

enum { TRAIN_COMMAND_BYTES = 8192 };

/* Installs the handlers for the process; one training a process. `command` continues the run ("your_ai resume RUN", at most
 * TRAIN_COMMAND_BYTES with its end), `run` is its folder; both are copied. Until train_signals_phase is called nothing was
 * trained that could be lost, so a stop signal quits at once. It says `command` where the folder holds a run by then, that
 * is its config.json, and otherwise that the same command starts again. */
void train_signals_install(const char *command, const char *run);

/* What the trainer is busy with (named in the answer to the first Ctrl-C), the last step that is done and the last one that
 * is saved (named by the second; -1: none). */
void train_signals_phase(enum trainer_phase phase);
void train_signals_done(int64_t step);
void train_signals_saved(int64_t step);

/* True once a stop was asked for. */
bool train_signals_stop(void);

/* True when SIGUSR1 arrived since the last call. */
bool train_signals_take_save(void);

#endif
