/* Qwen2.5-Coder-0.5B-Instruct, Q4_K_M (a mix of Q5_0, Q8_0, Q6_K and Q4_K), with biases of q, k and v, against transformers.
 * The model is large, so no target of the Makefile fetches it: where it is not there, the test counts as left out. */
#include "support_real.h"

#include <stdio.h>
#include <unistd.h>

enum { LEFT_OUT = 77 /* SKIP_RETURN_CODE in tests/CMakeLists.txt */ };

static int setup(void **state)
{
    (void)state;
    return real_setup("qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_check_logprobs),
        cmocka_unit_test(real_check_continuations),
        cmocka_unit_test(real_check_stop),
    };
    if (access(SOURCE_DIR "/models/qwen2.5-coder-0.5b.gguf", F_OK) != 0) {
        puts("left out: models/qwen2.5-coder-0.5b.gguf is not there (scripts/get-model.sh qwen2.5-coder-0.5b fetches it)");
        return LEFT_OUT;
    }
    return cmocka_run_group_tests(tests, setup, real_teardown);
}
