/* evidence: what the documents of a corpus say together about the provenance of each, on two levels. Copy groups
 * (copy_groups.h) are told apart first; they are then gathered into topics by rare terms, names and numbers, that they
 * share. How many rows say a thing adds nothing; accounts in different words, from different kinds of source, do.
 *
 *   H = H(kinds) + EVIDENCE_SAME_KIND H(groups | kinds)      bits, over the topic's copy groups, each counted once
 *   copies = 1 - groups / rows          compression = how much better the groups' texts compress together than alone
 *   coordination = 1 - (1 - copies) (1 - compression)
 *
 * docs/score.md has the reasons, what was measured and what this cannot see. */
#ifndef YA_PREPARE_EVIDENCE_H
#define YA_PREPARE_EVIDENCE_H

#include "prepare/table_groups.h"
#include "score/score_run.h"

#define EVIDENCE_SAME_KIND 0.5
enum {
    EVIDENCE_TERMS = 48,        /* of a row: those with the smallest hashes, so that rows keep the same ones */
    EVIDENCE_TEXT_BYTES = 2048, /* of a text, for compression */
    EVIDENCE_SAMPLES = 8        /* texts of a topic, for compression */
};

struct evidence; /* opaque */

/* Reads the files up to three times: all rows, then those that may be copies, then samples. Memory: 130 bytes a row and 40
 * MB; what more there is of a row (docs/score.md) takes at most groups->memory MiB, the rest is in temporary files. Errors:
 * as row_table_read, and E_IO where there is no space for these files; faulty rows are passed over, since the scoring that
 * follows reports them. NULL on failure. */
struct evidence *evidence_new(struct ctx *c, const struct group_options *groups, const char *const *paths, size_t n_paths);
void evidence_free(struct evidence *e); /* accepts NULL */

/* The evidence for a text: false for one that is not in the corpus. Pure: any thread. */
bool evidence_find(const void *evidence, const char *text, size_t n, struct score_evidence *out);

/* A digest of the files that it was made of and of its options, for manifests. */
const char *evidence_digest(const struct evidence *e);
size_t evidence_topics(const struct evidence *e);
size_t evidence_groups(const struct evidence *e);

#endif
