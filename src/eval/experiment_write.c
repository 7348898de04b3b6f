/* experiment_write: results.json and cells.csv. A member of "fits" and a row of the table look like this:
 *
 *   {"fit": "change", "arm": "monotone", "epochs": 3, "asked": "trained", "slope": 0.74, "low": 0.69, "high": 0.8,
 *    "intercept": 0, "points": 96}
 *
 *   monotone,3,10,3,0,held-out,17,1.2039728,0.41
 *
 * The fields of the row are arm, repeat, ratio, epochs, seed, way to ask, fact, predicted and measured. The page
 * report.html is written by experiment_html.c. */
#include "eval/experiment_write.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"

enum { RESULTS_CAP_BYTES = 256 << 20 };

static void experiment_write_number(struct buf *out, const char *before, double value)
{
    buf_append_str(out, before);
    json_append_f64(out, value);
}

static void write_slope(struct buf *out, const struct slope *s)
{
    experiment_write_number(out, "", s->slope);
    experiment_write_number(out, ", \"low\": ", s->low);
    experiment_write_number(out, ", \"high\": ", s->high);
}

static void write_fit(struct buf *out, const struct fit *f)
{
    buf_printf(out,
               "{\"fit\": \"%s\", \"arm\": \"%s\", \"epochs\": %lld, \"asked\": \"%s\", \"slope\": ", fit_kind_name[f->kind],
               f->arm == ARM_BASE ? "off and monotone" : arm_name[f->arm], (long long)f->epochs, belief_name[f->belief]);
    write_slope(out, &f->slope);
    experiment_write_number(out, ", \"intercept\": ", f->slope.intercept);
    experiment_write_number(out, ", \"points\": ", f->slope.points);
    buf_append_str(out, "}");
}

static void experiment_write_group(struct buf *out, const struct fit_group *g)
{
    const struct cell *k = &g->cell;
    buf_printf(out, "{\"arm\": \"%s\", \"repeat\": %lld, \"ratio\": %lld, \"epochs\": %lld, \"seeds\": %lld",
               arm_name[k->arm], (long long)k->repeat, (long long)k->ratio, (long long)k->epochs, (long long)k->seed);
    experiment_write_number(out, ", \"predicted\": ", g->predicted);
    experiment_write_number(out, ", \"perplexity\": ", g->perplexity);
    buf_append_str(out, ",\n   \"said\": {");
    for (int i = 0; i < BELIEF_SAID; i++)
        buf_printf(out, "%s\"%s\": {\"primary\": %lld, \"consensus\": %lld, \"neither\": %lld}", i ? ", " : "",
                   belief_name[i], (long long)g->said[i].primary, (long long)g->said[i].consensus,
                   (long long)g->said[i].neither);
    buf_append_str(out, "},\n   \"log_odds\": {");
    for (int b = 0; b < BELIEFS; b++) {
        buf_printf(out, "%s\n    \"%s\": {\"mean\": ", b ? "," : "", belief_name[b]);
        write_slope(out, &g->mean[b]);
        experiment_write_number(out, ", \"primary_preferred\": ", g->preferred[b]);
        buf_append_str(out, "}");
    }
    buf_append_str(out, "}}");
}

static void experiment_write_results(struct buf *out, const struct experiment_fits *f)
{
    buf_append_str(out, "{\"fits\": [");
    for (size_t i = 0; i < f->n; i++) {
        buf_append_str(out, i ? ",\n  " : "\n  ");
        write_fit(out, &f->fits[i]);
    }
    buf_append_str(out, "],\n \"groups\": [");
    for (size_t i = 0; i < f->n_groups; i++) {
        buf_append_str(out, i ? ",\n  " : "\n  ");
        experiment_write_group(out, &f->groups[i]);
    }
    buf_append_str(out, "]}\n");
}

static void write_cell_number(struct buf *out, double value)
{
    buf_append_char(out, ',');
    if (isfinite(value)) json_append_f64(out, value);
}

static void write_csv(struct buf *out, const struct experiment *e)
{
    buf_append_str(out, "arm,repeat,ratio,epochs,seed,asked,fact,predicted,measured\n");
    for (size_t i = 0; i < e->n; i++) {
        const struct trial *t = &e->trials[i];
        const struct cell *k = &t->cell;
        for (int b = 0; b < BELIEFS; b++)
            for (size_t fact = 0; fact < t->n_facts; fact++) {
                buf_printf(out, "%s,%lld,%lld,%lld,%lld,%s,%zu", arm_name[k->arm], (long long)k->repeat, (long long)k->ratio,
                           (long long)k->epochs, (long long)k->seed, belief_name[b], fact);
                write_cell_number(out, belief_is_unseen((enum belief)b) ? (double)NAN
                                       : b == BELIEF_TRAINED            ? t->phrased[fact]
                                                                        : t->pooled[fact]);
                write_cell_number(out, t->odds[(size_t)b * t->n_facts + fact]);
                buf_append_char(out, '\n');
            }
    }
}

static enum status experiment_write_text(struct ctx *c, const char *dir, const char *name, const struct buf *text)
{
    char *path = buf_ok(text) ? path_join(c, dir, name) : NULL;
    if (path) file_write_atomic(c, path, buf_str(text), text->len);
    mem_free(c, path);
    return c->status;
}

enum status experiment_write(const struct experiment *e, const struct experiment_fits *f, const char *dir)
{
    struct buf text;
    buf_init(&text, e->c, RESULTS_CAP_BYTES);
    experiment_write_results(&text, f);
    experiment_write_text(e->c, dir, "results.json", &text);
    buf_clear(&text);
    write_csv(&text, e);
    experiment_write_text(e->c, dir, "cells.csv", &text);
    buf_release(&text);
    return e->c->status;
}
