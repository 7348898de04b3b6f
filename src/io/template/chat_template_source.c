/* Recognition is by what a source must have and must not have. Every word that is known to change the text in a way that is
 * not written out in chat_template.c makes the source refused, and so does text between the tags, which a template writes
 * out as it stands. What is left can only differ in branches that plain conversations do not take (tools, images).
 */
#include "io/template/chat_template_source.h"

#include <string.h>

static bool has(const char *source, const char *text)
{
    return strstr(source, text) != NULL;
}

/* The first of a NULL-terminated list that is in the source (or, with `want` false, that is not); NULL when there is none.
 */
static const char *first_with(const char *source, const char *const *list, bool want)
{
    for (; *list; list++)
        if (has(source, *list) == want) return *list;
    return NULL;
}

/* Finds the default system message: a literal '<|im_start|>system\nTEXT<|im_end|>\n'. Literals that end before <|im_end|>
 * are the head of the caller's own message. Returns what was not understood, or NULL. */
static const char *find_default_system(const char *source, struct chat_recipe *out)
{
    static const char head[] = "<|im_start|>system";
    for (const char *at = strstr(source, head); at; at = strstr(at + 1, head)) {
        char quote = at == source ? '\0' : at[-1];
        const char *text = at + strlen(head);
        if (quote != '\'' && quote != '"') return "a system message outside a string";
        size_t newline = *text == '\n' ? 1 : strncmp(text, "\\n", 2) == 0 ? 2 : 0;
        if (newline == 0) return "a system message without a line break";
        text += newline;
        const char *end = text;
        while (*end && *end != quote && *end != '\\' && strncmp(end, "<|im_end|>", 10) != 0) end++;
        if (*end == quote) continue;
        if (*end != '<') return "a system message with escapes";
        size_t n = (size_t)(end - text);
        if (out->system && (out->system_bytes != n || memcmp(out->system, text, n) != 0)) return "two system messages";
        out->system = text;
        out->system_bytes = n;
    }
    static const char *const tests[] = {"messages[0]['role'] != 'system'", "messages[0]['role'] == 'system'",
                                        "messages[0].role != 'system'", "messages[0].role == 'system'", NULL};
    if (out->system && !first_with(source, tests, true)) return "a system message without a test for one";
    return NULL;
}

/* Each recogniser returns NULL, or what in the source it cannot do. */
static const char *recognise_chatml(const char *source, struct chat_recipe *out)
{
    static const char *const needed[] = {"<|im_end|>", "add_generation_prompt", NULL};
    static const char *const refused[] = {"bos_token", "eos_token", "strftime_now", "<|im_sep|>", NULL};
    static const char *const rewrites[] = {"think>", "reasoning", "trim", "strip(", "replace", NULL};
    static const char *const qwen3[] = {"ns.last_query_index = index",
                                        "loop.index0 > ns.last_query_index",
                                        "loop.last or (not loop.last and reasoning_content)",
                                        "'\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + "
                                        "content.lstrip('\\n')",
                                        ".split('</think>')[-1].lstrip('\\n')",
                                        ".split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n')",
                                        "enable_thinking is defined and enable_thinking is false",
                                        NULL};
    out->kind = CHAT_CHATML;
    if (!first_with(source, qwen3, false))
        out->reasoning = true;
    else if (first_with(source, rewrites, true))
        return first_with(source, rewrites, true);
    if (!has(source, "<|im_start|>assistant\\n") && !has(source, "<|im_start|>assistant\n"))
        return "another form of the generation prompt";
    if (first_with(source, needed, false)) return first_with(source, needed, false);
    if (first_with(source, refused, true)) return first_with(source, refused, true);
    return find_default_system(source, out);
}

