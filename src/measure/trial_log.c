/* trial_log: reads and appends the lines of a file of measurements. See trial_log.h. */
#include "measure/trial_log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/system.h"
#include "io/json.h"

enum { LOG_CAP_BYTES = 1 << 24, LINE_CAP_BYTES = 1 << 14 };

const char *const trial_outcome_name[TRIAL_OUTCOMES] = {"ok", "does not fit", "too slow", "killed", "failed"};

void trial_log_release(struct trial_log *log)
{
    mem_free(log->c, log->list);
    *log = (struct trial_log){.c = log->c};
}

static struct trial_result *trial_log_new(struct trial_log *log)
{
    if (log->n == log->room) {
        size_t room = log->room ? 2 * log->room : 32;
        struct trial_result *grown = mem_resize(log->c, log->list, log->room, room, sizeof *grown);
        if (!grown) return NULL;
        log->list = grown;
        log->room = room;
    }
    struct trial_result *r = &log->list[log->n];
    *r = (struct trial_result){.outcome = TRIAL_OUTCOMES};
    return r;
}

/* A member that is text and fits. */
static void trial_take_text(struct ctx *c, const char *what, const json_t *o, const char *key, char *out, size_t bytes)
{
    const char *text = NULL;
    if (!json_member_string(c, what, o, key, true, &text)) return;
    if (strlen(text) >= bytes)
        ctx_fail(c, E_INPUT, "%s: %s is longer than %zu bytes", what, key, bytes - 1);
    else
        memcpy(out, text, strlen(text) + 1);
}

/* One line; it counts when all of it is sound. */
static enum status trial_log_line(struct trial_log *log, const char *what, const char *text, size_t n)
{
    struct ctx *c = log->c;
    const char *outcome = NULL;
    if (log->n == TRIAL_LOG_MAX)
        return ctx_fail(c, E_INPUT, "%s: more than %d measurements are not read", what, TRIAL_LOG_MAX);
    json_t *o = json_parse(c, what, text, n);
    if (o && !json_is_object(o)) ctx_fail(c, E_INPUT, "%s: is not a JSON object", what);
    struct trial_result *r = o && ctx_ok(c) ? trial_log_new(log) : NULL;
    if (r) {
        trial_take_text(c, what, o, "key", r->key, sizeof r->key);
        trial_take_text(c, what, o, "message", r->message, sizeof r->message);
        json_member_string(c, what, o, "outcome", true, &outcome);
        for (int i = 0; outcome && i < TRIAL_OUTCOMES; i++)
            if (strcmp(outcome, trial_outcome_name[i]) == 0) r->outcome = (enum trial_outcome)i;
        if (r->outcome == TRIAL_OUTCOMES) ctx_fail(c, E_INPUT, "%s: outcome is none that is known", what);
        json_member_f64(c, what, o, "tokens_per_s", true, 0, 1e12, &r->tokens_per_s);
        json_member_i64(c, what, o, "planned_bytes", true, 0, INT64_MAX / 2, &r->planned_bytes);
        json_member_i64(c, what, o, "peak_bytes", false, 0, INT64_MAX / 2, &r->peak_bytes); /* not in older lines */
    }
    if (r && ctx_ok(c)) log->n++;
    json_decref(o);
    return c->status;
}

enum status trial_log_parse(struct trial_log *log, const char *path, const char *text, size_t n)
{
    char what[CTX_MESSAGE_BYTES];
    const char *end = text + n;
    for (size_t number = 1; text < end && ctx_ok(log->c); number++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        if (!stop) break; /* a kill cut it off */
        snprintf(what, sizeof what, "%s:%zu", path, number);
        if (stop > text) trial_log_line(log, what, text, (size_t)(stop - text));
        text = stop + 1;
    }
    return log->c->status;
}

enum status trial_log_read(struct ctx *c, const char *path, struct trial_log *log)
{
    size_t n;
    *log = (struct trial_log){.c = c};
    char *text = file_exists(path) ? file_read(c, path, LOG_CAP_BYTES, &n) : NULL;
    if (text) trial_log_parse(log, path, text, n);
    mem_free(c, text);
    return c->status;
}

const struct trial_result *trial_log_find(const struct trial_log *log, const char *key)
{
    for (size_t i = log->n; i-- > 0;)
        if (strcmp(log->list[i].key, key) == 0) return &log->list[i];
    return NULL;
}

/* One write behind the end. */
static enum status append_bytes(struct ctx *c, const char *path, const struct buf *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) return file_fail(c, "open", path, errno);
    ssize_t done = write(fd, text->data, text->len);
    if (done != (ssize_t)text->len || system_sync(fd) != 0)
        file_fail(c, "write", path, done >= 0 && errno == 0 ? ENOSPC : errno);
    if (close(fd) != 0 && ctx_ok(c)) file_fail(c, "close", path, errno);
    return c->status;
}

/* Cuts off what a kill left of a last line, so that the next one begins on its own. */
static enum status cut_torn_line(struct ctx *c, const char *path)
{
    size_t n = 0;
    char *text = file_exists(path) ? file_read(c, path, LOG_CAP_BYTES, &n) : NULL;
    size_t whole = n;
    while (text && whole > 0 && text[whole - 1] != '\n') whole--;
    if (text && whole < n && truncate(path, (off_t)whole) != 0) file_fail(c, "cut", path, errno);
    mem_free(c, text);
    return c->status;
}

enum status trial_log_append(struct ctx *c, const char *path, const struct trial_result *r)
{
    struct buf text;
    const char *slash = strrchr(path, '/');
    char *folder = slash && slash > path ? mem_strndup(c, path, (size_t)(slash - path)) : NULL;
    if (folder) dir_make(c, folder);
    mem_free(c, folder);
    TRY(cut_torn_line(c, path));
    json_t *o = json_pack("{s:s, s:s, s:f, s:I, s:I, s:s}", "key", r->key, "outcome", trial_outcome_name[r->outcome],
                          "tokens_per_s", isfinite(r->tokens_per_s) ? r->tokens_per_s : 0, "planned_bytes",
                          (json_int_t)r->planned_bytes, "peak_bytes", (json_int_t)r->peak_bytes, "message", r->message);
    if (!o) return ctx_fail(c, E_INPUT, "%s: a measurement is not UTF-8", path);
    buf_init(&text, c, LINE_CAP_BYTES);
    if (json_write(c, o, false, &text) == OK) {
        if (text.len && text.data[text.len - 1] != '\n') buf_append_char(&text, '\n');
        if (buf_ok(&text)) append_bytes(c, path, &text);
    }
    buf_release(&text);
    json_decref(o);
    return c->status;
}
