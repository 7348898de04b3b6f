/* quant_codebook: the tables of types whose bits choose from a table. quant_codebook_table.c is printed by
 * tools/gen_quant_codebook.py from the Python package gguf; its notice is in quant_codebook_notice.txt. */
#ifndef YA_ARRAY_QUANT_CODEBOOK_H
#define YA_ARRAY_QUANT_CODEBOOK_H

#include <stdint.h>

/* The levels of IQ4_NL and IQ4_XS. */
extern const int8_t quant_level_iq4[16];

/* Rows of grids. IQ2: 8 elements of 2 bits, the first one lowest, indices into quant_level_iq2. IQ1: likewise, the element
 * + 1. IQ3: 4 elements of 4 bits, indices into quant_level_iq3_xxs and quant_level_iq3_s. */
extern const uint16_t quant_grid_iq2_xxs[256], quant_grid_iq2_xs[512], quant_grid_iq2_s[1024];
extern const uint16_t quant_grid_iq1[2048];
extern const uint16_t quant_grid_iq3_xxs[256], quant_grid_iq3_s[512];
extern const int8_t quant_level_iq2[3], quant_level_iq3_xxs[8], quant_level_iq3_s[8];

#endif
