#!/usr/bin/env bash
# Runs tests of the AVX-512 and VNNI kernels on an emulated processor that has them (bochs), for machines that do not.
#   scripts/emulate-avx512.sh [BUILD]     a build folder with the tests (default: build)
# Boots Debian's kernel with the test programs, their libraries and tests/emulate/init.c in an initramfs; ends with 0 when
# every line below passed, and with 1 on a failure or when the emulator takes too long (YA_EMULATE_SECONDS, default 3000).
# Installs nothing: scripts/install-deps.sh emulate does. The kernel is that of an installed linux-image-*-cloud-amd64, or is
# fetched as a package and unpacked into BUILD/emulate. Four to ten minutes of one core.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath "${1:-build}")
limit=${YA_EMULATE_SECONDS:-3000}
place=$build/emulate

# table, tests (a pattern of cmocka's), program. The emulator runs about 25 million instructions a second: what takes longest
# elsewhere is left out. avx512vnni has the f32 kernels of avx512.
tests='avx512vnni * test_cpu_rows
avx512vnni * test_cpu_int
avx512 * test_cpu_int
avx512vnni test_odd_shapes test_cpu_linear
avx512vnni test_dropout test_cpu_linear
avx512vnni test_accumulate test_cpu_linear
avx512vnni test_chunks test_cpu_linear
avx512vnni test_widen_nf4 test_cpu_bf16
avx512vnni test_one_segment test_cpu_attention
avx512vnni test_window test_cpu_attention
avx512vnni test_extremes test_cpu_attention
avx512vnni test_shapes test_cpu_loss
avx512vnni test_made_forms test_cpu_loss
avx512vnni test_skipped_rows test_cpu_loss
avx512vnni test_extremes test_cpu_loss
avx512vnni test_int8 test_cpu_linear'

missing=()
[ -e /usr/lib/ISOLINUX/isolinux.bin ] || missing+=(isolinux)
[ -e /usr/lib/syslinux/modules/bios/ldlinux.c32 ] || missing+=(syslinux-common)
for program in bochs xorriso cpio; do command -v "$program" >/dev/null || missing+=("$program"); done
[ -e /usr/share/bochs/BIOS-bochs-latest ] || missing+=(bochsbios)
[ -e /usr/share/bochs/VGABIOS-lgpl-latest ] || missing+=(vgabios)
if [ ${#missing[@]} -gt 0 ]; then
    echo "error: missing: ${missing[*]}. scripts/install-deps.sh emulate installs them" >&2
    exit 1
fi

find_kernel() {
    local here package
    here=$(find /boot "$place/kernel/boot" -name 'vmlinuz-*-cloud-amd64' -readable 2>/dev/null | sort -V | tail -1 || true)
    if [ -z "$here" ]; then
        package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -1)
        [ -n "$package" ] || { echo "error: no package linux-image-cloud-amd64; apt-get update?" >&2; return 1; }
        mkdir -p "$place/kernel"
        (cd "$place/kernel" && apt-get download -qq "$package" >&2 && dpkg-deb -x ./*.deb . && rm -f ./*.deb)
        here=$(find "$place/kernel/boot" -name 'vmlinuz-*' | head -1)
    fi
    echo "$here"
}

mkdir -p "$place"
kernel=$(find_kernel)
programs=$(awk '{print $3}' <<<"$tests" | sort -u)
# shellcheck disable=SC2086 # a list
cmake --build "$build" --target $programs >"$place/build.log" || { tail -30 "$place/build.log"; exit 1; }

root=$place/root
rm -rf "$root" "$place/disc" "$place/serial.txt"
mkdir -p "$root" "$place/disc"
${CC:-cc} -std=gnu11 -O2 -Wall -Wextra -static -o "$root/init" tests/emulate/init.c
awk '{print $1, $2, "/" $3}' <<<"$tests" >"$root/tests"
for program in $programs; do
    strip -o "$root/$program" "$build/tests/$program"
    for library in $(ldd "$build/tests/$program" | grep -o '/[^ ]*'); do
        mkdir -p "$root$(dirname "$library")"
        cp -Lu "$library" "$root$library"
    done
done
(cd "$root" && find . | cpio -o -H newc --quiet) >"$place/disc/initrd"
cp "$kernel" "$place/disc/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$place/disc"
# Bochs 2.7 reports wrong sizes of compacted and PKRU state, so the kernel must not look at them; the other words save time.
cat >"$place/disc/isolinux.cfg" <<'END'
default tests
prompt 0
label tests
 kernel vmlinuz
 initrd initrd
 append console=ttyS0,115200 quiet mitigations=off tsc=reliable lpj=1000000 nosmp noapic acpi=off panic=1 clearcpuid=xsavec,xsaves,pku,aperfmperf,umip,fsrm,la57 no5lvl lsm=none
END
xorriso -as mkisofs -quiet -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
    -o "$place/disc.iso" "$place/disc" 2>/dev/null
cat >"$place/bochsrc" <<END
display_library: rfb, options="timeout=0"
megs: 256
cpu: model=corei7_icelake_u, count=1, ips=50000000, reset_on_triple_fault=0
clock: sync=none
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1
ata0-master: type=cdrom, path=$place/disc.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$place/serial.txt
sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
plugin_ctrl: biosdev=1, speaker=0, parallel=0, gameport=0, extfpuirq=0
log: $place/bochs.log
panic: action=fatal
error: action=ignore
END
echo c >"$place/continue" # for builds with the debugger, Debian's among them

# Its display is a server that listens for viewers: it gets a network of its own, where nobody is.
alone=(unshare --map-root-user --net)
"${alone[@]}" true 2>/dev/null || { alone=(); echo "note: no network namespace to be had: the emulator's display listens on port 5900 meanwhile"; }
timeout "$limit" "${alone[@]}" bochs -q -f "$place/bochsrc" -rc "$place/continue" </dev/null >"$place/bochs.out" 2>&1 || true
tr -d '\r' <"$place/serial.txt" >"$place/result.txt" || true
grep -a -v '^\[ *[0-9]*\.[0-9]*\] ' "$place/result.txt" || true
lines=$(wc -l <<<"$tests")
if ! grep -a -q "^emulated: $lines passed, 0 failed$" "$place/result.txt"; then
    echo "error: not all $lines lines passed within $limit s; see $place/result.txt and bochs.log" >&2
    exit 1
fi
