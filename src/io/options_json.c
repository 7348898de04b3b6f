/* options_json: the option table as JSON. Every row becomes a member of its own JSON type, so the file can be read and
 * compared by other programs: {"rank": 16, "lr": 0.0002, "packing": true, "distrust": "monotone", "data": ["rows.jsonl"]}.
 * Reading back goes through options_set and its ranges, so a config that was edited is checked as a command line is. */
#include "io/options_json.h"

#include <string.h>

/* NULL when an item is no UTF-8 or memory is short, as with every function here that makes a node. */
static json_t *list_to_json(const struct option_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < list->n; i++) json_array_append_new(array, json_string(list->items[i]));
    return array;
}

/* A value as JSON of its own type; a choice is written as its word. */
static json_t *value_to_json(const struct option_spec *s, const void *values)
{
    const void *at = (const char *)values + s->offset;
    char word[64];
    switch (s->type) {
    case OPTION_FLAG:
        return json_boolean(*(const bool *)at);
    case OPTION_I64:
        return json_integer(*(const int64_t *)at);
    case OPTION_F64:
        return json_real(*(const double *)at);
    case OPTION_CHOICE:
        return json_string(options_choice(s, *(const int *)at, word, sizeof(word)));
    case OPTION_LIST:
        return list_to_json(at);
    case OPTION_STRING:
        break;
    }
    const char *text = *(const char *const *)at;
    return text ? json_string(text) : json_null();
}

json_t *options_to_json(struct ctx *c, const struct option_table *table, const void *values)
{
    json_t *o = json_object();
    for (size_t i = 0; o && i < table->n_specs; i++) {
        /* json_string is NULL for text that is not UTF-8 (a file name), which JSON cannot hold */
        json_t *v = value_to_json(&table->specs[i], values);
        if (!v || json_object_set_new(o, table->specs[i].name, v) != 0) {
            ctx_fail(c, E_INPUT, "--%s: its value is not valid UTF-8, so it cannot be kept in config.json",
                     table->specs[i].name);
            json_decref(o);
            return NULL;
        }
    }
    if (!o) ctx_fail(c, E_MEMORY, "no memory for the configuration");
    return o;
}

/* ---- back ------------------------------------------------------------------------------------------------------------ */

/* The items of an option that may be given several times. */
static enum status list_from_json(struct ctx *c, const struct option_spec *s, const char *what, const json_t *v,
                                  void *values)
{
    size_t i;
    json_t *item;
    if (!json_is_array(v)) return ctx_fail(c, E_INPUT, "%s: %s: expected a list of strings", what, s->name);
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item)) return ctx_fail(c, E_INPUT, "%s: %s[%zu]: expected a string", what, s->name, i);
        TRY(options_set(c, s, s->name, json_string_value(item), values));
    }
    return OK;
}

/* One option. A member that is missing is an error: its default may have changed since the run was made. */
static enum status value_from_json(struct ctx *c, const struct option_spec *s, const char *what, const json_t *doc,
                                   void *values)
{
    void *at = (char *)values + s->offset;
    const json_t *v = json_object_get(doc, s->name);
    const char *text = NULL;
    if (!v) return ctx_fail(c, E_INPUT, "%s: %s is missing: it was written by another version", what, s->name);
    switch (s->type) {
    case OPTION_FLAG:
        return json_member_bool(c, what, doc, s->name, true, at) ? OK : c->status;
    case OPTION_I64:
        return json_member_i64(c, what, doc, s->name, true, (int64_t)s->min, (int64_t)s->max, at) ? OK : c->status;
    case OPTION_F64:
        return json_member_f64(c, what, doc, s->name, true, s->min, s->max, at) ? OK : c->status;
    case OPTION_LIST:
        return list_from_json(c, s, what, v, values);
    case OPTION_CHOICE:
        if (!json_member_string(c, what, doc, s->name, true, &text)) return c->status;
        return options_set(c, s, s->name, text, values);
    case OPTION_STRING:
        break;
    }
    *(const char **)at = NULL;
    return json_is_null(v) || json_member_string(c, what, doc, s->name, true, at) ? OK : c->status;
}

/* Whether the table has a row of this name. */
static bool is_option(const struct option_table *table, const char *name)
{
    for (size_t i = 0; i < table->n_specs; i++) {
        if (strcmp(table->specs[i].name, name) == 0) return true;
    }
    return false;
}

enum status options_from_json(struct ctx *c, const struct option_table *table, const char *what, const json_t *doc,
                              void *values)
{
    const char *key;
    json_t *unused;
    if (!json_is_object(doc)) return ctx_fail(c, E_INPUT, "%s: expected an object of options", what);
    json_object_foreach((json_t *)doc, key, unused)
    {
        (void)unused;
        if (!is_option(table, key)) return ctx_fail(c, E_INPUT, "%s: unknown option '%s'", what, key);
    }
    for (size_t i = 0; i < table->n_specs; i++) {
        enum status status = value_from_json(c, &table->specs[i], what, doc, values);
        if (status != OK) {
            ctx_prefix(c, "%s", what);
            return status;
        }
    }
    return OK;
}
