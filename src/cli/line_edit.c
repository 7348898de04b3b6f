/* line_edit: see line_edit.h. The terminal is put into raw mode for a line and back, so that a signal during the model's
 * answer finds it as the user left it. After each key the line is drawn anew. */
#include "cli/line_edit.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/utf8.h"

enum { KEY_BYTES = 8, CTRL_MASK = 0x1F };

void line_edit_init(struct line_edit *l, struct ctx *c, const char *prompt, int in, int out)
{
    *l = (struct line_edit){.c = c, .prompt = prompt, .in = in, .out = out, .terminal = isatty(in) && isatty(out)};
    buf_init(&l->line, c, LINE_BYTES_MAX);
}

void line_edit_release(struct line_edit *l)
{
    for (size_t i = 0; i < l->n_history; i++) mem_free(l->c, l->history[i]);
    buf_release(&l->line);
}

/* ---- the line -------------------------------------------------------------------------------------------------------- */

static bool is_continuation(char ch)
{
    return ((unsigned char)ch & 0xC0) == 0x80;
}

/* The place of the character before `at`, and of the one behind it. */
static size_t before(const struct line_edit *l, size_t at)
{
    const char *text = buf_str(&l->line);
    if (at > 0) at--;
    while (at > 0 && is_continuation(text[at])) at--;
    return at;
}

static size_t behind(const struct line_edit *l, size_t at)
{
    const char *text = buf_str(&l->line);
    if (at < l->line.len) at++;
    while (at < l->line.len && is_continuation(text[at])) at++;
    return at;
}

/* Takes the bytes [from, to) out, and puts the cursor there. */
static void cut(struct line_edit *l, size_t from, size_t to)
{
    if (to > from) memmove(l->line.data + from, l->line.data + to, l->line.len - to);
    l->line.len -= to - from;
    if (l->line.data) l->line.data[l->line.len] = '\0';
    l->at = from;
}

static void insert(struct line_edit *l, const char *bytes, size_t n)
{
    size_t tail = l->line.len - l->at;
    buf_append(&l->line, bytes, n);
    if (!buf_ok(&l->line)) return;
    memmove(l->line.data + l->at + n, l->line.data + l->at, tail);
    memcpy(l->line.data + l->at, bytes, n);
    l->at += n;
}

/* Where the word before the cursor begins. */
static size_t word_start(const struct line_edit *l)
{
    const char *text = buf_str(&l->line);
    size_t at = l->at;
    while (at > 0 && text[at - 1] == ' ') at--;
    while (at > 0 && text[at - 1] != ' ') at--;
    return at;
}

/* Shows an earlier line, or behind the last one an empty one. */
static void show_history(struct line_edit *l, size_t which)
{
    if (which > l->n_history) return;
    l->shown = which;
    buf_clear(&l->line);
    if (which < l->n_history) buf_append_str(&l->line, l->history[which]);
    l->at = l->line.len;
}

static void remember(struct line_edit *l)
{
    if (l->line.len == 0) return;
    if (l->n_history && strcmp(l->history[l->n_history - 1], buf_str(&l->line)) == 0) return;
    char *copy = mem_strdup(l->c, buf_str(&l->line));
    if (!copy) return;
    if (l->n_history == LINE_HISTORY_MAX) {
        mem_free(l->c, l->history[0]);
        memmove(l->history, l->history + 1, (LINE_HISTORY_MAX - 1) * sizeof l->history[0]);
        l->n_history--;
    }
    l->history[l->n_history++] = copy;
}

/* Keys of several bytes: ESC [ and a letter or a number with ~, or ESC O and a letter. Others do nothing. */
static void escape_key(struct line_edit *l, const char *key, size_t n)
{
    char last = key[n - 1], first = n > 2 ? key[2] : 0;
    if (last == 'D') l->at = before(l, l->at);
    if (last == 'C') l->at = behind(l, l->at);
    if (last == 'A' && l->shown > 0) show_history(l, l->shown - 1);
    if (last == 'B') show_history(l, l->shown + 1);
    if (last == 'H' || (last == '~' && (first == '1' || first == '7'))) l->at = 0;
    if (last == 'F' || (last == '~' && (first == '4' || first == '8'))) l->at = l->line.len;
    if (last == '~' && first == '3') cut(l, l->at, behind(l, l->at));
}