static const char *recognise_llama3(const char *source, struct chat_recipe *out)
{
    static const char *const needed[] = {"<|end_header_id|>", "<|eot_id|>", "bos_token", "trim", NULL};
    static const char *const refused[] = {"think>", "reasoning", "strip(", "replace", "eos_token", NULL};
    static const char *const dates[] = {"Cutting Knowledge Date: December 2023", "Today Date: ", "26 Jul 2024", NULL};
    static const char *const dated[] = {"Knowledge Date", "Today Date", "strftime_now", "date_string", NULL};
    out->kind = CHAT_LLAMA3;
    if (first_with(source, needed, false)) return first_with(source, needed, false);
    if (first_with(source, refused, true)) return first_with(source, refused, true);
    if (!first_with(source, dated, true)) return NULL;
    out->dates = true;
    return first_with(source, dates, false) ? "dates other than those of Llama 3.1 to 3.3" : NULL;
}

/* Families that are known by their marks and not supported. */
static const char *foreign_name(const char *source)
{
    static const struct {
        const char *mark, *name;
    } families[] = {{"<start_of_turn>", "Gemma"},
                    {"<\xef\xbd\x9cUser\xef\xbd\x9c>", "DeepSeek"},
                    {"<|START_OF_TURN_TOKEN|>", "Command R"},
                    {"<|header_start|>", "Llama 4"},
                    {"[INST]", "Mistral or Llama 2"},
                    {"<|user|>", "Phi or Zephyr"}};
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (has(source, families[i].mark)) return families[i].name;
    return "unknown";
}

/* ---- text between the tags ---- */

/* The end of a tag whose body starts at `at`: just behind "%}", "}}" or "#}". Strings may hold anything. NULL: unclosed. */
static const char *tag_end(const char *at, char kind)
{
    char close = kind == '{' ? '}' : kind, quote = '\0';
    for (; *at; at++) {
        if (quote) {
            if (*at == '\\' && at[1])
                at++;
            else if (*at == quote)
                quote = '\0';
        } else if (kind != '#' && (*at == '\'' || *at == '"')) {
            quote = *at;
        } else if (at[0] == close && at[1] == '}') {
            return at + 2;
        }
    }
    return NULL;
}

/* Whether [s, end), the text between two tags, comes to nothing. `before` is the tag in front (its last two characters and a
 * '-' before them matter), or NULL; `end` is at the next tag or at the end of the source. Jinja runs with trim_blocks and
 * lstrip_blocks here, as in transformers: a line break behind a block goes, and so does the indentation of one. */
static bool comes_to_nothing(const char *s, const char *end, const char *before)
{
    bool last = *end == '\0', block = before && before[-2] != '}';
    if ((before && before[-3] == '-') || (!last && end[2] == '-')) {
        while (s < end && strchr(" \n\r\t", *s)) s++;
        return s == end;
    }
    if (block && before[-3] != '+' && s < end && *s == '\n') s++;
    bool at_line = before && block && s[-1] == '\n';
    if (!last && end[1] != '{' && end[2] != '+' && (at_line || !before))
        while (s < end && (*s == ' ' || *s == '\t')) s++;
    if (last && s < end && *s == '\n') s++;
    return s == end;
}

/* Whether a source writes out nothing but what its expressions say. */
static bool only_expressions(const char *source)
{
    const char *s = source, *before = NULL;
    for (;;) {
        const char *end = s;
        while (*end && !(end[0] == '{' && (end[1] == '{' || end[1] == '%' || end[1] == '#'))) end++;
        if (!comes_to_nothing(s, end, before)) return false;
        if (!*end) return true;
        s = tag_end(end + 2, end[1]);
        if (!s) return false;
        before = s;
    }
}

const char *chat_template_source_read(const char *source, struct chat_recipe *out)
{
    const char *why;
    *out = (struct chat_recipe){.kind = CHAT_NONE};
    if (has(source, "<|im_start|>"))
        why = recognise_chatml(source, out);
    else if (has(source, "<|start_header_id|>"))
        why = recognise_llama3(source, out);
    else
        return foreign_name(source);
    if (!why && !only_expressions(source)) why = "text between its tags";
    return why;
}
