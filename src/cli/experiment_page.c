/* experiment_page: two tables. The first has a line for each group of trials that differ only in their seed: its cell,
 * what is predicted, what was measured in some of the ways to ask, what the model said, and perplexity. The second has
 * the slopes of measured against predicted with their intervals, a line for each arm and length of training. "-" stands
 * for what does not exist. */
#include "cli/experiment_page.h"

#include <math.h>
#include <stdio.h>

/* "+1.23", or "-" for what does not exist. */
static const char *odds_text(double value, char *out)
{
    if (isnan(value))
        snprintf(out, 16, "-");
    else
        snprintf(out, 16, "%+.2f", value);
    return out;
}

/* One line of the first table; the columns are those of the heading in experiment_page_print. */
static void experiment_page_print_group(const struct fit_group *g)
{
    const struct cell *k = &g->cell;
    char a[16], b[16], c[16], d[16], e[16];
    const struct belief_said *said = &g->said[0];
    printf("%-10s  %6lld  %5lld  %6lld  %5lld  %9s  %7s  %6.0f%%  %8s  %8s  %8s  %5lld/%lld/%lld  %10.1f\n",
           arm_name[k->arm], (long long)k->repeat, (long long)k->ratio, (long long)k->epochs, (long long)k->seed,
           odds_text(g->predicted, a), odds_text(g->mean[BELIEF_TRAINED].slope, b), 100 * g->preferred[BELIEF_TRAINED],
           odds_text(g->mean[BELIEF_HELD_OUT].slope, c), odds_text(g->mean[BELIEF_YES_NO].slope, d),
           odds_text(g->mean[BELIEF_UNSEEN].slope, e), (long long)said->primary, (long long)said->consensus,
           (long long)said->neither, g->perplexity);
}

/* One line of the second table, if there is such a fit. */
static void print_fit(const struct experiment_fits *f, enum fit_kind kind, enum arm arm, int64_t epochs, const char *text)
{
    static const enum belief shown[] = {BELIEF_TRAINED, BELIEF_HELD_OUT, BELIEF_QUESTION, BELIEF_YES_NO, BELIEF_REVERSED};
    if (!experiment_find_fit(f, kind, arm, epochs, BELIEF_TRAINED)) return;
    printf("%-34s  %6lld", text, (long long)epochs);
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        const struct fit *fit = experiment_find_fit(f, kind, arm, epochs, shown[i]);
        if (fit)
            printf("  %5.2f (%5.2f to %5.2f)", fit->slope.slope, fit->slope.low, fit->slope.high);
        else
            printf("  %22s", "-");
    }
    printf("\n");
}

/* Every length of training, in the order of the groups. */
static void print_fits(const struct experiment_fits *f)
{
    for (size_t i = 0; i < f->n_groups; i++) {
        int64_t epochs = f->groups[i].cell.epochs;
        size_t before = 0;
        while (before < i && f->groups[before].cell.epochs != epochs) before++;
        if (before < i) continue;
        print_fit(f, FIT_LEVEL, ARM_BASE, epochs, "level, off and monotone");
        for (int arm = ARM_MONOTONE; arm < ARMS; arm++) {
            char text[64];
            snprintf(text, sizeof(text), "change against off, %s", arm_name[arm]);
            print_fit(f, FIT_CHANGE, (enum arm)arm, epochs, text);
        }
    }
}

void experiment_page_print(const struct experiment_fits *f, size_t n_facts)
{
    printf("\nLog-odds (nats) of the primary claim against the consensus claim, mean over %zu facts and the seeds.\n"
           "choice: share of facts whose primary value is the more probable; said: generated primary/consensus/neither.\n\n"
           "%-10s  %6s  %5s  %6s  %5s  %9s  %7s  %7s  %8s  %8s  %8s  %9s  %10s\n",
           n_facts, "arm", "repeat", "ratio", "epochs", "seeds", "predicted", "trained", "choice", "held-out", "yes-no",
           "unseen", "said", "perplexity");
    for (size_t i = 0; i < f->n_groups; i++) experiment_page_print_group(&f->groups[i]);
    printf("\nSlope of measured against predicted (1: as predicted), 95 %% interval over facts.\n\n%-34s  %6s  %22s  %22s  "
           "%22s  %22s  %22s\n",
           "", "epochs", "trained", "held-out", "question", "yes-no", "reversed");
    print_fits(f);
}
