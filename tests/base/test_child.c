/* child: a result comes back; a child that is late, killed or crashes is told apart. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/child.h"

struct answer {
    int value;
    char text[100];
};

static void child_answers(void *user, void *out)
{
    struct answer *a = out;
    a->value = *(int *)user + 1;
    snprintf(a->text, sizeof a->text, "from the child");
    puts("this is thrown away");
}

static void child_waits(void *user, void *out)
{
    (void)user, (void)out;
    for (;;) pause();
}

static void child_raises(void *user, void *out)
{
    ((struct answer *)out)->value = -1; /* never seen */
    raise(*(int *)user);
}

static void run(void (*fn)(void *user, void *out), int *user, double seconds, struct answer *a, enum child_end *end,
                int *how, enum status status)
{
    struct ctx *c = ctx_new(NULL);
    *a = (struct answer){.value = 7};
    assert_int_equal(child_run(c, fn, user, a, sizeof *a, seconds, end, how), status);
    ctx_clear(c);
    ctx_free(c);
}

static void ends(void **state)
{
    (void)state;
    struct answer a;
    enum child_end end;
    int how, number = 41;
    run(child_answers, &number, 60, &a, &end, &how, OK);
    assert_true(end == CHILD_SENT && a.value == 42);
    assert_string_equal(a.text, "from the child");
    run(child_waits, NULL, 0.2, &a, &end, &how, OK);
    assert_true(end == CHILD_LATE && a.value == 7);
    number = SIGKILL;
    run(child_raises, &number, 60, &a, &end, &how, OK);
    assert_true(end == CHILD_DIED && WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL && a.value == 7);
    number = SIGINT;
    run(child_raises, &number, 60, &a, &end, &how, E_INTERRUPTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
