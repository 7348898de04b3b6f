/* mock_old: a libmlxc that lacks most of what the engine needs, as one of another version may. */
#define EXPORT __attribute__((visibility("default")))

EXPORT void mlx_set_error_handler(void (*handler)(const char *, void *), void *data, void (*dtor)(void *));

void mlx_set_error_handler(void (*handler)(const char *, void *), void *data, void (*dtor)(void *))
{
    (void)handler, (void)data, (void)dtor;
}
