/* coreml_package: an .mlpackage, the folder that Core ML opens:
 *
 *   Manifest.json                              which items there are
 *   Data/com.apple.CoreML/model.mlmodel        the message Model: inputs, outputs, states, and the program
 *   Data/com.apple.CoreML/weights/weight.bin   the weights (coreml_blob.h) */
#ifndef YA_EXPORT_COREML_PACKAGE_H
#define YA_EXPORT_COREML_PACKAGE_H

#include "base/file.h"
#include "export/coreml/coreml_net.h"

/* What stands in the description beside the program. */
struct coreml_description {
    const char *text;         /* what the model is, for people */
    const char *pairs[16][2]; /* keys and values for programs */
    size_t n_pairs;
};

/* Writes the package of a program into the new folder `path`; each file is fsynced, model.mlmodel comes last but for the
 * manifest. E_IO, E_NUMERIC naming a tensor that f16 cannot hold, E_MEMORY. */
enum status coreml_package_write(const struct coreml_net *n, struct merged *list, const struct coreml_options *o,
                                 const struct coreml_description *d, const char *path);

/* A package that was opened. */
struct coreml_package {
    struct ctx *c;
    struct file_map *model, *weights;    /* owned */
    struct mil_program *program;         /* owned */
    char *name;                          /* owned: for messages */
    int64_t lengths[COREML_LENGTHS_MAX]; /* of the first input, ascending */
    int n_lengths;
};

/* Opens a package that coreml_package_write wrote. NULL with E_INPUT, E_UNSUPPORTED (see mil_read), E_IO, E_MEMORY. Owner:
 * the caller. coreml_package_close accepts NULL. */
struct coreml_package *coreml_package_open(struct ctx *c, const char *path);
void coreml_package_close(struct coreml_package *k);

/* The part of it that reads the bytes of model.mlmodel, which must outlive k: sets program and lengths. */
enum status coreml_package_read(struct coreml_package *k, const uint8_t *bytes, size_t n);

#endif
