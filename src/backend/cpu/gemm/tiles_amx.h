/* tiles_amx: the configuration of AMX's eight tile registers that all products here use: 16 rows of 64 bytes each. */
#ifndef YA_BACKEND_CPU_TILES_AMX_H
#define YA_BACKEND_CPU_TILES_AMX_H

#include <immintrin.h>
#include <stdint.h>

enum { TILE_ROWS = 16, TILE_ROW_BYTES = 64 };

/* Palette 1, the layout of the 64 bytes that ldtilecfg reads. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* Loads the configuration, which every thread needs before its first tile instruction. A constant, because gcc 12 takes it
 * that the instruction reads 8 bytes of it only, and may drop what is stored into the rest of a variable. */
static inline void tiles_open(void)
{
    enum { R = TILE_ROWS, B = TILE_ROW_BYTES };
    static const struct tile_config config = {
        .palette = 1, .row_bytes = {B, B, B, B, B, B, B, B}, .rows = {R, R, R, R, R, R, R, R}};
    _tile_loadconfig(&config);
}

/* Otherwise the state of the registers, 8 KiB, is saved and restored whenever the thread is. */
static inline void tiles_close(void)
{
    _tile_release();
}

#endif
