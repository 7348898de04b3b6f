/* peft_targets: see peft_targets.h. The rules are those of check_target_module_exists in PEFT: a name of a list stands for
 * every module whose path is it or ends in "." and it, an expression has to match the whole path. */
#include "model/peft/peft_targets.h"

#include <string.h>
#include <strings.h>

static enum status refuse_member(const struct peft_targets *t, const char *member)
{
    return ctx_fail(t->c, E_INPUT, "%s: \"%s\" must be a list of names or a regular expression", t->what, member);
}

/* An expression that PEFT reads and pattern.h does not is no reason to refuse the adapter, whose tensors say what it matched
 * when they were made; but nothing here has compared the two, and that is said. */
static enum status peft_names_compile(struct peft_targets *t, struct peft_names *n)
{
    char why[CTX_MESSAGE_BYTES];
    n->pattern = pattern_new(t->c, t->what, n->source);
    if (n->pattern || t->c->status != E_UNSUPPORTED) return t->c->status;
    strcpy(why, t->c->message);
    ctx_clear(t->c);
    ctx_log(t->c, LOG_WARN,
            "%s. So \"%s\" is not compared with the tensors of the adapter: those that are there are taken, all of them",
            why, n->member);
    return OK;
}

/* null and an empty list name nothing in particular. PEFT writes "all-linear" before it has looked at the model. */
static enum status peft_names_read(struct peft_targets *t, const json_t *doc, struct peft_names *n)
{
    const json_t *v = json_object_get(doc, n->member);
    if (!v || json_is_null(v)) return OK;
    if (json_is_string(v)) {
        if (strcasecmp(json_string_value(v), "all-linear") == 0) return OK;
        n->source = json_string_value(v);
        return peft_names_compile(t, n);
    }
    if (!json_is_array(v)) return refuse_member(t, n->member);
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!json_is_string(json_array_get(v, i))) return refuse_member(t, n->member);
    n->list = v;
    return OK;
}

enum status peft_targets_read(struct ctx *c, const char *what, const json_t *doc, struct peft_targets *out)
{
    *out = (struct peft_targets){.c = c,
                                 .what = what,
                                 .layers = json_object_get(doc, "layers_to_transform"),
                                 .targets.member = "target_modules",
                                 .excluded.member = "exclude_modules"};
    TRY(peft_names_read(out, doc, &out->targets));
    return peft_names_read(out, doc, &out->excluded);
}

void peft_targets_release(struct peft_targets *t)
{
    pattern_free(t->targets.pattern);
    pattern_free(t->excluded.pattern);
    t->targets.pattern = t->excluded.pattern = NULL;
}

/* Whether the member names the module; `otherwise` where it names nothing in particular. */
static bool peft_names_has(const struct peft_names *names, const char *module, bool otherwise)
{
    size_t n = strlen(module);
    if (names->pattern) return pattern_match(names->pattern, module);
    if (!names->list) return otherwise;
    for (size_t i = 0; i < json_array_size(names->list); i++) {
        const char *name = json_string_value(json_array_get(names->list, i));
        size_t k = strlen(name);
        if (k <= n && strcmp(module + n - k, name) == 0 && (k == n || module[n - k - 1] == '.')) return true;
    }
    return false;
}

/* layers_to_transform, a number or a list of them; null and an empty list name every layer. */
static bool is_transformed(const struct peft_targets *t, int64_t layer)
{
    const json_t *v = t->layers;
    if (json_is_integer(v)) return json_integer_value(v) == layer;
    if (!json_is_array(v) || json_array_size(v) == 0) return true;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (json_integer_value(json_array_get(v, i)) == layer && json_is_integer(json_array_get(v, i))) return true;
    return false;
}

bool peft_targets_has(const struct peft_targets *t, const char *module, int64_t layer)
{
    return peft_names_has(&t->targets, module, true) && !peft_names_has(&t->excluded, module, false) &&
           is_transformed(t, layer);
}

enum status peft_targets_check(const struct peft_targets *t, const char *module, int64_t layer)
{
    if (peft_targets_has(t, module, layer)) return OK;
    if (peft_names_has(&t->excluded, module, false))
        return ctx_fail(t->c, E_INPUT, "%s: module %s has tensors, and \"exclude_modules\" leaves it out", t->what, module);
    if (!is_transformed(t, layer))
        return ctx_fail(t->c, E_INPUT, "%s: module %s has tensors but its layer is not in \"layers_to_transform\"", t->what,
                        module);
    if (!t->targets.source)
        return ctx_fail(t->c, E_INPUT, "%s: module %s has tensors but is not in \"target_modules\"", t->what, module);
    return ctx_fail(
        t->c, E_INPUT,
        "%s: module %s has tensors, but the regular expression of \"target_modules\", \"%.120s\", does not match "
        "it. PEFT would leave these tensors unread: correct the expression, or remove them",
        t->what, module, t->targets.source);
}
