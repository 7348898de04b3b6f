/* init: the only process of the emulated machine that scripts/emulate-avx512.sh boots. Runs the lines of /tests, which are
 * "YA_TEST_TABLE YA_TEST_FILTER program", with output on the serial port, says after each line how it ended and at last how
 * many passed, and turns the machine off by the emulator's own port. Linked statically; nothing else is in the machine. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { SHUTDOWN_PORT = 0x8900 };

static bool run(const char *table, const char *filter, char *program)
{
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        setenv("YA_TEST_TABLE", table, 1);
        setenv("YA_TEST_FILTER", filter, 1);
        execv(program, (char *[]){program, NULL});
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    int serial = open("/dev/ttyS0", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(serial, fd);
    char table[32], filter[64], program[64];
    int passed = 0, failed = 0;
    FILE *tests = fopen("/tests", "r");
    while (tests && fscanf(tests, "%31s %63s %63s", table, filter, program) == 3) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        bool ok = run(table, filter, program);
        clock_gettime(CLOCK_MONOTONIC, &end);
        double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9;
        printf("emulated: %s %s %s %s, %.1f of its seconds\n", ok ? "passed" : "FAILED", table, filter, program, seconds);
        fflush(stdout);
        ok ? passed++ : failed++;
    }
    printf("emulated: %d passed, %d failed\n", passed, failed);
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
    if (ioperm(SHUTDOWN_PORT, 1, 1) == 0 || iopl(3) == 0)
        for (const char *s = "Shutdown"; *s; s++) outb((unsigned char)*s, SHUTDOWN_PORT);
    for (;;) pause();
}
