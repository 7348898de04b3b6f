/* cmd_setup: looks at the machine, measures it for some seconds and keeps the result for the commands that tell speeds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "array/array.h"
#include "array/backend.h"
#include "base/mem.h"
#include "cli/command.h"
#include "cli/common_rows.h"
#include "measure/calibrate.h"
#include "measure/hardware.h"
#include "your_ai.h"

struct setup_values {
    bool report, json, measure;
    const char *device;
    int64_t threads;
};
#define V struct setup_values

static const struct option_spec specs[] = {
    FLAG_ROW(V, report, "report", 0, "false", "Output",
             "print a text to send with a report of a fault: versions, machine, libraries; no names, paths or data"),
    FLAG_ROW(V, json, "json", 0, "false", "Output", "print one JSON object instead of tables"),
    FLAG_ROW(V, measure, "measure", 0, "true", "Running", "measure the machine, and keep what was measured"),
    DEVICE_ROW(V, device, "Running"),
    THREADS_ROW(V, threads, "Running"),
};
static const struct option_table table = {specs, sizeof(specs) / sizeof(specs[0])};

enum { SETUP_CAP_BYTES = 1 << 20 };

static double setup_gib(size_t bytes)
{
    return (double)bytes / (double)((size_t)1 << 30);
}

/* ---- the page -------------------------------------------------------------------------------------------------------- */

static void print_cores(const struct host_cores *k)
{
    printf("cores    %d of %d", host_cores_usable(""), k->machine);
    if (k->allowed < k->machine) printf("; this process may run on %d", k->allowed);
    if (k->quota > 0) printf("; its control group allows the time of %.2f", k->quota);
    putchar('\n');
}

static void print_memory(const struct hardware *h)
{
    if (h->memory) printf("memory   %.1f GiB", setup_gib(h->memory));
    if (h->limit) printf(", of which the control group allows %.1f", setup_gib(h->limit));
    if (h->free != SIZE_MAX) printf(", %.1f free", setup_gib(h->free));
    putchar('\n');
}

static void print_hardware(const struct hardware *h)
{
    printf("system   %s\nCPU      %s\n", h->system, h->cpu);
    print_cores(&h->cores);
    fputs("kernels  ", stdout);
    for (int i = 0; i < h->n_kernels; i++) printf("%s%s", i ? ", " : "", h->kernels[i]);
    puts(h->n_kernels > 1 ? " (the first is used)" : "");
    print_memory(h);
    for (int i = 0; i < h->n_cards; i++) printf("card     cuda:%d, %s\n", i, h->cards[i]);
    if (h->n_cards == 0) puts("card     none that this program can use");
    if (h->has_mlx)
        printf("MLX      %s (--engine mlx)\n", h->mlx);
    else
        puts("MLX      not found");
}

static void print_rates(const struct machine_profile *p)
{
    printf("measured on %s with %lld threads\n", p->device, (long long)p->threads);
    if (p->fma > 0)
        printf("  f32 multiply-adds          %8.1f GFLOP/s on all threads, %.1f on one\n", p->fma / 1e9, p->fma_one / 1e9);
    printf("  reading memory             %8.1f GB/s\n", p->read / 1e9);
    for (int k = 0; k < COMPUTES; k++)
        if (p->step[k] > 0) printf("  a training step in %-8s%8.1f GFLOP/s\n", compute_name[k], p->step[k] / 1e9);
}

/* ---- a text for a report of a fault ---------------------------------------------------------------------------------- */

/* Nothing in it names the user, the machine in a network, or a path. */
static void setup_print_report(const struct hardware *h)
{
#ifdef YA_HAVE_CUDA
    const char *cuda = "with";
#else
    const char *cuda = "without";
#endif
    printf("your_ai  %s, built %s CUDA kernels by compiler %s, with jansson %s\n", ya_version(), cuda, __VERSION__,
           JANSSON_VERSION);
    print_hardware(h);
    if (!h->has_mlx && !getenv("YA_LIBMLXC")) printf("         %s\n", h->mlx); /* else the message has a path in it */
}

