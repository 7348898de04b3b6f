/* ctx: what every call needs to know: the error slot, the allocator, the log and the panic hook.
 *
 * Two kinds of fault exist. A broken invariant of this program goes to BUG_ON, which stays on in release builds and calls
 * the panic hook. What comes from outside (a bad file, no memory, a shape that does not fit) becomes a `status` and one
 * message in the ctx. The first failure wins: later ones are consequences and are dropped, so a chain of calls is checked
 * once at its end.
 *
 * A ctx belongs to one thread at a time. Worker threads of `threads` never touch it: kernels validate before they fan out.
 */
#ifndef YA_BASE_CTX_H
#define YA_BASE_CTX_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a call ended. The arrow gives the program's exit code (status_exit_code). */
enum status {
    OK = 0,
    E_INPUT,       /* a file, row, flag or argument from outside is wrong        -> exit 2 */
    E_IO,          /* the system refused: open, write, fsync, rename, disk full  -> exit 1 */
    E_MEMORY,      /* an allocation failed                                       -> exit 3 */
    E_FIT,         /* it does not fit in memory, by the plan or on the card      -> exit 3 */
    E_SHAPE,       /* operands whose shapes do not go together, or ids past them -> exit 1 */
    E_DTYPE,       /* array operands whose dtypes do not go together             -> exit 1 */
    E_UNSUPPORTED, /* valid, but this program or backend does not do it          -> exit 2 */
    E_NUMERIC,     /* NaN or infinity where a number was needed                  -> exit 1 */
    E_INTERRUPTED, /* the user asked to stop and the work was saved              -> exit 130 */
    E_BUG,         /* a broken invariant of ours was found, and the host lives on -> exit 1 */
    E_FOUND,       /* a check found something and has printed it                -> exit 1 */
    STATUS_COUNT
};

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN };

/* Everything the host program may replace. Members left NULL get the default (malloc family, silent log, abort). */
struct ctx_hooks {
    void *(*alloc)(void *user, void *old, size_t bytes); /* realloc semantics; bytes 0 frees and returns NULL */
    void (*log)(void *user, enum log_level level, const char *message);
    void (*panic)(void *user, const char *message); /* must not return; may longjmp (ctx_panic) */
    void *user;
};

struct threads;   /* base/threads.h */
struct pool;      /* base/pool.h */
struct array_env; /* array/array.h: scopes, tape, backend */
struct mem_block; /* mem.c */
struct resource;  /* base/resource.h */

enum { CTX_MESSAGE_BYTES = 1024 };

struct ctx {
    enum status status;
    char message[CTX_MESSAGE_BYTES]; /* valid UTF-8, one line, untrusted bytes escaped */
    struct ctx_hooks hooks;
    struct threads *threads;     /* owned; NULL until ctx_set_threads: work runs on the caller */
    bool threads_idle;           /* see threads.h */
    struct array_env *array_env; /* owned by the array layer, created by array_env_new */
    size_t alloc_bytes;          /* live bytes handed out by mem_*; alloc_peak is the high-water mark */
    size_t alloc_peak;
    struct mem_block *blocks;   /* all of them, for ctx_free after a panic */
    struct resource *resources; /* what else has to be given back then */
    bool panicked;              /* the status is E_BUG for good, and only ctx_free may follow */
};

/* Makes a ctx. `hooks` may be NULL; it is copied. Returns NULL only when memory is exhausted. */
struct ctx *ctx_new(const struct ctx_hooks *hooks);

/* Frees the ctx and its thread pool. Accepts NULL. The array_env must already be gone. After a panic, structures cannot be
 * trusted: then everything that was allocated or held through the ctx is given back from its lists, the array_env too. */
void ctx_free(struct ctx *c);

/* Records a failure if none is recorded yet and returns `status`, so callers write `return ctx_fail(c, E_INPUT, ...)`.
 * Bytes below 0x20, 0x7f and invalid UTF-8 in the formatted text come out as \xNN (terminal escapes in file names). */
enum status ctx_fail(struct ctx *c, enum status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with a va_list. */
enum status ctx_vfail(struct ctx *c, enum status status, const char *format, va_list args);

/* Puts "prefix: " before the recorded message, so that an outer layer can add the file or row that an inner one could not
 * know. Does nothing when no failure is recorded. */
void ctx_prefix(struct ctx *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies text to out (at most out_bytes, NUL included) with everything unsafe as \xNN, as ctx_fail does; stops before the
 * first character that does not fit whole. */
void ctx_escape(char *out, size_t out_bytes, const char *text);

/* True while no failure is recorded. */
static inline bool ctx_ok(const struct ctx *c)
{
    return c->status == OK;
}

/* Forgets the recorded failure (tests, and callers that handle it), but not a panic. */
void ctx_clear(struct ctx *c);

/* Hands one line to the log hook, escaped as ctx_fail does and cut to CTX_MESSAGE_BYTES. Without a hook it goes
 * nowhere. */
void ctx_log(struct ctx *c, enum log_level level, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The name of a status ("input", "io", ...) and the program's exit code for it (table above). */
const char *status_name(enum status status);
int status_exit_code(enum status status);

/* Reports a broken invariant; does not return. On a thread that works for threads_run the message is carried to the thread
 * that called it, once all others have left the work. There the ctx becomes one that can only be freed (E_BUG,
 * `panicked`), and the panic hook is called, which may longjmp out of the library. Default hook: the message to stderr,
 * and abort. */
_Noreturn void ctx_panic(struct ctx *c, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same with the finished message of a panic that another thread was stopped by. */
_Noreturn void ctx_panic_again(struct ctx *c, const char *message);

/* BUG_ON(c, cond, fmt, ...): our fault, never the input's. Stays on in release builds. `c` may be NULL (abort). */
#define BUG_ON(c, cond, ...)                                                                                                \
    do {                                                                                                                    \
        if (__builtin_expect(!!(cond), 0)) ctx_panic((c), __FILE__, __LINE__, __VA_ARGS__);                                 \
    } while (0)

/* TRY(expr): returns the status of `expr` from the enclosing function unless it is OK. */
#define TRY(expr)                                                                                                           \
    do {                                                                                                                    \
        enum status try_status_ = (expr);                                                                                   \
        if (try_status_ != OK) return try_status_;                                                                          \
    } while (0)

#endif
