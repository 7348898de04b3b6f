/* TensorBoard's records: the bytes of two that were made by its own library (wall time 1700000000), and the check value of
 * the checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "report/tfevents.h"

static void is_hex(const struct buf *b, const char *want)
{
    assert_int_equal(b->len, strlen(want) / 2);
    for (size_t i = 0; i < b->len; i++) {
        unsigned byte;
        assert_int_equal(sscanf(want + 2 * i, "%2x", &byte), 1);
        assert_int_equal((unsigned char)b->data[i], byte);
    }
}

static void records(void **state)
{
    (void)state;
    struct ctx *c = ctx_new(NULL);
    struct buf b;
    buf_init(&b, c, 1 << 16);
    assert_true(tfevents_crc32c("123456789", 9) == 0xe3069283u);
    tfevents_begin(&b, 1700000000);
    is_hex(&b, "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d");
    buf_clear(&b);
    tfevents_scalar(&b, 1700000000, 1, "train/loss", 2.5);
    is_hex(&b, "200000000000000029eda9500900000040fc54d94110012a130a110a0a747261696e2f6c6f737315000020402fffcccc");
    buf_release(&b);
    ctx_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
