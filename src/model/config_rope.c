/* config_rope: the rotary frequencies and factors that follow from a model's configuration.
 *
 * In float step by step, as the reference does: at position 8192 one rounding of a frequency is 5e-4 radians, so an exact
 * value would be further from the reference than its own rounding. */
#include "model/config.h"

#include <math.h>

/* Llama 3.1: wavelengths above the original context are stretched by `factor`, short ones are left alone, those between
 * are blended linearly in original / wavelength. */
static float llama3_frequency(const struct model_config *config, float f)
{
    double original = (double)config->rope_original_positions;
    double low = config->rope_low_freq_factor, high = config->rope_high_freq_factor;
    double wavelength = 2 * M_PI / (double)f;
    if (wavelength < original / high) return f;
    if (wavelength > original / low) return (float)((double)f / config->rope_factor);
    double smooth = (original / wavelength - low) / (high - low);
    return (float)((1 - smooth) * (double)f / config->rope_factor + smooth * (double)f);
}

/* ---- yarn: Peng et al. 2023, as transformers computes it ------------------------------------------------------------ */

/* The pair, as a real number, that turns `rotations` times over the original context: pair j has the wavelength 2 pi
 * theta^(2 j / D), D rotary dims, which is solved for j at original / rotations. */
static double yarn_pair(const struct model_config *config, double rotations)
{
    double original = (double)config->rope_original_positions;
    return (double)config->rotary_dims * log(original / (rotations * 2 * M_PI)) / (2 * log(config->rope_theta));
}

/* The first and the last pair of the blend between frequencies that stay and frequencies that are divided. */
static void yarn_range(const struct model_config *config, double *first, double *last)
{
    *first = yarn_pair(config, config->rope_beta_fast);
    *last = yarn_pair(config, config->rope_beta_slow);
    if (config->rope_whole_dims) {
        *first = floor(*first);
        *last = ceil(*last);
    }
    *first = fmax(*first, 0);
    *last = fmin(*last, (double)config->rotary_dims - 1);
    if (*first == *last) *last += 0.001; /* the reference's way past a division by zero */
}

/* Yarn's frequency of a pair: divided by the factor for slow pairs, plain for fast ones, blended linearly between. */
static float yarn_frequency(const struct model_config *config, int64_t pair, float period)
{
    double first, last;
    yarn_range(config, &first, &last);
    float ramp = ((float)pair - (float)first) / (float)(last - first);
    float stays = 1 - fminf(fmaxf(ramp, 0), 1);
    float divided = 1.0f / ((float)config->rope_factor * period), plain = 1.0f / period;
    return divided * (1 - stays) + plain * stays;
}

double model_config_yarn_attention(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

/* ---- the rest -------------------------------------------------------------------------------------------------------- */

double model_config_longrope_attention(double factor, int64_t original_positions)
{
    return factor <= 1 ? 1 : sqrt(1 + log(factor) / log((double)original_positions));
}

/* One frequency; `period` is theta^(2 pair / rotary_dims). Longrope (Ding et al. 2024) has a factor for each pair, from one
 * of two lists. Dynamic scaling leaves frequencies alone up to max_positions, and longer documents are refused (rotation.c).
 */
static float frequency(const struct model_config *config, bool beyond, int64_t pair, float period)
{
    switch (config->rope_scaling) {
    case ROPE_LINEAR:
        return (float)((double)(1.0f / period) / config->rope_factor);
    case ROPE_LLAMA3:
        return llama3_frequency(config, 1.0f / period);
    case ROPE_YARN:
        return yarn_frequency(config, pair, period);
    case ROPE_LONGROPE:
        return 1.0f / ((beyond ? config->rope_long_factors : config->rope_short_factors)[pair] * period);
    default:
        return 1.0f / period;
    }
}

void model_config_inv_freq(const struct model_config *config, bool beyond, float *inv_freq)
{
    for (int64_t pair = 0; pair < config->rotary_dims / 2; pair++) {
        float exponent = (float)(2 * pair) / (float)config->rotary_dims;
        inv_freq[pair] = frequency(config, beyond, pair, powf((float)config->rope_theta, exponent));
    }
}
