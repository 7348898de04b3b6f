/* main: the program's entry. Everything is in command.c, a library that the tests link and call in their own process. */
#include "cli/command.h"

int main(int argc, char **argv)
{
    return command_main(argc, argv);
}
