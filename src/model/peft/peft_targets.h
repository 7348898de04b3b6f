/* peft_targets: which linear layers an adapter_config.json is for, by the rules of PEFT: target_modules, exclude_modules and
 * layers_to_transform. PEFT leaves tensors of other layers unread with a warning at most, so an adapter that has some would
 * compute otherwise there than here. */
#ifndef YA_MODEL_PEFT_TARGETS_H
#define YA_MODEL_PEFT_TARGETS_H

#include "io/json.h"
#include "model/peft/pattern.h"

/* What one member of the config names. */
struct peft_names {
    const char *member;      /* "target_modules" */
    const json_t *list;      /* of names, of the document; NULL: none */
    const char *source;      /* the regular expression, of the document; NULL: none */
    struct pattern *pattern; /* owned; the same as a program, NULL where `source` is one that is not read here */
};

struct peft_targets {
    struct ctx *c;
    const char *what;     /* the config's path */
    const json_t *layers; /* layers_to_transform, of the document */
    struct peft_names targets, excluded;
};

/* Reads the three members of `doc`, which must live as long as *out, as must `what`. A regular expression with something
 * that pattern.h does not read is said in a warning, and then counts as naming every module (of exclude_modules: none):
 * PEFT's own tensors say which it matched. Release also after a failure. E_INPUT: a member is neither a list of names nor an
 * expression, or is malformed. */
enum status peft_targets_read(struct ctx *c, const char *what, const json_t *doc, struct peft_targets *out);
void peft_targets_release(struct peft_targets *t);

/* Whether PEFT puts an adapter on the module ("model.layers.3.self_attn.q_proj") of this layer. */
bool peft_targets_has(const struct peft_targets *t, const char *module, int64_t layer);
/* The same for a module that has tensors: E_INPUT that names the module and the member of the config that leaves it out. */
enum status peft_targets_check(const struct peft_targets *t, const char *module, int64_t layer);

#endif
