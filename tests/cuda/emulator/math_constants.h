#define CUDART_INF_F __builtin_inff()
#define CUDART_L2E_F 1.442695041f
