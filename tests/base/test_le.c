/* Little-endian numbers at addresses that are not aligned, of every length. */
#include "support_base.h"

#include "base/le.h"

static void bytes_are_read_from_the_lowest(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0xee, 0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88};
    const uint8_t *p = bytes + 1;
    static const uint64_t want[] = {
        0, 0x01, 0x8201, 0x038201, 0x84038201, 0x0584038201, 0x860584038201, 0x07860584038201, 0x8807860584038201};
    for (size_t n = 0; n <= 8; n++) assert_true(le_uint(p, n) == want[n]);
    assert_int_equal(le_u16(p), want[2]);
    assert_true(le_u32(p) == want[4]);
    assert_true(le_u64(p) == want[8]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bytes_are_read_from_the_lowest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
