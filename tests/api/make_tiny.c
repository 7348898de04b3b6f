/* Makes a tiny model and rows for tests that are shell scripts: make_tiny FOLDER gives FOLDER/model and FOLDER/rows.jsonl.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "train/support_tiny.h"

int main(int argc, char **argv)
{
    if (argc != 2) return 2;
    struct ctx *c = tiny_ctx(1);
    tiny_model(c, tiny_path("%s/model", argv[1]), false);
    tiny_rows(tiny_path("%s/rows.jsonl", argv[1]), 40, 3);
    tiny_ctx_free(c);
    return 0;
}
