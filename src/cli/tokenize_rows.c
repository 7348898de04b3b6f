/* tokenize_rows: shows rows as training will see them. They go through the same data set as in training (a temporary one,
 * which is removed at the end), so what is printed is what is trained, truncation and splitting included. */
#include "cli/tokenize_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/token_view.h"
#include "data/dataset_temporary.h"
#include "io/json.h"

enum { JSON_CAP_BYTES = 1 << 28 };

/* A document for people: its place, its counts and weight, then its text with the trained part marked. */
static enum status rows_print_text(const struct token_view *v, const struct dataset *d, const struct objective *o, int64_t i)
{
    const struct dataset_document *e = dataset_document(d, i);
    printf("%s:%" PRId64 "  %d tokens, %d trained, omega %.3f", dataset_file(d, (size_t)e->file).path, e->row, e->n,
           e->n_trained, objective_omega(o, e->auth_weight, e->prov_entropy));
    if (e->loss_weight != 1) printf(", loss_weight %g", e->loss_weight);
    fputs("\n  ", stdout);
    TRY(token_view_print(v, dataset_tokens(d, i), dataset_trained(d, i), (size_t)e->n));
    putchar('\n');
    return OK;
}

/* A document as a line of JSON. */
static enum status rows_print_json(struct ctx *c, const struct dataset *d, const struct objective *o, int64_t i)
{
    const struct dataset_document *e = dataset_document(d, i);
    const char *path = dataset_file(d, (size_t)e->file).path;
    struct buf b;
    buf_init(&b, c, JSON_CAP_BYTES);
    buf_append_char(&b, '{');
    if (dataset_n_files(d) > 1) {
        buf_append_str(&b, "\"file\": ");
        json_append_string(&b, path, strlen(path));
        buf_append_str(&b, ", ");
    }
    buf_printf(&b, "\"row\": %" PRId64 ", \"ids\": [", e->row);
    for (int32_t k = 0; k < e->n; k++) buf_printf(&b, k ? ", %d" : "%d", dataset_tokens(d, i)[k]);
    buf_append_str(&b, "], \"trained\": [");
    for (int32_t k = 0; k < e->n; k++) buf_printf(&b, k ? ", %d" : "%d", dataset_trained(d, i)[k]);
    buf_append_str(&b, "], \"omega\": ");
    json_append_f64(&b, objective_omega(o, e->auth_weight, e->prov_entropy));
    buf_append_char(&b, '}');
    if (buf_ok(&b)) puts(buf_str(&b));
    buf_release(&b);
    return c->status;
}

enum status tokenize_rows(struct ctx *c, const struct tokenizer *t, const struct tokenize_rows_options *o)
{
    struct token_view view = {.c = c, .tokenizer = t, .color = command_color(STDOUT_FILENO), .most = SIZE_MAX};
    struct objective objective;
    struct dataset *d = dataset_temporary_new(c, t, &o->rows);
    if (!d) return c->status;
    enum status status = objective_fit(c, &o->objective, d, &objective);
    for (int64_t i = 0; status == OK && i < dataset_n_documents(d); i++)
        status = o->json ? rows_print_json(c, d, &objective, i) : rows_print_text(&view, d, &objective, i);
    dataset_close(d);
    return status;
}
