/* dataset_temporary: a data set without a run. The cache file is mapped and its name removed at once, so the system gives
 * its space back when the data set is closed, also after a crash. */
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
    if (cache && fd < 0) ctx_fail(c, E_IO, "%s: cannot be made: the tokenised rows need disk space in $TMPDIR", cache);
    if (fd >= 0) {
        close(fd);
        if (dataset_build(c, t, options, cache, &counts) == OK) d = dataset_open(c, cache);
        unlink(cache);
    }
    mem_free(c, cache);
    return d;
}
