/* token_view: prints tokens as text, run by run: a run is a stretch of tokens that are all trained or all masked, and all
 * control tokens or none, so colours and brackets change between runs only.
 *
 * A text may spell the name of a control token, "<|im_end|>" for example, without being one. Both would look alike on the
 * screen, so the spelled one gets a backslash in front. Whether one begins at a place is found by counting the names in the
 * text from there on, and again from one byte later: one less means that it begins here. */
#include "cli/token_view.h"

#include <stdio.h>

#include "base/utf8.h"

/* A control token's name is looked for in as many bytes as this from each place on. */
enum { TEXT_CAP_BYTES = 1 << 26, NAME_BYTES = 64 };

/* How many names of control tokens the text spells. */
static size_t count_spelled(const struct token_view *v, const char *text, size_t n)
{
    size_t count = 0;
    tokenizer_find_spelled(v->tokenizer, text, n, &count);
    return count;
}

/* Whether the name of a control token begins here: one less is found in what follows. */
static bool begins_spelled(const struct token_view *v, const char *text, size_t n)
{
    if (n > NAME_BYTES) n = NAME_BYTES;
    return count_spelled(v, text, n) > count_spelled(v, text + 1, n - 1);
}

/* Prints the character at `text` and returns its bytes: line ends as \n, control characters and what is no UTF-8 as \xNN. */
static size_t print_character(const char *text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t k = utf8_length(p, n);
    bool control = k == 0 || (k == 1 && (*p < 0x20 || *p == 0x7f)) || (k == 2 && p[0] == 0xc2 && p[1] < 0xa0);
    if (*p == '\n')
        fputs("\\n", stdout);
    else if (control)
        printf("\\x%02x", *p);
    else
        fwrite(p, 1, k, stdout);
    return control ? 1 : k;
}

/* The text with a backslash before each spelled name. Control tokens themselves are printed as they are. */
static void print_text(const struct token_view *v, const char *text, size_t n, bool is_control)
{
    bool spelled = !is_control && count_spelled(v, text, n) > 0;
    for (size_t i = 0; i < n;) {
        if (spelled && begins_spelled(v, text + i, n - i)) putchar('\\');
        i += print_character(text + i, n - i);
    }
}

/* One run of tokens that are all trained or all masked, and all control tokens or none. */
static enum status print_run(const struct token_view *v, const int32_t *ids, size_t n, bool trained, size_t *shown)
{
    bool is_control = tokenizer_is_special(v->tokenizer, ids[0]);
    size_t left = v->most - *shown;
    struct buf text;
    buf_init(&text, v->c, TEXT_CAP_BYTES);
    enum status status = tokenizer_decode(v->c, v->tokenizer, ids, n, false, &text);
    if (status == OK) {
        if (v->color) printf("\033[%s%sm", is_control ? "1;" : "", trained ? "32" : "2");
        print_text(v, buf_str(&text), text.len < left ? text.len : left, is_control);
        if (v->color) fputs("\033[0m", stdout);
        *shown += text.len < left ? text.len : left;
    }
    buf_release(&text);
    return status;
}

enum status token_view_print(const struct token_view *v, const int32_t *ids, const uint8_t *trained, size_t n)
{
    size_t shown = 0, to;
    for (size_t from = 0; from < n && shown < v->most; from = to) {
        bool control = tokenizer_is_special(v->tokenizer, ids[from]);
        for (to = from; to < n && trained[to] == trained[from] && tokenizer_is_special(v->tokenizer, ids[to]) == control;)
            to++;
        if (!v->color && trained[from] && (from == 0 || !trained[from - 1])) fputs("[[", stdout);
        TRY(print_run(v, ids + from, to - from, trained[from] != 0, &shown));
        if (!v->color && trained[from] && (to == n || !trained[to] || shown >= v->most)) fputs("]]", stdout);
    }
    if (shown >= v->most) fputs(" ...", stdout);
    return OK;
}
