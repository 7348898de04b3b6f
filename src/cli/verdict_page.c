/* verdict_page: the findings of a verdict as lines. */
#include "cli/verdict_page.h"

static void print_findings(const struct verdict *v, FILE *out, bool bad)
{
    for (size_t i = 0; i < v->n; i++) {
        const struct finding *f = &v->findings[i];
        if (f->bad != bad) continue;
        fprintf(out, "%s %s\n", bad ? "wrong:  " : "        ", f->text);
        if (f->next[0]) fprintf(out, "         -> %s\n", f->next);
    }
}

void verdict_page_print(const struct verdict *v, FILE *out)
{
    print_findings(v, out, true);
    print_findings(v, out, false);
}
