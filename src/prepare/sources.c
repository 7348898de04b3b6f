/* sources: reads and checks a sources file. docs/prepare.md has its form: {"format", "text_fields": [names of members],
 * "files": [{"contains": [words], "source_type"}], "downloads"}, of which only "downloads" may be missing; it is for people
 * and not looked at. */
#include "prepare/sources.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"

static const char FORMAT[] = "your_ai prepare sources 1";

/* E_INPUT naming the member that is wrong. */
static enum status sources_fail(struct ctx *c, const char *what, const char *where)
{
    return ctx_fail(c, E_INPUT, "%s: %s is not what docs/prepare.md says", what, where);
}

/* Whether a value is a list of strings, of at least one, none of them empty. */
static bool is_string_list(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_string_length(json_array_get(list, i)) == 0) return false;
    return json_array_size(list) > 0;
}

/* "files": each rule has exactly the words that a name may contain, and the kind that they tell. */
static enum status check_rules(struct ctx *c, const char *what, const json_t *rules)
{
    if (!json_is_array(rules)) return sources_fail(c, what, "\"files\"");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i);
        if (json_object_size(rule) != 2 || !json_is_string(json_object_get(rule, "source_type")) ||
            !is_string_list(json_object_get(rule, "contains")))
            return sources_fail(c, what, "a rule of \"files\"");
    }
    return OK;
}

/* Checks the document, and takes the members that may be a text out of it. Any further member is refused, so that a
 * misspelled one is noticed: the three that must be there were checked before. */
static enum status sources_read(struct sources *s, struct ctx *c, const char *what)
{
    const char *format;
    const json_t *fields = json_object_get(s->doc, "text_fields");
    if (!json_member_string(c, what, s->doc, "format", true, &format)) return c->status;
    if (strcmp(format, FORMAT) != 0)
        return ctx_fail(c, E_UNSUPPORTED, "%s: \"format\" is \"%.60s\"; this program reads \"%s\"", what, format, FORMAT);
    TRY(check_rules(c, what, json_object_get(s->doc, "files")));
    s->n_fields = json_array_size(fields);
    if (!is_string_list(fields) || s->n_fields > SOURCES_FIELDS_MAX) return sources_fail(c, what, "\"text_fields\"");
    for (size_t i = 0; i < s->n_fields; i++) s->fields[i] = json_string_value(json_array_get(fields, i));
    size_t known = 3 + (json_object_get(s->doc, "downloads") != NULL);
    return json_object_size(s->doc) == known ? OK : sources_fail(c, what, "a member");
}

enum status sources_open(struct sources *s, struct ctx *c, const char *path)
{
    *s = (struct sources){0};
    const char *what = path ? path : "the built-in sources";
    s->doc = path ? json_parse_file(c, path, SOURCES_MAX_BYTES) : json_parse(c, what, sources_text, strlen(sources_text));
    return s->doc ? sources_read(s, c, what) : c->status;
}

void sources_release(struct sources *s)
{
    json_decref(s->doc);
    s->doc = NULL;
}

const char *sources_kind(const struct sources *s, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const json_t *rules = json_object_get(s->doc, "files");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *rule = json_array_get(rules, i), *words = json_object_get(rule, "contains");
        for (size_t k = 0; k < json_array_size(words); k++)
            if (strcasestr(name, json_string_value(json_array_get(words, k))))
                return json_string_value(json_object_get(rule, "source_type"));
    }
    return NULL;
}
