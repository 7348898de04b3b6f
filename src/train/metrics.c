/* metrics: metrics.jsonl and timing.jsonl of a run. See metrics.h.
 *
 * Lines are written with one write(2) each, so a run that is killed or finds the disk full leaves at most one torn line at
 * the end of each file. Resume removes it: metrics.jsonl is cut to what the checkpoint knows, timing.jsonl, which only
 * grows, behind its last whole line. Plain appending is enough here: only checkpoints need the temporary-and-rename dance.
 */
#include "train/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/resource.h"
#include "base/system.h"
#include "io/json.h"

/* Both open files and one buffer in which every line is put together. */
struct metrics {
    struct resource resource;
    struct ctx *c;
    char *path, *timing_path;
    int fd, timing_fd;
    uint64_t bytes; /* length of metrics.jsonl */
    struct buf line;
};

enum {
    LINE_CAP_BYTES = 1 << 20, /* of a line, in which the paths of some files may stand */
    TIMING_LINE_BYTES = 512   /* and of one of timing.jsonl, which holds four numbers */
};

/* O_NOFOLLOW: a symbolic link under the name of a run's own file is refused. */
static enum status open_append(struct ctx *c, const char *path, int *fd)
{
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (*fd < 0) return ctx_fail(c, E_IO, "%s: cannot be opened for writing: %s", path, strerror(errno));
    return OK;
}

