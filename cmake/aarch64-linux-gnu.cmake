# Builds for AArch64 Linux on a Debian machine of another kind (preset `aarch64`). `scripts/install-deps.sh aarch64` installs the
# compiler, the C library and the emulator, and unpacks the project's libraries into a sysroot of their own.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)

get_filename_component(YA_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build-aarch64/sysroot ABSOLUTE)
if(NOT EXISTS ${YA_SYSROOT}/complete)
  message(FATAL_ERROR "${YA_SYSROOT} is not complete; run scripts/install-deps.sh aarch64 first")
endif()

# Libraries and headers come from the cross compiler's own folders and the sysroot, programs from the machine.
set(CMAKE_FIND_ROOT_PATH ${YA_SYSROOT} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(ENV{PKG_CONFIG_LIBDIR} ${YA_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${YA_SYSROOT})

# The emulator finds the loader and the C library under -L; the project's libraries are found by the path in the program.
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static;-L;/usr/aarch64-linux-gnu)
