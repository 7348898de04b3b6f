/* dataset_temporary: a data set without a run. The cache file is mapped and its name removed at once, so the system gives
 * its space back when the data set is closed, also after a crash. */
#include "data/dataset_temporary.h"

#include <unistd.h>

#include "base/mem.h"
#include "base/temporary.h"

struct dataset *dataset_temporary_new(struct ctx *c, const struct tokenizer *t, const struct dataset_options *options)
{
    struct dataset_counts counts;
    struct dataset *d = NULL;
    int fd;
    char *cache = temporary_new(c, &fd);
    if (!cache) return NULL;
    close(fd);
    if (dataset_build(c, t, options, cache, &counts) == OK) d = dataset_open(c, cache);
    unlink(cache);
    mem_free(c, cache);
    return d;
}
