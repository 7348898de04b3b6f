/* emulated_tiles: cuTensorMapEncodeTiled on the host, for matrices and the boxes that the kernels use: the map's words are
 * address, columns, rows and bytes from row to row (box_fetch of the emulator's cuda_ptx.cuh reads them). */
#ifndef EMULATED_TILES_H
#define EMULATED_TILES_H

#include <cuda.h>
#include <string.h>

static inline CUresult emulated_encode_tiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
                                             const cuuint64_t *size, const cuuint64_t *bytes, const cuuint32_t *box,
                                             const cuuint32_t *steps, CUtensorMapInterleave interleave,
                                             CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                             CUtensorMapFloatOOBfill fill)
{
    const cuuint64_t words[4] = {(cuuint64_t)(size_t)address, size[0], size[1], bytes[0]};
    (void)interleave, (void)promotion, (void)fill;
    if (type != CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 || rank != 2 || box[0] != 64 || box[1] != 64 || steps[0] != 1 ||
        swizzle != CU_TENSOR_MAP_SWIZZLE_128B || words[0] % 16 != 0 || bytes[0] % 16 != 0 || (size_t)map % 64 != 0)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(map, words, sizeof(words));
    return CUDA_SUCCESS;
}

#endif
