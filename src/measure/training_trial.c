/* training_trial: see training_trial.h. The child opens the run as train would, up to its plan. */
#include "measure/training_trial.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include "array/array.h"
#include "array/backend.h"
#include "backend/backend_open.h"
#include "base/child.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/system.h"
#include "base/temporary.h"
#include "base/threads.h"
#include "measure/step_rate.h"

/* ---- in the child ---------------------------------------------------------------------------------------------------- */

/* The hook of the setup: measures, and ends it. */
static enum status trial_planned(void *user, const struct trainer *t)
{
    struct trial_result *out = user;
    struct step_rate rate;
    out->planned_bytes = (int64_t)t->plan.total;
    TRY(plan_check(t->c, &t->plan_input, &t->plan));
    TRY(step_rate_measure(t, &rate));
    out->tokens_per_s = rate.tokens_per_s;
    bool card = array_backend(t->c)->free_bytes != NULL;
    out->peak_bytes = (int64_t)(card ? t->engine->ops->memory(t->engine).peak_bytes : system_peak_bytes());
    out->outcome = TRIAL_OK;
    return ctx_fail(t->c, E_INTERRUPTED, "nothing is trained");
}

/* The setup of the run in a folder that trainer_new removes again. */
static enum status trial_measure(struct ctx *c, const struct train_values *values, const char *folder,
                                 struct trial_result *out)
{
    struct train_values mine = *values;
    const struct trainer_hooks hooks = {.user = out, .planned = trial_planned};
    mine.config.run = folder;
    TRY(train_options_settle(c, &mine));
    TRY(ctx_set_threads(c, (int)mine.threads));
    TRY(array_env_new(c, backend_open(c, mine.device)));
    char *text = train_options_text(c, &mine);
    if (text) trainer_free(trainer_new(c, &mine.config, &hooks, text));
    mem_free(c, text);
    return c->status;
}

/* All of the child. The parent's ctx is only read: its memory is a copy here. */
static void trial_child(const struct train_values *values, const char *folder, struct trial_result *out)
{
    struct ctx *c = ctx_new(NULL);
    out->outcome = TRIAL_FAILED;
    if (!c) return;
    enum status status = trial_measure(c, values, folder, out);
    if (out->outcome == TRIAL_OK) return;
    out->outcome = status == E_FIT || status == E_MEMORY ? TRIAL_UNFIT : TRIAL_FAILED;
    snprintf(out->message, sizeof out->message, "%.*s", TRIAL_MESSAGE_BYTES - 1, c->message);
}

/* ---- in the parent --------------------------------------------------------------------------------------------------- */

/* What trial_child needs, behind child_run's one pointer. */
struct trial_work {
    const struct train_values *values;
    const char *folder;
};

static void trial_enter(void *user, void *out)
{
    const struct trial_work *w = user;
    trial_child(w->values, w->folder, out);
}

/* What became of a child that sent no result. */
static void trial_without_result(bool late, int how, struct trial_result *out)
{
    out->outcome = late ? TRIAL_SLOW : TRIAL_KILLED;
    if (late)
        snprintf(out->message, sizeof out->message, "no result in its time");
    else if (WIFSIGNALED(how))
        snprintf(out->message, sizeof out->message, "ended by signal %d%s", WTERMSIG(how),
                 WTERMSIG(how) == SIGKILL ? ", as the system does where memory runs out" : "");
    else
        snprintf(out->message, sizeof out->message, "ended with code %d", WEXITSTATUS(how));
}

enum status training_trial_run(struct ctx *c, const struct train_values *values, double seconds_at_most,
                               struct trial_result *out)
{
    enum child_end end = CHILD_DIED;
    int how = 0;
    struct temporary_folder folder;
    TRY(temporary_folder_open(c, &folder));
    char *run = path_join(c, folder.path, "run"); /* which the trainer locks itself */
    struct trial_work work = {values, run};
    if (run && child_run(c, trial_enter, &work, out, sizeof *out, seconds_at_most, &end, &how) == OK && end != CHILD_SENT)
        trial_without_result(end == CHILD_LATE, how, out);
    mem_free(c, run);
    temporary_folder_close(c, &folder);
    return c->status;
}
