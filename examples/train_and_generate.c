/* Trains an adapter on JSONL rows, stops in the middle, resumes to the end, and generates text with it.
 *   cc train_and_generate.c $(pkg-config --cflags --libs your_ai) -o train_and_generate
 *   ./train_and_generate MODEL rows.jsonl NEW_FOLDER "a prompt" */
#include <stdio.h>
#include <string.h>
#include <your_ai.h>

static void print_step(void *user, const ya_progress *p)
{
    *(long long *)user = (long long)p->step;
    printf("step %lld of %lld: loss %.4f\n", (long long)p->step, (long long)p->total_steps, p->loss);
}

static bool stop_after_three(void *user)
{
    return *(long long *)user >= 3;
}

static int print_text(void *user, int32_t id, const char *text, size_t n_bytes)
{
    (void)user;
    (void)id;
    return fwrite(text, 1, n_bytes, stdout) != n_bytes;
}

/* Trains until it ends or is stopped, and closes the run. */
static int train(ya_training *t)
{
    int result = ya_training_run(t); /* 0: to the end; 1: stopped and saved; -1: failed, also when t is NULL */
    ya_training_free(t);
    return result;
}

int main(int argc, char **argv)
{
    if (argc != 5) return fputs("usage: train_and_generate MODEL ROWS FOLDER PROMPT\n", stderr), 2;
    const char *model = argv[1], *run = argv[3], *prompt = argv[4];
    const ya_option options[] = {{"model", model},   {"data", argv[2]}, {"output", run}, {"rank", "8"},
                                 {"max-steps", "6"}, {"lr", "1e-3"},    {"batch", "2"},  {"max-length", "64"}};
    long long step = 0;
    char folder[4096];
    int32_t ids[256];
    ya_training_hooks hooks = {.user = &step, .step = print_step, .interrupted = stop_after_three};
    ya_ctx *ctx = ya_ctx_new(NULL);
    int stopped = train(ya_training_start(ctx, options, sizeof options / sizeof options[0], &hooks));
    if (stopped == 1) puts("stopped; resuming");
    hooks.interrupted = NULL;
    if (stopped == 1) train(ya_training_resume(ctx, run, NULL, 0, &hooks));
    ya_model *m = ya_model_open(ctx, model, NULL, 0);
    snprintf(folder, sizeof folder, "%s/adapter", run);
    ya_model_attach(m, ya_adapter_load(m, folder));
    int64_t n = ya_tokenize(m, prompt, strlen(prompt), YA_BOS, ids, 256);
    ya_generate(m, ids, n > 256 ? 256 : (size_t)(n < 0 ? 0 : n), NULL, print_text, NULL, NULL, 0, NULL);
    puts("");
    int failed = ya_error(ctx) != NULL; /* the first failure of all these calls */
    if (failed) fprintf(stderr, "error: %s\n", ya_error(ctx));
    ya_ctx_free(ctx); /* frees model and adapter too */
    return failed;
}
