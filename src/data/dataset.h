/* dataset: rows tokenised once into a file that is mapped from then on, so that memory stays small, a resumed run sees the
 * very same tokens, and the objective and the packs can be computed from counts without touching text.
 *
 * What becomes of a row:
 *   text                 [BOS] text [EOS], all trained
 *   prompt, completion   with a chat template the conversation of a user and an assistant. Without one, or `raw`:
 *                        [BOS] prompt completion [EOS], completion and EOS trained. The two strings are tokenised apart: a
 *                        token that spans the boundary would be half trained, and at inference the prompt ends there too.
 *   messages             as the model's chat template renders them; assistant turns trained (chat_train.h). A template that
 *                        rewrites earlier turns makes several sequences of a row
 * BOS by the model's own rule (tokenizer_adds_bos), EOS when the model has one. Text of special tokens in a row is plain
 * text, unless `special` says otherwise; then a BOS or EOS that the text has itself is not doubled. The first token of a
 * document has nothing before it and is never trained.
 *
 * Rows longer than max_length are split, so that every trained token is trained exactly once. A run of trained tokens that
 * fits stays whole and has before it as much as fits of what precedes it: of a long prompt its end. A run that does not fit
 * is cut; each further piece starts with the last token of the one before (not trained). Or rows are truncated. */
#ifndef YA_DATA_DATASET_H
#define YA_DATA_DATASET_H

#include "data/records.h"
#include "io/template/chat_train.h"

struct dataset; /* opaque */

enum dataset_long { LONG_SPLIT, LONG_TRUNCATE };

/* What was done with rows that a user may not expect, in numbers of rows. It is logged too. */
struct dataset_notes {
    struct chat_notes chat; /* by the chat template */
    int64_t pairs;          /* of prompt and completion, put into the chat template or joined although there is one */
};

struct dataset_options {
    const char *const *paths; /* NAME or NAME:WEIGHT (row_path.h); borrowed during dataset_build */
    size_t n_paths;           /* 1 to DATASET_FILES_MAX */
    int64_t max_length;       /* most tokens of a document, 2 to DATASET_LENGTH_MAX */
    enum dataset_long long_documents;
    bool skip_bad_rows;
    bool raw;           /* prompt and completion are joined as they stand, also when the model has a chat template */
    bool special;       /* control tokens spelled in text, prompt and completion become those tokens */
    enum row_form form; /* of rows that have several */
    double default_auth_weight, default_prov_entropy; /* for rows without; NaN: none given */
    enum chat_choice chat;                            /* the template of conversations */
    const char *date;                                 /* what templates are told; NULL: see chat_template.h */
    enum chat_train_on train_on;
    enum chat_mask mask;
    struct dataset_notes *notes; /* set by dataset_build; NULL: not wanted */
};
enum { DATASET_FILES_MAX = 4096, DATASET_LENGTH_MAX = 1 << 24, DATASET_TYPES_MAX = 256, DATASET_TYPE_BYTES = 63 };

/* The paths with 2048 tokens at most, long rows split, faulty rows an error, no default scores, and the model's own
 * template. */
struct dataset_options dataset_options_default(const char *const *paths, size_t n_paths);

struct dataset_counts {
    int64_t rows;             /* read; blank lines are not rows */
    int64_t bad[FAULT_COUNT]; /* rows skipped, by reason */
    int64_t bad_rows;         /* their sum */
    int64_t unweighted_rows;  /* rows with loss_weight 0: masked whole, so not kept */
    int64_t documents;        /* pieces count as documents */
    int64_t tokens;           /* kept = trained + masked */
    int64_t trained, masked;
    int64_t split_rows;      /* rows that became several pieces */
    int64_t truncated_rows;  /* rows cut at max_length */
    int64_t left_out_tokens; /* behind the cut, or in no piece */
    int64_t scored_rows;     /* good rows with both auth_weight and prov_entropy, defaults not counted */
    int64_t max_token;       /* largest id, to be compared with the model's vocabulary; -1 when there is none */
};

/* A document as it stands in the file. */
struct dataset_document {
    int64_t first;       /* byte offset of its tokens in the file */
    int64_t row;         /* line of the source file, from 1 */
    int32_t file;        /* index of the source file */
    int32_t n;           /* tokens, 2 to max_length */
    int32_t n_trained;   /* 1 to n - 1 */
    int32_t source_type; /* index of its name (dataset_type); -1: the row has none */
    double auth_weight;  /* [0, 0.99]; NaN: none */
    double prov_entropy; /* >= 0 bits; NaN: none */
    double loss_weight;  /* (0, 1e6] */
};

/* An input file, for the run's data manifest. */
struct dataset_file {
    const char *path; /* as given, without its weight, or "standard input"; owner the dataset */
    uint64_t bytes;
    char sha256[65];
};

/* Tokenises the files into cache_path (written atomically) and fills *counts. Memory: one row and 56 bytes a document.
 * Errors: E_INPUT (a faulty row, no document at all), E_UNSUPPORTED (chat template), E_IO, E_MEMORY. */
enum status dataset_build(struct ctx *c, const struct tokenizer *t, const struct dataset_options *options,
                          const char *cache_path, struct dataset_counts *counts);

/* Maps a cache file. Everything in it is checked, its SHA-256 included: NULL with E_INPUT on any difference. Owner of the
 * result: the caller. The dataset is immutable and may be read from several threads. */
struct dataset *dataset_open(struct ctx *c, const char *cache_path);
void dataset_close(struct dataset *d); /* accepts NULL */

/* What the file holds. Pointers lie in the mapped file and are valid until dataset_close; an index out of range is a BUG_ON.
 */
const struct dataset_counts *dataset_counts(const struct dataset *d);
int64_t dataset_max_length(const struct dataset *d);
int64_t dataset_n_documents(const struct dataset *d);
const struct dataset_document *dataset_document(const struct dataset *d, int64_t i);
const int32_t *dataset_tokens(const struct dataset *d, int64_t i); /* (n) */
/* (n) how each token is a target: 0 not, 1 fully, more: with the weight chat_weight gives (chat_train.h); [0] is 0 */
const uint8_t *dataset_trained(const struct dataset *d, int64_t i);
double dataset_trained_weight(const struct dataset *d, int64_t i); /* sum of these weights */
size_t dataset_n_files(const struct dataset *d);
struct dataset_file dataset_file(const struct dataset *d, size_t i);
size_t dataset_n_types(const struct dataset *d);
const char *dataset_type(const struct dataset *d, size_t i); /* name of a source type */

/* E_IO when the cache file changed under the program; once a step. */
enum status dataset_check(struct ctx *c, const struct dataset *d);

#endif
