/* export: what was trained, in the formats of the programs that run models.
 *
 * Each format is one writer (src/export/formats, src/export/gguf, src/export/mlx) behind struct export_format. It writes
 * into a folder that has another name until everything is there: the export is written, opened again by this program's own
 * readers, its logits on a fixed prompt are compared with those of what was trained, export.json and README.md
 * (export_card.h) say what came out, and only then the folder gets its name. A killed export leaves FOLDER.your_ai-export,
 * which the next one clears. */
#ifndef YA_EXPORT_EXPORT_H
#define YA_EXPORT_EXPORT_H

#include "export/merged.h"
#include "io/tokenizer/tokenizer.h"

/* What is exported: a model, and the adapter on it. */
struct export_source {
    struct ctx *c;
    char *run, *adapter, *model_path; /* owned; run, adapter: NULL when there is none */
    struct model *model;              /* owned, as its file has it, with the adapter attached */
    struct lora *lora;                /* owned; NULL: the model alone */
    struct tokenizer *tokenizer;      /* owned; NULL: the model's cannot be read */
    const char *base_name;            /* what adapters call the model; NULL: model->name */
    char *made_of;                    /* owned: for the card, what the adapter was made of; NULL: of a training alone */
    const char *system;               /* of an Ollama Modelfile; NULL: none */
    size_t shard_bytes;               /* of safetensors; 0: 5 * 10^9 */
    int64_t coreml_context;     /* tokens that the cache of a Core ML package holds; 0: 2048, or as many as the model has */
    const char *coreml_lengths; /* "1,64": how many tokens a call to it takes; NULL: these */
    bool force_size;            /* also of models that are too large for a format */
    merged_progress *report;    /* may be NULL */
    void *report_user;
};

/* Finds and opens what `operand` names: the folder of a run (its adapter/), an adapter in any format that is read, or NULL
 * for the model alone. `model` NULL: the model is the one that the run or the adapter names. The adapter is held against the
 * model (peft_check_base with `force`). Close with export_close, also after a failure. E_INPUT. */
enum status export_open_with(struct export_source *s, struct ctx *c, const char *operand, const char *model, bool force);
static inline enum status export_open(struct export_source *s, struct ctx *c, const char *operand, const char *model)
{
    return export_open_with(s, c, operand, model, false);
}
void export_close(struct export_source *s);

/* One more adapter for the model of a source that is open, held against it in the same way; *path becomes what `operand`
 * stands for (a run's adapter/). Owner of both: the caller. NULL with E_INPUT for an adapter of another model, or one whose
 * modules have other shapes. */
struct lora *export_open_adapter(struct export_source *s, const char *operand, bool force, char **path);

/* What comparing an export with its source gave. */
struct export_difference {
    int64_t tokens, vocab;
    double largest;   /* of |logit of the export - logit of the source| */
    double relative;  /* L2 of the difference by L2 of the logits, both without their mean at each token */
    bool weights;     /* weights were compared, not logits: only `relative` is set, of all matrices */
    int64_t same_top; /* tokens at which both find the same next token most probable */
};

/* How an export is run, as a line for a shell. */
struct export_usage {
    const char *command; /* the line; in it " %s" is where what `opens` gave in the final folder goes, quoted where a shell
                            asks for that. Of a line with `python` it is what stands before the program */
    const char *python;  /* a program that follows as one quoted word; in it "%s" is that path as a string. NULL: none */
    const char *note;    /* what else there is to say, without brackets and full stop; NULL: nothing */
};

struct export_format {
    const char *name;    /* "gguf" */
    const char *types;   /* "bf16|f16|f32", the first is taken when none is asked for; NULL: there is one form only */
    bool is_adapter;     /* holds the adapter; else the model with the adapter merged in */
    const char *library; /* what hubs call the program that loads it ("transformers") */
    const char *holds;   /* for the card: what the folder holds, without a full stop */
    /* Bytes of the tensors that write will write. */
    uint64_t (*bytes)(const struct export_source *s, const char *type);
    /* Writes everything into the empty folder `dir`; `type` as in struct export_target. E_IO, E_NUMERIC, E_UNSUPPORTED, ...
     */
    enum status (*write)(const struct export_source *s, const char *dir, const char *type);
    /* What this program's readers open of it: the folder, or a file in it. Owner: the caller. */
    char *(*opens)(const struct export_source *s, const char *dir, const char *type);
    /* Largest relative difference of logits that this type may cause; more is a fault of the export. */
    double (*limit)(const char *type);
    /* For what model_open cannot open: a comparison of its own, of logits, or of the weights of what was written with those
     * that were merged (`weights` is then set in *out). NULL for all others. */
    enum status (*check)(const struct export_source *s, const char *dir, const char *type, struct export_difference *out);
    struct export_usage usage;
    /* The line where that one would not work; NULL as a function or as a result: it works. */
    const struct export_usage *(*other_usage)(const struct export_source *s);
};

/* One export that is asked for. */
struct export_target {
    const struct export_format *format;
    char type[16]; /* "" for formats without types */
    char *path;    /* owned: the folder */
    uint64_t bytes;
};
enum { EXPORT_TARGETS_MAX = 16, EXPORT_TARGET_BYTES = 64 };
struct export_job {
    struct export_target targets[EXPORT_TARGETS_MAX];
    size_t n;
};

/* Parses "FORMAT[:TYPE],..." and gives each its folder: `out` itself for one format, OUT/FORMAT[-TYPE] for several. Refuses
 * unknown formats and types (naming all), duplicates, adapter formats without an adapter, and folders that are there and not
 * empty. E_INPUT; E_FIT when the tensors need more than the disk has free. Release with export_job_release. */
enum status export_plan(const struct export_source *s, const char *list, const char *out, struct export_job *job);
void export_job_release(struct ctx *c, struct export_job *job);
/* "gguf:q4_k_m", into `out`, which is the result. */
const char *export_target_text(const struct export_target *t, char out[EXPORT_TARGET_BYTES]);

/* What export_write did. */
struct export_result {
    bool verified;
    struct export_difference difference; /* when verified */
    uint64_t bytes;                      /* of all files */
    char *opens;                         /* owned */
};

/* Writes one target, checks it (unless `verify` is false) and publishes it. *wanted holds the logits of the source between
 * calls. E_NUMERIC when the export computes something else than what was trained: nothing is published then. */
struct export_logits;
enum status export_write(const struct export_source *s, const struct export_target *t, bool verify,
                         struct export_logits **wanted, struct export_result *result);
void export_logits_free(struct export_logits *l); /* accepts NULL */

/* "peft, safetensors (bf16, f16, f32), ..." */
void export_list_formats(struct buf *out);

#endif
