/* doctor: what is wrong with rows before they are trained on. It changes nothing; each finding has a count, one row as an
 * example and what to do about it. docs/prepare.md lists the findings and their limits. */
#ifndef YA_PREPARE_DOCTOR_H
#define YA_PREPARE_DOCTOR_H

#include "prepare/table_groups.h"

enum doctor_check {
    DOCTOR_NO_TEXT,      /* rows without a text */
    DOCTOR_FAULTY,       /* rows that are no JSON object, or cannot be read */
    DOCTOR_EQUAL,        /* rows whose text an earlier row has */
    DOCTOR_NEAR,         /* rows nearly equal to an earlier one */
    DOCTOR_LEAK,         /* rows that hold an item of the evaluation files */
    DOCTOR_EMPTY_TURN,   /* an assistant turn, completion or output without text */
    DOCTOR_LENGTH,       /* texts far longer or shorter than the median */
    DOCTOR_SCORE_RANGE,  /* auth_weight or prov_entropy out of range, or one without the other */
    DOCTOR_UNSCORED,     /* rows without scores among rows with them */
    DOCTOR_EQUAL_SCORES, /* all weights are equal: they do nothing */
    DOCTOR_FEW_ROWS,     /* the weights rest on few rows */
    DOCTOR_CONTRADICTS,  /* scores far from those of the row's source_type */
    DOCTOR_INVERTED,     /* scores run against what the texts, or the kinds of source, say */
    DOCTOR_CHECKS
};

struct doctor_finding {
    int64_t count;    /* rows; 0: nothing was found */
    size_t example;   /* index into the table's rows */
    char detail[160]; /* what was measured, may be empty */
};

struct doctor_options {
    struct group_options groups;
    const char *const *eval; /* (n_eval) files of evaluation items */
    size_t n_eval;
    int64_t eval_words; /* words in a row that a training row and an item have in common */
};

struct doctor_result {
    struct row_table table; /* for the names of examples */
    struct doctor_finding findings[DOCTOR_CHECKS];
    int64_t items; /* of the evaluation files */
    int found;     /* findings */
};

/* A finding's name ("no_text"), which stays the same from version to version, and what to do about it in one sentence.
 * Constants. */
const char *doctor_name(enum doctor_check check);
const char *doctor_advice(enum doctor_check check);

/* Fills *result, which doctor_release undoes, also after a failure. Errors are those of files as a whole (row_table_read); a
 * faulty row is a finding. */
enum status doctor_run(struct ctx *c, const struct doctor_options *o, const char *const *paths, size_t n_paths,
                       struct doctor_result *result);
void doctor_release(struct doctor_result *result);

#endif
