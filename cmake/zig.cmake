# zig as compiler and linker for another system (scripts/package-portable.sh). YA_ZIG is a folder with the scripts cc, ar and
# ranlib, each of which calls zig, the first with the triple; YA_ZIG_SYSTEM and YA_ZIG_PROCESSOR are what the triple stands for.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES YA_ZIG YA_ZIG_SYSTEM YA_ZIG_PROCESSOR)
set(CMAKE_SYSTEM_NAME ${YA_ZIG_SYSTEM})
set(CMAKE_SYSTEM_PROCESSOR ${YA_ZIG_PROCESSOR})
set(CMAKE_C_COMPILER ${YA_ZIG}/cc)
set(CMAKE_AR ${YA_ZIG}/ar CACHE FILEPATH "")
set(CMAKE_RANLIB ${YA_ZIG}/ranlib CACHE FILEPATH "")
# Libraries and headers only from where the script put them: this machine's are for this machine.
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
# Questions to the compiler need no program linked: for musl that would compile the whole C library, for each way of linking.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
