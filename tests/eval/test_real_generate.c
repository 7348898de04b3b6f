/* SmolLM2-135M-Instruct, Q4_1, against transformers: token ids, log-probabilities, greedy continuations. */
#include "support_real.h"

static int setup(void **state)
{
    (void)state;
    return real_setup("smollm2-135m", "smollm2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_check_logprobs),
        cmocka_unit_test(real_check_continuations),
        cmocka_unit_test(real_check_stop),
    };
    return cmocka_run_group_tests(tests, setup, real_teardown);
}
