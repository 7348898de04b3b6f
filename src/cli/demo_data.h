/* demo_data: data/conflict inside the program (cmake/embed.cmake makes the arrays). Six rows a fact, in the order of the
 * facts, and one claim each. */
#ifndef YA_CLI_DEMO_DATA_H
#define YA_CLI_DEMO_DATA_H

#include <stddef.h>

extern const unsigned char demo_rows[], demo_claims[];
extern const size_t demo_rows_bytes, demo_claims_bytes;

#endif
