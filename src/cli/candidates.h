/* candidates: the models that a command measures one after the other: a base model that is open already, and adapters on
 * it. */
#ifndef YA_CLI_CANDIDATES_H
#define YA_CLI_CANDIDATES_H

#include "base/options.h"
#include "cli/loaded.h"

struct candidate {
    const char *name; /* as the user wrote it; borrowed */
    char *path;       /* PEFT folder, owned; NULL: the base model alone */
    bool run;         /* `name` is the folder of a run, which has options of its own */
};

enum { CANDIDATES_MOST = 2 + OPTION_MAX_OPERANDS };
struct candidates {
    struct ctx *c;
    struct candidate list[CANDIDATES_MOST];
    size_t n;
    bool force; /* adapters are measured though they were made for another model */
};

/* Appends what a word of the command line names: "base" is the base model alone, a folder of a run its adapter/, any other
 * folder or file is an adapter itself. E_INPUT for a run that has no adapter yet. */
enum status candidates_add(struct candidates *a, const char *name);
void candidates_release(struct candidates *a);

/* What is done with a candidate: its index, and an engine on the model with its adapter. */
typedef enum status (*candidate_fn)(void *user, size_t index, struct engine *e);
/* Attaches each candidate's adapter in turn, holds it against the model (peft_check_base), calls `fn` and takes it off. The
 * first failure ends it; messages begin with the candidate's name. */
enum status candidates_each(const struct candidates *a, const struct loaded *l, candidate_fn fn, void *user);

/* Columns that the names take in a table: the longest one, at least that of "model". */
int candidates_width(const struct candidates *a);

#endif