/* Cuts metrics.jsonl to what the checkpoint knows. */
static enum status cut_back(struct metrics *m, uint64_t keep_bytes)
{
    struct stat st;
    if (fstat(m->fd, &st) != 0) return ctx_fail(m->c, E_IO, "%s: %s", m->path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return ctx_fail(m->c, E_INPUT, "%s: is not a regular file", m->path);
    if ((uint64_t)st.st_size < keep_bytes)
        return ctx_fail(m->c, E_INPUT,
                        "%s: has %" PRId64 " bytes, but the checkpoint was written after %" PRIu64
                        ": the file was changed. Restore it, or start a new run",
                        m->path, (int64_t)st.st_size, keep_bytes);
    if (ftruncate(m->fd, (off_t)keep_bytes) != 0 || lseek(m->fd, 0, SEEK_END) < 0)
        return ctx_fail(m->c, E_IO, "%s: cannot be cut to %" PRIu64 " bytes: %s", m->path, keep_bytes, strerror(errno));
    m->bytes = keep_bytes;
    return OK;
}

/* Cuts timing.jsonl behind its last whole line: a line that a full disk left half written would become a faulty one in the
 * middle of the file by what is appended to it. */
static enum status cut_torn_timing(struct metrics *m)
{
    struct stat st;
    char tail[TIMING_LINE_BYTES];
    if (fstat(m->timing_fd, &st) != 0) return ctx_fail(m->c, E_IO, "%s: %s", m->timing_path, strerror(errno));
    off_t begin = st.st_size > TIMING_LINE_BYTES ? st.st_size - TIMING_LINE_BYTES : 0, whole = begin;
    ssize_t n = pread(m->timing_fd, tail, sizeof tail, begin);
    if (n < 0) return ctx_fail(m->c, E_IO, "%s: cannot be read: %s", m->timing_path, strerror(errno));
    while (n > 0 && tail[n - 1] != '\n') n--;
    whole += n;
    if (n == 0 && begin > 0)
        return ctx_fail(m->c, E_INPUT, "%s: its last %d bytes hold no line: the file was changed. Restore it, or remove it",
                        m->timing_path, TIMING_LINE_BYTES);
    if (whole < st.st_size && ftruncate(m->timing_fd, whole) != 0)
        return ctx_fail(m->c, E_IO, "%s: cannot be cut to %" PRId64 " bytes: %s", m->timing_path, (int64_t)whole,
                        strerror(errno));
    if (lseek(m->timing_fd, 0, SEEK_END) < 0) return ctx_fail(m->c, E_IO, "%s: %s", m->timing_path, strerror(errno));
    return OK;
}

/* Paths, descriptors, and the cuts. */
static enum status open_both(struct metrics *m, const char *run_dir, uint64_t keep_bytes)
{
    m->path = mem_printf(m->c, "%s/metrics.jsonl", run_dir);
    m->timing_path = mem_printf(m->c, "%s/timing.jsonl", run_dir);
    if (!m->path || !m->timing_path) return m->c->status;
    TRY(open_append(m->c, m->path, &m->fd));
    TRY(open_append(m->c, m->timing_path, &m->timing_fd));
    TRY(dir_sync_parent(m->c, m->path)); /* a checkpoint without the metrics that it counts on cannot be resumed */
    TRY(cut_torn_timing(m));
    return cut_back(m, keep_bytes);
}

/* Closes the files after a panic, when nobody closes them in order. */
static void metrics_give_back(struct resource *r)
{
    struct metrics *m = (struct metrics *)r;
    if (m->fd >= 0) close(m->fd);
    if (m->timing_fd >= 0) close(m->timing_fd);
}

struct metrics *metrics_open(struct ctx *c, const char *run_dir, uint64_t keep_bytes)
{
    struct metrics *m = mem_alloc(c, 1, sizeof(*m));
    if (!m) return NULL;
    m->c = c;
    m->fd = m->timing_fd = -1;
    resource_hold(c, &m->resource, metrics_give_back);
    buf_init(&m->line, c, LINE_CAP_BYTES);
    if (open_both(m, run_dir, keep_bytes) == OK) return m;
    metrics_close(m);
    return NULL;
}

void metrics_close(struct metrics *m)
{
    if (!m) return;
    resource_drop(m->c, &m->resource);
    metrics_give_back(&m->resource);
    buf_release(&m->line);
    mem_free(m->c, m->path);
    mem_free(m->c, m->timing_path);
    mem_free(m->c, m);
}

/* ---- lines ----------------------------------------------------------------------------------------------------------- */

/* A line is one JSON object, whose first member is the step. */
static void metrics_begin(struct metrics *m, const char *first_key, int64_t value)
{
    buf_clear(&m->line);
    buf_printf(&m->line, "{\"%s\":%" PRId64, first_key, value);
}

/* One member of the line. */
static void add_i64(struct metrics *m, const char *key, int64_t value)
{
    buf_printf(&m->line, ",\"%s\":%" PRId64, key, value);
}

/* 17 digits, so the value reads back to the same bits; what is not finite becomes null. */
static void add_f64(struct metrics *m, const char *key, double value)
{
    buf_printf(&m->line, ",\"%s\":", key);
    json_append_f64(&m->line, value);
}

/* One member of the line. */
static void add_bool(struct metrics *m, const char *key, bool value)
{
    buf_printf(&m->line, ",\"%s\":%s", key, value ? "true" : "false");
}

/* One source, behind the first with a comma. `weight` is that of all sources of its kind. */
static void metrics_add_source(struct buf *line, const struct source_row *row, double weight, bool first)
{
    const struct source_sums *s = &row->sums;
    buf_append_str(line, first ? "{" : ",{");
    source_row_json(row, line);
    buf_printf(line, ",\"trained_tokens\":%" PRId64 ",\"weight_share\":", s->tokens);
    json_append_f64(line, s->weight / weight);
    buf_append_str(line, ",\"loss\":");
    json_append_f64(line, s->nll / (double)s->tokens);
    buf_append_str(line, ",\"weighted_loss\":");
    json_append_f64(line, s->weighted / (double)s->tokens);
    buf_append_char(line, '}');
}

/* The list of sources; no member where there are none to tell apart. */
static void metrics_add_sources(struct metrics *m, const char *key, const struct source_loss *s)
{
    double weight[SOURCE_BYS] = {0};
    bool first = true;
    if (!s || s->n_rows == 0) return;
    for (size_t i = 0; i < s->n_rows; i++) weight[s->rows[i].by] += s->rows[i].sums.weight;
    buf_printf(&m->line, ",\"%s\":[", key);
    for (size_t i = 0; i < s->n_rows; i++) {
        if (s->rows[i].sums.tokens == 0) continue;
        metrics_add_source(&m->line, &s->rows[i], weight[s->rows[i].by], first);
        first = false;
    }
    buf_append_char(&m->line, ']');
}

/* Ends the line and writes all of it. */
static enum status metrics_end(struct metrics *m, int fd, const char *path)
{
    buf_append_str(&m->line, "}\n");
    if (!buf_ok(&m->line)) return m->c->status;
    const char *p = m->line.data;
    for (size_t left = m->line.len; left > 0;) {
        ssize_t n = write(fd, p, left);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return ctx_fail(m->c, E_IO, "%s: cannot be written: %s", path, strerror(errno));
        p += n;
        left -= (size_t)n;
    }
    return OK;
}

enum status metrics_add_step(struct metrics *m, const struct metrics_step *s)
{
    metrics_begin(m, "step", s->step);
    add_i64(m, "epoch", s->epoch);
    add_f64(m, "loss", s->loss);
    add_f64(m, "weighted_loss", s->weighted_loss);
    add_f64(m, "distrust", s->distrust);
    add_f64(m, "total", s->total);
    add_f64(m, "lr", s->lr);
    add_f64(m, "grad_norm", s->grad_norm);
    add_f64(m, "clip_threshold", s->threshold);
    add_bool(m, "clipped", s->clipped);
    add_f64(m, "clip_share", s->clip_share);
    add_f64(m, "omega", s->omega);
    add_i64(m, "trained_tokens", s->trained_tokens);
    add_i64(m, "tokens", s->tokens);
    metrics_add_sources(m, "sources", s->sources);
    TRY(metrics_end(m, m->fd, m->path));
    m->bytes += m->line.len;
    return OK;
}

enum status metrics_add_eval(struct metrics *m, const struct metrics_eval *e)
{
    metrics_begin(m, "step", e->step);
    add_f64(m, "valid_loss", e->loss);
    add_f64(m, "valid_weighted_loss", e->weighted_loss);
    add_i64(m, "valid_trained_tokens", e->trained_tokens);
    add_bool(m, "best", e->best);
    metrics_add_sources(m, "valid_sources", e->sources);
    TRY(metrics_end(m, m->fd, m->path));
    m->bytes += m->line.len;
    return OK;
}

enum status metrics_add_timing(struct metrics *m, const struct metrics_timing *t)
{
    metrics_begin(m, "step", t->step);
    add_f64(m, "seconds", t->seconds);
    add_f64(m, "tokens_per_s", t->tokens_per_s);
    add_i64(m, "peak_bytes", (int64_t)t->peak_bytes);
    return metrics_end(m, m->timing_fd, m->timing_path);
}

enum status metrics_sync(struct metrics *m, uint64_t *bytes)
{
    if (system_sync(m->fd) != 0) return ctx_fail(m->c, E_IO, "%s: fsync: %s", m->path, strerror(errno));
    *bytes = m->bytes;
    return OK;
}
