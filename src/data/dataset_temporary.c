/* dataset_temporary: a data set without a run. The cache file is mapped and its folder removed at once, so the system gives
 * its space back when the data set is closed, also after a crash. */
#include "data/dataset_temporary.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/temporary.h"

struct dataset *dataset_temporary_new(struct ctx *c, const struct tokenizer *t, const struct dataset_options *options)
{
    struct dataset_counts counts;
    struct dataset *d = NULL;
    struct temporary_folder folder;
    if (temporary_folder_open(c, &folder) != OK) return NULL;
    char *cache = path_join(c, folder.path, "data.cache");
    if (cache && dataset_build(c, t, options, cache, &counts) == OK) d = dataset_open(c, cache);
    mem_free(c, cache);
    temporary_folder_close(c, &folder);
    return d;
}
