/* dataset_temporary: see dataset_temporary.h. */
#include "data/dataset_temporary.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

struct dataset *dataset_temporary_new(struct ctx *c, const struct tokenizer *t, const struct dataset_options *options)
{
    const char *folder = getenv("TMPDIR");
    struct dataset_counts counts;
    struct dataset *d = NULL;
    char *cache = mem_printf(c, "%s/your_ai_rows_XXXXXX", folder && *folder ? folder : "/tmp");
    int fd = cache ? mkstemp(cache) : -1;
    if (cache && fd < 0) ctx_fail(c, E_IO, "%s: cannot be made: the tokenised rows need room in $TMPDIR", cache);
    if (fd >= 0) {
        close(fd);
        if (dataset_build(c, t, options, cache, &counts) == OK) d = dataset_open(c, cache);
        unlink(cache);
    }
    mem_free(c, cache);
    return d;
}
