/* cuda_modules: the compiled kernels, one fatbin a .cu file, as the build embeds them (cmake/cuda.cmake). */
#ifndef YA_BACKEND_CUDA_MODULES_H
#define YA_BACKEND_CUDA_MODULES_H

struct cuda_module {
    const char *name; /* of the .cu file */
    const unsigned char *image;
};
extern const struct cuda_module CUDA_MODULES[];
extern const int CUDA_MODULE_COUNT;

#endif
