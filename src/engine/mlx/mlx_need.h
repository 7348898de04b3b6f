/* mlx_need: how much memory MLX takes for a training step, as an estimate. MLX decides in which order a graph is computed,
 * so a step cannot be counted without computing it, as the native engine's is; what backward needs of forward is added up
 * instead, and what one layer or one chunk of the loss takes beside it. docs/engine_mlx.md says how near that comes. */
#ifndef YA_ENGINE_MLX_NEED_H
#define YA_ENGINE_MLX_NEED_H

#include "engine/mlx/mlx_weights.h"
#include "model/batch.h"

/* Bytes for forward and backward of the batch with the first `recomputed_blocks` blocks computed again in backward, beside
 * the weights (mlx_model.bytes) and beside what the native engine holds. */
size_t mlx_need_step(const struct mlx_model *x, const struct batch *b, int64_t recomputed_blocks);

#endif
