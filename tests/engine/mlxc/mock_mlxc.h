/* mock_mlxc: what tests ask of the library that stands for mlx-c. They find these functions in it by dlsym. */
#ifndef YA_TESTS_MOCK_MLXC_H
#define YA_TESTS_MOCK_MLXC_H

/* Handles that were made and not freed. */
typedef int mock_mlxc_live_fn(void);
/* The n-th call from now on that returns an int fails, with the message "injected 100% failure"; 0: none does. Returns how
 * many such calls there were since the last time that this was asked. */
typedef int mock_mlxc_fail_fn(int n);

#endif
