/* coreml_session: a package that is called as an app calls it: ids in pieces of the lengths that it was made for, the cache
 * kept between calls. It runs on the interpreter (mil_run.h). */
#ifndef YA_EXPORT_COREML_SESSION_H
#define YA_EXPORT_COREML_SESSION_H

#include "export/coreml/coreml_package.h"
#include "export/coreml/mil_run.h"

struct coreml_session {
    const struct coreml_package *package;
    struct mil_run *run; /* owned */
    int64_t position, context, vocab;
    size_t ids, at; /* numbers of the inputs */
};

/* Begins with an empty cache. `half`: round to f16 as mil_run.h says. E_INPUT when the program has not the inputs, states
 * and outputs of coreml_net.h. Close also after a failure. */
enum status coreml_session_open(struct coreml_session *s, const struct coreml_package *k, bool half);
void coreml_session_close(struct coreml_session *s);

/* Computes n more ids; logits (n, vocab), after each. Takes the shortest length that holds all that are left, else the
 * longest; a call that is longer than what is left is filled up with id 0. E_INPUT past the context, or the errors of
 * mil_run_call. */
enum status coreml_session_extend(struct coreml_session *s, const int32_t *ids, int64_t n, float *logits);

#endif
