/* presets: finds presets by name, lists them, and finds the hardware profile that is nearest to a machine. */
#include "cli/presets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTENTION "targets: q_proj,k_proj,v_proj,o_proj\n"
#define HARDWARE(name, batch, rank, alpha, layers, checkpoint)                                                              \
    HARDWARE_WITH(name, batch, rank, alpha, layers, checkpoint, "")

static const struct preset {
    const char *name, *note, *text; /* note NULL: a hardware profile, which its options describe */
    int batch, rank, layers;        /* of a hardware profile; 0: it is none */
    const char *checkpoint;
} presets[] = {
#define PRESET(name, note, text) {name, note, text, 0, 0, 0, NULL},
#define HARDWARE_WITH(name, batch, rank, alpha, layers, checkpoint, more)                                                   \
    {name,                                                                                                                  \
     NULL,                                                                                                                  \
     "batch: " #batch "\nrank: " #rank "\nalpha: " #alpha "\nlast-layers: " #layers "\ngrad-checkpoint: " checkpoint        \
     "\n" ATTENTION more,                                                                                                   \
     batch,                                                                                                                 \
     rank,                                                                                                                  \
     layers,                                                                                                                \
     checkpoint},
#include "cli/presets.def"
};
enum { PRESETS = sizeof presets / sizeof presets[0] };

/* The name that is nearest by edit distance. */
static const char *preset_guess(const char *name)
{
    size_t least = SIZE_MAX;
    const char *near = presets[0].name;
    for (int i = 0; i < PRESETS; i++) {
        size_t d = options_distance(name, presets[i].name);
        if (d >= least) continue;
        least = d;
        near = presets[i].name;
    }
    return near;
}

enum status preset_read(struct config_file *f, struct ctx *c, const struct option_table *table, const char *name)
{
    char what[96];
    for (int i = 0; i < PRESETS; i++) {
        if (strcmp(presets[i].name, name) != 0) continue;
        snprintf(what, sizeof what, "preset %s", name);
        return config_file_parse(f, c, table, what, presets[i].text, strlen(presets[i].text));
    }
    return ctx_fail(c, E_INPUT, "--preset: there is no preset '%s'; did you mean %s? `your_ai help presets` lists all", name,
                    preset_guess(name));
}

void presets_print(void)
{
    puts("--preset NAME takes options of a training that neither the command line nor --config gives; --print-config shows\n"
         "what comes of it. The hardware profiles are those of the system that this program replaces, for Macs by chip and\n"
         "GiB of memory, as they were: `your_ai recommend` says whether the nearest one fits this machine.\n");
    for (int i = 0; i < PRESETS; i++)
        if (presets[i].note) printf("  %-18s %s\n", presets[i].name, presets[i].note);
    puts("\n  profile            batch  rank  last layers  gradient checkpointing");
    for (int i = 0; i < PRESETS; i++)
        if (!presets[i].note)
            printf("  %-18s %5d %5d %12d  %s\n", presets[i].name, presets[i].batch, presets[i].rank, presets[i].layers,
                   presets[i].checkpoint);
}

/* GiB in the name of a profile: "max-64"; 0 for one of a size of models. */
static long profile_gib(const struct preset *p)
{
    const char *dash = p->note ? NULL : strchr(p->name, '-');
    char *end = NULL;
    long gib = dash ? strtol(dash + 1, &end, 10) : 0;
    return end && *end == '\0' ? gib : 0;
}

struct preset_hardware preset_nearest(double gib)
{
    const struct preset *near = NULL;
    double least = INFINITY;
    for (int i = 0; i < PRESETS; i++) {
        long of = profile_gib(&presets[i]);
        if (of == 0 || fabs((double)of - gib) >= least) continue;
        least = fabs((double)of - gib);
        near = &presets[i];
    }
    return (struct preset_hardware){near->name, near->batch, near->rank, near->layers, strcmp(near->checkpoint, "on") == 0};
}
