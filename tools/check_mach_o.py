#!/usr/bin/env python3
"""Reads a program for macOS that was linked on another system, and says whether macOS would start it: a 64-bit executable for the
processor named, loaded anywhere (PIE), with an entry point, for the oldest macOS that is promised, every symbol that it imports found by
the linker in a library of the system, and, on arm64, a signature, without which the kernel kills it.
   tools/check_mach_o.py PROGRAM arm64|x86_64 MACOS        (tools/check_mach_o.py your_ai arm64 13.0)
The names of the format are those of Apple's mach-o/loader.h and mach-o/nlist.h."""
import struct
import sys

PROCESSORS = {"x86_64": 0x01000007, "arm64": 0x0100000C}
MH_EXECUTE, MH_PIE, MH_NOUNDEFS = 2, 0x200000, 1
LC_SYMTAB, LC_LOAD_DYLIB, LC_CODE_SIGNATURE, LC_MAIN, LC_BUILD_VERSION = 0x2, 0xC, 0x1D, 0x80000028, 0x32
PLATFORM_MACOS = 1
N_STAB, N_TYPE, N_EXT = 0xE0, 0x0E, 0x01


def text_at(data, offset):
    return data[offset:data.index(b"\0", offset)].decode()


def read_commands(data):
    n, = struct.unpack_from("<I", data, 16)
    at = 32
    for _ in range(n):
        command, size = struct.unpack_from("<II", data, at)
        if size < 8 or at + size > len(data):
            sys.exit("error: a load command reaches beyond the file")
        yield command, at
        at += size


def undefined_symbols(data, at, libraries):
    """Name and library of each imported symbol. Bits 8 to 15 of n_desc number the library, from 1; 0 is this program, 254 any one."""
    symbols, n, strings, _ = struct.unpack_from("<4I", data, at + 8)
    for i in range(n):
        name, kind, _, desc, _ = struct.unpack_from("<IBBHQ", data, symbols + 16 * i)
        if kind & N_STAB or kind & N_TYPE or not kind & N_EXT:
            continue
        number = desc >> 8
        yield text_at(data, strings + name), libraries[number - 1] if 1 <= number <= len(libraries) else None


def main():
    if len(sys.argv) != 4 or sys.argv[2] not in PROCESSORS:
        sys.exit(__doc__)
    path, processor, wanted = sys.argv[1:]
    with open(path, "rb") as f:
        data = f.read()
    magic, cpu, _, kind, _, _, flags, _ = struct.unpack_from("<8I", data)
    libraries, symtab, minimum, seen = [], None, None, set()
    for command, at in read_commands(data) if magic == 0xFEEDFACF else []:
        seen.add(command)
        if command == LC_LOAD_DYLIB:
            libraries.append(text_at(data, at + struct.unpack_from("<I", data, at + 8)[0]))
        elif command == LC_SYMTAB:
            symtab = at
        elif command == LC_BUILD_VERSION:
            platform, v = struct.unpack_from("<II", data, at + 8)
            minimum = f"{v >> 16}.{v >> 8 & 255}" if platform == PLATFORM_MACOS else "another platform"
    imports = list(undefined_symbols(data, symtab, libraries)) if symtab else []
    strays = [name for name, library in imports if library is None]
    foreign = [library for library in libraries if not library.startswith(("/usr/lib/", "/System/Library/"))]
    checks = [
        ("it is a 64-bit Mach-O file", magic == 0xFEEDFACF),
        (f"it is for {processor}", cpu == PROCESSORS[processor]),
        ("it is an executable that can be loaded anywhere", kind == MH_EXECUTE and flags & MH_PIE),
        (f"it runs on macOS {wanted} and newer (it says {minimum})", minimum == wanted),
        ("it has an entry point", LC_MAIN in seen),
        (f"it needs the system's libraries alone ({', '.join(libraries)})", libraries and not foreign),
        (f"each of its {len(imports)} imported symbols is in one of them{': not ' + ', '.join(strays[:8]) if strays else ''}",
         imports and not strays and flags & MH_NOUNDEFS),
        ("it is signed", LC_CODE_SIGNATURE in seen or processor != "arm64"),
    ]
    for name, good in checks:
        if not good:
            print(f"{path}: it does not hold that {name}")
    print(f"{path}: {len(data)} bytes, {len(imports)} symbols of {', '.join(libraries) or 'no library'}")
    sys.exit(0 if all(good for _, good in checks) else 1)


if __name__ == "__main__":
    main()
