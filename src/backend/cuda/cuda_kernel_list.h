/* cuda_kernel_list: every kernel by its name and the .cu file that holds it, once, for the table of a card and for the
 * emulator of the tests. */
#ifndef YA_BACKEND_CUDA_KERNEL_LIST_H
#define YA_BACKEND_CUDA_KERNEL_LIST_H

#define CUDA_KERNELS(X)                                                                                                     \
    X(rms_norm_1, cuda_rms_norm)                                                                                            \
    X(rms_norm_2, cuda_rms_norm)                                                                                            \
    X(rms_norm_4, cuda_rms_norm)                                                                                            \
    X(rms_norm_8, cuda_rms_norm)                                                                                            \
    X(rms_norm_bwd_1, cuda_rms_norm)                                                                                        \
    X(rms_norm_bwd_2, cuda_rms_norm)                                                                                        \
    X(rms_norm_bwd_4, cuda_rms_norm)                                                                                        \
    X(rms_norm_bwd_8, cuda_rms_norm)                                                                                        \
    X(rope, cuda_rope)                                                                                                      \
    X(swiglu, cuda_swiglu)                                                                                                  \
    X(swiglu_bwd, cuda_swiglu)                                                                                              \
    X(move_bf16_bf16, cuda_elementwise)                                                                                     \
    X(move_bf16_f32, cuda_elementwise)                                                                                      \
    X(move_f32_bf16, cuda_elementwise)                                                                                      \
    X(move_f32_f32, cuda_elementwise)                                                                                       \
    X(fill_32, cuda_elementwise)                                                                                            \
    X(fill_16, cuda_elementwise)                                                                                            \
    X(move_rows_by_id, cuda_elementwise)                                                                                    \
    X(add_bf16, cuda_elementwise)                                                                                           \
    X(add_bias, cuda_elementwise)                                                                                           \
    X(strided, cuda_generic)                                                                                                \
    X(sum_rows_by_id, cuda_generic)                                                                                         \
    X(check_ids, cuda_generic)                                                                                              \
    X(dropout, cuda_dropout)                                                                                                \
    X(softmax_loss, cuda_loss)                                                                                              \
    X(loss_stats, cuda_loss)                                                                                                \
    X(negate, cuda_loss)                                                                                                    \
    X(sum_squares_partial, cuda_optim)                                                                                      \
    X(sum_squares_total, cuda_optim)                                                                                        \
    X(adamw, cuda_optim)                                                                                                    \
    X(tall_product_16, cuda_lora)                                                                                           \
    X(tall_product_32, cuda_lora)                                                                                           \
    X(tall_product_48, cuda_lora)                                                                                           \
    X(tall_product_64, cuda_lora)                                                                                           \
    X(tall_product_96, cuda_lora)                                                                                           \
    X(thin_16, cuda_thin)                                                                                                   \
    X(thin_32, cuda_thin)                                                                                                   \
    X(thin_48, cuda_thin)                                                                                                   \
    X(thin_64, cuda_thin)                                                                                                   \
    X(thin_96, cuda_thin)                                                                                                   \
    X(thin_columns_16, cuda_thin)                                                                                           \
    X(thin_columns_32, cuda_thin)                                                                                           \
    X(thin_columns_64, cuda_thin)                                                                                           \
    X(adapter_pack, cuda_thin)                                                                                              \
    X(tall_total, cuda_lora)                                                                                                \
    X(attention_bounds, cuda_attention)                                                                                     \
    X(attention_delta, cuda_attention_bwd)                                                                                  \
    X(attention_16, cuda_attention)                                                                                         \
    X(attention_32, cuda_attention)                                                                                         \
    X(attention_64, cuda_attention)                                                                                         \
    X(attention_96, cuda_attention)                                                                                         \
    X(attention_128, cuda_attention)                                                                                        \
    X(attention_wide_64, cuda_attention_wide)                                                                               \
    X(attention_wide_128, cuda_attention_wide)                                                                              \
    X(attention_wide_dq_64, cuda_attention_wide)                                                                            \
    X(attention_wide_dq_128, cuda_attention_wide)                                                                           \
    X(attention_wide_dkv_64, cuda_attention_wide)                                                                           \
    X(attention_wide_dkv_128, cuda_attention_wide)                                                                          \
    X(attention_dq_16, cuda_attention_bwd)                                                                                  \
    X(attention_dq_32, cuda_attention_bwd)                                                                                  \
    X(attention_dq_64, cuda_attention_bwd)                                                                                  \
    X(attention_dq_96, cuda_attention_bwd)                                                                                  \
    X(attention_dq_128, cuda_attention_bwd)                                                                                 \
    X(attention_dkv_16, cuda_attention_bwd)                                                                                 \
    X(attention_dkv_32, cuda_attention_bwd)                                                                                 \
    X(attention_dkv_64, cuda_attention_bwd)                                                                                 \
    X(attention_dkv_96, cuda_attention_bwd)                                                                                 \
    X(attention_dkv_128, cuda_attention_bwd)

#endif
