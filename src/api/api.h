/* api: what the files of the public interface share. */
#ifndef YA_API_API_H
#define YA_API_API_H

#include "array/array.h"
#include "your_ai.h"

struct ya_array;

struct ya_ctx {
    struct ctx *c;
    struct ya_array *arrays; /* all live handles */
    bool differentiating;    /* inside ya_value_and_grad */
};

#endif
