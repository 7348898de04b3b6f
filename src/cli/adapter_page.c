/* adapter_page: see adapter_page.h. */
#include "cli/adapter_page.h"

#include <stdio.h>

#include "base/mem.h"
#include "base/shell_word.h"
#include "cli/command.h"
#include "export/export_card.h"

enum { TEXT_MAX_BYTES = 64 << 10 };

enum status adapter_page_open(struct export_source *s, struct ctx *c, const struct adapter_base *base, const char *operand)
{
    *s = (struct export_source){.c = c};
    TRY(command_compute(c, "cpu", base->threads));
    return export_open_with(s, c, operand, base->model, base->force);
}

static void adapter_page_print(const struct export_source *s, const struct export_result *r)
{
    int64_t least = s->lora->modules[0].rank, most = least;
    struct buf check;
    for (size_t i = 0; i < s->lora->n_modules; i++) {
        int64_t rank = s->lora->modules[i].rank;
        least = rank < least ? rank : least;
        most = rank > most ? rank : most;
    }
    printf("%s: rank %lld", r->opens, (long long)least);
    if (most > least) printf(" to %lld", (long long)most);
    printf(", %zu modules, %.1f MB\n", s->lora->n_modules, (double)r->bytes / 1e6);
    buf_init(&check, s->c, TEXT_MAX_BYTES);
    export_append_check(&check, r);
    printf("  check: %s\n", buf_str(&check));
    buf_release(&check);
    struct buf command; /* it can be copied, whatever the folders are called */
    buf_init(&command, s->c, TEXT_MAX_BYTES);
    buf_append_str(&command, "your_ai generate -m");
    shell_word_append(&command, s->model_path);
    buf_append_str(&command, " --adapter");
    shell_word_append(&command, r->opens);
    printf("  use:   %s -p Hello\n", buf_str(&command));
    buf_release(&command);
}

enum status adapter_page_write(struct export_source *s, const char *out, const char *name)
{
    struct export_job job = {.n = 0};
    struct export_logits *wanted = NULL;
    struct export_result result = {0};
    s->base_name = name;
    if (export_plan(s, "peft", out, &job) == OK && export_write(s, &job.targets[0], true, &wanted, &result) == OK)
        adapter_page_print(s, &result);
    mem_free(s->c, result.opens);
    export_logits_free(wanted);
    export_job_release(s->c, &job);
    return s->c->status;
}