bool line_edit_key(struct line_edit *l, const char *key, size_t n, enum line_result *result)
{
    unsigned char ch = (unsigned char)key[0];
    *result = LINE_READ;
    if (ch == 27) {
        if (n > 2) escape_key(l, key, n);
        return false;
    }
    if (ch == 127 || ch == 8) {
        cut(l, before(l, l->at), l->at);
        return false;
    }
    if (ch >= 32) {
        insert(l, key, n);
        return false;
    }
    switch (ch | 0x60) { /* the letter that goes with Ctrl */
    case 'm':
    case 'j':
        return true;
    case 'c':
        *result = LINE_GIVEN_UP;
        return true;
    case 'd':
        *result = LINE_END;
        if (l->line.len == 0) return true;
        cut(l, l->at, behind(l, l->at));
        return false;
    case 'a':
        l->at = 0;
        return false;
    case 'e':
        l->at = l->line.len;
        return false;
    case 'b':
        l->at = before(l, l->at);
        return false;
    case 'f':
        l->at = behind(l, l->at);
        return false;
    case 'k':
        cut(l, l->at, l->line.len);
        return false;
    case 'u':
        cut(l, 0, l->at);
        return false;
    case 'w':
        cut(l, word_start(l), l->at);
        return false;
    default:
        return false;
    }
}

/* ---- the terminal ---------------------------------------------------------------------------------------------------- */

static size_t count_columns(const char *text, size_t n)
{
    size_t columns = 0;
    for (size_t i = 0; i < n; i++) columns += !is_continuation(text[i]);
    return columns;
}

/* The prompt and as much of the line as fits, the cursor in it. */
static void line_edit_draw(const struct line_edit *l)
{
    struct winsize size;
    struct buf out;
    const char *text = buf_str(&l->line);
    size_t width = ioctl(l->out, TIOCGWINSZ, &size) == 0 && size.ws_col > 8 ? size.ws_col : 80;
    size_t prompt = count_columns(l->prompt, strlen(l->prompt)), from = 0, to = l->line.len;
    size_t most = width > prompt + 1 ? width - prompt - 1 : 1;
    while (count_columns(text + from, l->at - from) > most) from = behind(l, from);
    while (count_columns(text + from, to - from) > most) to = before(l, to);
    buf_init(&out, l->c, LINE_BYTES_MAX);
    buf_printf(&out, "\r\033[K%s", l->prompt);
    buf_append(&out, text + from, to - from);
    buf_printf(&out, "\r\033[%zuC", prompt + count_columns(text + from, l->at - from));
    if (buf_ok(&out) && write(l->out, buf_str(&out), out.len) < 0) ctx_fail(l->c, E_IO, "the terminal cannot be written");
    buf_release(&out);
}

/* One byte; 0 at the end of the input. */
static size_t read_byte(const struct line_edit *l, char *ch)
{
    ssize_t n;
    do n = read(l->in, ch, 1);
    while (n < 0 && errno == EINTR);
    return n > 0 ? 1 : 0;
}

/* One key: a character of UTF-8, or an escape sequence up to its final byte. 0 at the end of the input. */
static size_t line_edit_read_key(const struct line_edit *l, char key[KEY_BYTES])
{
    size_t n = read_byte(l, key), more = 0;
    unsigned char first = n ? (unsigned char)key[0] : 0;
    if (first == 27) {
        n += read_byte(l, key + n);
        while (n < KEY_BYTES - 1 && read_byte(l, key + n)) {
            char ch = key[n++];
            if (ch >= '@') break;
        }
        return n;
    }
    if (first >= 0xC2) more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : 1;
    while (n && more-- > 0) n += read_byte(l, key + n);
    return first < 0x80 || utf8_length((const uint8_t *)key, n) == n ? n : n ? (key[0] = 0, 1) : 0;
}

static enum line_result edit(struct line_edit *l)
{
    enum line_result result = LINE_END;
    char key[KEY_BYTES];
    for (;;) {
        line_edit_draw(l);
        size_t n = ctx_ok(l->c) ? line_edit_read_key(l, key) : 0;
        if (n == 0) return LINE_END;
        if (line_edit_key(l, key, n, &result)) break;
    }
    return ctx_ok(l->c) ? result : LINE_END;
}

/* Without a terminal: bytes up to the end of the line. */
static enum line_result line_edit_read_plain(struct line_edit *l)
{
    char ch = 0;
    size_t n = 0;
    for (; read_byte(l, &ch) && ch != '\n'; n++) buf_append_char(&l->line, ch);
    bool ended = n == 0 && l->line.len == 0 && ch != '\n';
    return ended || !buf_ok(&l->line) ? LINE_END : LINE_READ;
}

enum line_result line_edit_read(struct line_edit *l)
{
    struct termios saved, raw;
    buf_clear(&l->line);
    l->at = 0;
    l->shown = l->n_history;
    if (!l->terminal || tcgetattr(l->in, &saved) != 0) return line_edit_read_plain(l);
    raw = saved;
    cfmakeraw(&raw);
    raw.c_oflag = saved.c_oflag;
    if (tcsetattr(l->in, TCSADRAIN, &raw) != 0) return line_edit_read_plain(l);
    enum line_result result = edit(l);
    tcsetattr(l->in, TCSADRAIN, &saved);
    if (write(l->out, "\n", 1) < 0) return LINE_END;
    if (result == LINE_READ) remember(l);
    return result;
}
