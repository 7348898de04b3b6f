/* choice_text: Python's string functions that the harness prepares texts with, on UTF-8 and with the Unicode data of
 * utf8proc. choice_clean works in four steps, in the order of the harness:
 *
 *   " How to wash [title] Fill a  bucket [substeps] now "   as it is published
 *   "How to wash [title] Fill a  bucket [substeps] now"     without white space at its ends
 *   "How to wash.  Fill a  bucket [substeps] now"           the title mark replaced
 *   "How to wash.  Fill a  bucket  now"                     without what stands in brackets
 *   "How to wash. Fill a bucket now"                        one space for two */
#include "eval/choice_text.h"

#include <string.h>

#include <utf8proc.h>

const char choice_truthfulqa_primer[] = {
#include "eval/choice_primer.def"
};

/* What Python's str.isspace calls white space. */
static bool choice_text_is_python_space(utf8proc_int32_t ch)
{
    if ((ch >= 0x09 && ch <= 0x0d) || (ch >= 0x1c && ch <= 0x20) || ch == 0x85) return true;
    utf8proc_category_t k = utf8proc_category(ch);
    return k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

/* The character at text[i]; its length, at least 1. The texts come from JSON or a checked file, so they are UTF-8. */
static size_t character_at(const char *text, size_t i, size_t n, utf8proc_int32_t *ch)
{
    utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(n - i), ch);
    if (length > 0) return (size_t)length;
    *ch = 0xfffd;
    return 1;
}

void choice_strip(const char *text, size_t n, size_t *start, size_t *stop)
{
    utf8proc_int32_t ch;
    size_t i = 0;
    *start = *stop = n;
    while (i < n) {
        size_t length = character_at(text, i, n, &ch);
        if (!choice_text_is_python_space(ch)) {
            if (*start == n) *start = i;
            *stop = i + length;
        }
        i += length;
    }
    if (*start == n) *stop = n;
}

void choice_capitalize(const char *text, struct buf *out)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t ch;
        utf8proc_uint8_t bytes[4];
        size_t length = character_at(text, i, n, &ch);
        ch = i == 0 ? utf8proc_totitle(ch) : utf8proc_tolower(ch);
        buf_append(out, bytes, (size_t)utf8proc_encode_char(ch, bytes));
        i += length;
    }
}

/* Copies without "[...]": from a bracket to the next closing one on the same line. */
static void without_brackets(const char *text, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n;) {
        const char *line = memchr(text + i, '\n', n - i);
        size_t end = line ? (size_t)(line - text) : n;
        const char *close = text[i] == '[' ? memchr(text + i, ']', end - i) : NULL;
        if (close) {
            i = (size_t)(close - text) + 1;
        } else {
            buf_append_char(out, text[i++]);
        }
    }
}

/* Three passes, as the harness's preprocess of HellaSwag: strip and " [title]", brackets, double spaces. The last one looks
 * at each character once, so of three spaces two stay. */
void choice_clean(const char *text, struct buf *out)
{
    static const char title[] = " [title]";
    size_t start, stop;
    struct buf titled, plain;
    buf_init(&titled, out->c, out->cap_bytes);
    buf_init(&plain, out->c, out->cap_bytes);
    choice_strip(text, strlen(text), &start, &stop);
    for (size_t i = start; i < stop;) {
        if (stop - i >= sizeof(title) - 1 && memcmp(text + i, title, sizeof(title) - 1) == 0) {
            buf_append_str(&titled, ". ");
            i += sizeof(title) - 1;
        } else {
            buf_append_char(&titled, text[i++]);
        }
    }
    without_brackets(buf_str(&titled), titled.len, &plain);
    for (size_t i = 0; i < plain.len; i++) {
        buf_append_char(out, plain.data[i]);
        if (plain.data[i] == ' ' && i + 1 < plain.len && plain.data[i + 1] == ' ') i++;
    }
    buf_release(&titled);
    buf_release(&plain);
}
