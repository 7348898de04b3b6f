/* objective: what a document's provenance is worth in the loss (DESIGN.md section 6).
 *
 *   s = ln(1 - w + 1e-8) + H        w = auth_weight in [0, 0.99], H = prov_entropy in bits
 *   g = softplus(s)^power           monotone:  non-decreasing in s
 *       s^2                         published: the formula as published, used as a weight
 *   q = token-weighted 99th percentile of g over the training set
 *   omega = (1 - lambda) + lambda * clamp(g, q / ratio, q) / gbar      gbar = token-weighted mean of the clamped g
 *   D = alpha * s^2                 the published term: reported only
 *
 * "Token-weighted" counts trained tokens. By construction the token-weighted mean of omega over the training set is 1.
 *
 * Example (monotone, power 2, ratio 32, lambda 1), two documents of equally many trained tokens:
 *
 *                         w     H      s       softplus(s)  g       clamped   omega
 *   a patent of 1921      0.05  7.0    6.949   6.950        48.30   48.30     1.939
 *   a government notice   0.95  0.5   -2.496   0.079         0.006   1.509    0.061
 *
 * q = 48.30, so g is held at 48.30 / 32 = 1.509 or above; gbar = (48.30 + 1.509) / 2 = 24.90. The patent weighs 32 times as
 * much as the notice, which is the bound, and the mean of both weights is 1.
 *
 * `additive` (loss + lambda * mean D) has the gradient of plain cross-entropy, so its omega is 1 everywhere. */
#ifndef YA_DATA_OBJECTIVE_H
#define YA_DATA_OBJECTIVE_H

#include "data/dataset.h"

enum distrust { DISTRUST_OFF, DISTRUST_MONOTONE, DISTRUST_PUBLISHED, DISTRUST_ADDITIVE, DISTRUST_COUNT };

/* The name of a mode ("off", "monotone", ...), and the mode of a name. E_INPUT for a name that is none. */
const char *objective_mode_name(enum distrust mode);
enum status objective_mode_parse(struct ctx *c, const char *name, enum distrust *out);

struct objective_options {
    enum distrust mode;
    double lambda; /* [0, 1]: 0 is plain cross-entropy */
    double alpha;  /* [2.3, 3.0]: only scales the reported D */
    double power;  /* (0, 16]: monotone only */
    double ratio;  /* [1, 1e6]: R, bounds the ratio of weights */
};
/* The defaults of the program: monotone, lambda 1, alpha 2.7, power 2, ratio 32. */
struct objective_options objective_options_default(void);

enum { OBJECTIVE_BINS = 12 };

/* Plain data: q and gbar are all that validation and a resumed run need beside the options. */
struct objective {
    struct objective_options options; /* mode is off when no row has scores, whatever was asked */
    bool switched_off;                /* ... and this says that it happened: the program tells the user */
    double q, gbar;                   /* 0 when the mode has no g */

    /* What the training set looks like under it; token-weighted. */
    int64_t tokens;                    /* trained tokens */
    double omega_min, omega_max;       /* 1 and 1 without weights */
    double ess;                        /* (sum omega)^2 / sum omega^2, in tokens: between 1 and `tokens` */
    double d_mean;                     /* mean of D; NaN when some row has no scores */
    int64_t histogram[OBJECTIVE_BINS]; /* trained tokens by omega, bins even in log omega from omega_min to omega_max */
    double edges[OBJECTIVE_BINS + 1];  /* omega at the bins' edges */
};

/* Fits q and gbar to the training set. E_INPUT on a parameter out of range (also when the mode does not use it); E_INPUT
 * naming file and row when some documents have scores and one has not (no matter in mode off). */
enum status objective_fit(struct ctx *c, const struct objective_options *options, const struct dataset *train,
                          struct objective *out);

/* Scores of n documents that are in no dataset. */
struct objective_scores {
    const double *auth_weight, *prov_entropy; /* (n) */
    const int64_t *tokens;                    /* (n) trained tokens; NULL: 1 each */
    size_t n;
};
#define OBJECTIVE_AUTH_MAX    0.99
#define OBJECTIVE_ENTROPY_MAX 1e6
#define OBJECTIVE_TOKENS_MAX  ((int64_t)1 << 40) /* so that no sum over documents overflows */

/* E_INPUT naming document `index` when one of its values is out of range (NaN is). */
enum status objective_check_score(struct ctx *c, size_t index, double auth_weight, double prov_entropy, int64_t tokens);

/* Fits q and gbar to these documents as objective_fit does to a dataset's; the statistics are left at their neutral values.
 * E_INPUT as above and by objective_check_score. */
enum status objective_fit_scores(struct ctx *c, const struct objective_options *options, const struct objective_scores *in,
                                 struct objective *out);

/* An objective from stored q and gbar (a resumed run). The statistics are left at their neutral values. E_INPUT as above and
 * when q or gbar cannot be. */
enum status objective_restore(struct ctx *c, const struct objective_options *options, double q, double gbar,
                              struct objective *out);

/* E_INPUT naming file and row when the mode needs scores and a document of `valid` has none. */
enum status objective_check(struct ctx *c, const struct objective *o, const struct dataset *valid);

/* The weight of a document; 1 without weights (off, additive). f64, pure. */
double objective_omega(const struct objective *o, double auth_weight, double prov_entropy);
/* Whether a mode has weights at all, that is a g and an omega other than 1. */
bool objective_has_weights(enum distrust mode);
/* g of a document, not clamped. */
double objective_g(const struct objective_options *o, double auth_weight, double prov_entropy);
/* s and D of a document. */
double objective_signed(double auth_weight, double prov_entropy);
double objective_published(const struct objective *o, double auth_weight, double prov_entropy);

#endif
