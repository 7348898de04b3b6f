/* presets: options of a training under a name (presets.def). */
#ifndef YA_CLI_PRESETS_H
#define YA_CLI_PRESETS_H

#include "cli/config_file.h"

/* Reads the preset of a name as config_file_read reads a file. E_INPUT for an unknown name, with the nearest. */
enum status preset_read(struct config_file *f, struct ctx *c, const struct option_table *table, const char *name);

/* The page of `your_ai help presets`. */
void presets_print(void);

/* A hardware profile of the original: what it trains, for a machine of so many GiB. */
struct preset_hardware {
    const char *name;
    int batch, rank, last_layers;
    bool checkpoint;
};
/* The profile whose memory is nearest, the first of them in the table (its rule without a chip's name); names of profiles
 * for one size of model are left out. */
struct preset_hardware preset_nearest(double gib);

#endif
