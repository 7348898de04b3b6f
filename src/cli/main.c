/* main: the program. Everything is in command.c, which the tests can link. */
#include "cli/command.h"

int main(int argc, char **argv)
{
    return command_main(argc, argv);
}