/* ---- measuring ------------------------------------------------------------------------------------------------------- */

static enum status setup_measure(struct ctx *c, const struct setup_values *v, struct machine_profile *p)
{
    time_t now = time(NULL);
    struct tm day;
    struct profile profile = {.row = {{0}}};
    TRY(calibrate_open(c, v->device, v->threads, &profile));
    snprintf(p->program, sizeof p->program, "%s", ya_version());
    snprintf(p->device, sizeof p->device, "%s", array_backend(c)->device);
    host_cpu_name(p->cpu);
    if (gmtime_r(&now, &day)) strftime(p->date, sizeof p->date, "%Y-%m-%d", &day);
    if (!v->json) fputs("measuring for some seconds; other work on this machine makes it look slower\n", stderr);
    calibrate_run(c, &profile, p);
    array_env_free(c); /* it refers to the profile */
    return c->status;
}

static enum status setup_print_json(struct ctx *c, const struct hardware *h, const struct machine_profile *p)
{
    struct buf text;
    json_t *o = hardware_json(c, h);
    buf_init(&text, c, SETUP_CAP_BYTES);
    if (o && p) json_object_set_new(o, "profile", machine_profile_json(c, p));
    if (o && json_write(c, o, true, &text) == OK) fputs(buf_str(&text), stdout);
    buf_release(&text);
    json_decref(o);
    return c->status;
}

/* A minute of measuring is for nothing where its result cannot be kept, so whether it can is found out before. */
static enum status setup_try(struct ctx *c, const char *path)
{
    char reason[CTX_MESSAGE_BYTES];
    enum status status = machine_profile_try(c, path);
    if (status == OK) return OK;
    snprintf(reason, sizeof reason, "%s", c->message);
    ctx_clear(c);
    return ctx_fail(
        c, status,
        "%s. Nothing was measured: set XDG_CONFIG_HOME to a folder that can be written to; --no-measure only looks "
        "at the machine",
        reason);
}

/* Measures, prints and keeps. */
static enum status setup_measured(struct ctx *c, const struct setup_values *v, const struct hardware *h, const char *path)
{
    struct machine_profile p = {.threads = 0};
    if (!v->json) print_hardware(h);
    fflush(stdout);
    TRY(setup_measure(c, v, &p));
    if (v->json) TRY(setup_print_json(c, h, &p));
    if (!v->json) print_rates(&p);
    TRY(machine_profile_write(c, &p, path));
    if (!v->json) printf("kept in %s, where other commands read it\n", path);
    return OK;
}

static enum status cmd_setup_run(const struct command_call *call)
{
    const struct setup_values *v = call->values;
    struct ctx *c = call->c;
    struct hardware h;
    bool measure = v->measure && !v->report;
    char *path = measure ? machine_profile_path(c) : NULL;
    if (measure && (!path || setup_try(c, path) != OK)) {
        mem_free(c, path);
        return c->status;
    }
    hardware_find(c, &h);
    if (measure)
        setup_measured(c, v, &h, path);
    else if (v->json)
        setup_print_json(c, &h, NULL);
    else if (v->report)
        setup_print_report(&h);
    else
        print_hardware(&h);
    mem_free(c, path);
    return c->status;
}

const struct command command_setup = {
    .name = "setup",
    .summary = "says what this machine has, and measures it",
    .usage = "[--report] [--json] [options]",
    .about =
        "Prints processor, cores, memory (with the limits of a container), NVIDIA cards and whether MLX is there, measures\n"
        "for some seconds how fast training steps are, and keeps that in machine.json in the user's configuration folder\n"
        "($XDG_CONFIG_HOME/your_ai or ~/.config/your_ai), where other commands read it. Run it again after a change of the\n"
        "machine. With --report it prints what belongs into a report of a fault, and keeps nothing.",
    .table = &table,
    .values_bytes = sizeof(struct setup_values),
    .run = cmd_setup_run,
};
