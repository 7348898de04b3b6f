/* cmd_data_sources: lists the kinds of source that the scorer knows, with their usual scores. It is the table that a person
 * needs who writes auth_weight and prov_entropy by hand. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "score/rules.h"

struct data_sources_values {
    const char *rules;
    bool json;
};
#define V struct data_sources_values

static const struct option_spec specs[] = {
    STRING_ROW(V, rules, "rules", 0, NULL, "FILE", "Input", "file with rules to use in place of the built-in ones"),
    FLAG_ROW(V, json, "json", 0, "false", "Output", "print a line of JSON for each kind instead of a table"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

/* A line of JSON for each kind. */
static enum status sources_print_json(struct ctx *c, const struct rules *r)
{
    struct buf text;
    buf_init(&text, c, RULES_MAX_BYTES);
    for (size_t i = 0; i < r->n_kinds; i++) {
        const struct rules_kind *k = &r->kinds[i];
        buf_append_str(&text, "{\"source_type\":");
        json_append_string(&text, k->source_type, strlen(k->source_type));
        buf_append_str(&text, ",\"auth_weight\":");
        json_append_f64(&text, k->auth_weight);
        buf_append_str(&text, ",\"prov_entropy\":");
        json_append_f64(&text, k->prov_entropy);
        buf_append_str(&text, ",\"about\":");
        json_append_string(&text, k->about, strlen(k->about));
        buf_append_str(&text, "}\n");
    }
    if (buf_ok(&text)) fwrite(buf_str(&text), 1, text.len, stdout);
    buf_release(&text);
    return c->status;
}

/* The table for people, with s worked out. */
static void sources_print_table(const struct rules *r)
{
    printf("%-22s %11s %12s %6s  %s\n", "source_type", "auth_weight", "prov_entropy", "s", "what it is");
    for (size_t i = 0; i < r->n_kinds; i++) {
        const struct rules_kind *k = &r->kinds[i];
        printf("%-22s %11.2f %12.1f %6.2f  %s\n", k->source_type, k->auth_weight, k->prov_entropy,
               log(1 - k->auth_weight + 1e-8) + k->prov_entropy, k->about);
    }
    puts("\nWrite \"source_type\" into a row, and `your_ai data score` blends these values with what the text shows; or "
         "write\n"
         "auth_weight and prov_entropy into it yourself. s = ln(1 - auth_weight) + prov_entropy: the larger the s of a\n"
         "document is, the more it weighs in training. The values rate provenance, not truth.");
}

static enum status cmd_data_sources_run(const struct command_call *call)
{
    const struct data_sources_values *v = call->values;
    struct rules *r = rules_open(call->c, v->rules, false, SCORER_CITATION);
    if (!r) return call->c->status;
    if (v->json)
        sources_print_json(call->c, r);
    else
        sources_print_table(r);
    rules_free(call->c, r);
    return call->c->status;
}

const struct command command_data_sources = {
    .name = "data sources",
    .summary = "prints the kinds of source with their usual scores",
    .usage = "[options]",
    .about = "For somebody who gives scores by hand: which auth_weight and prov_entropy a kind of source usually has.",
    .table = &table,
    .values_bytes = sizeof(struct data_sources_values),
    .run = cmd_data_sources_run,
};
