/* The constants of CUDA's header of this name that the kernels use, for the emulator. */
#define CUDART_INF_F __builtin_inff()
#define CUDART_L2E_F 1.442695041f
