#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "report/http_request.h"

/* However the bytes come in pieces, the verdict is one that the server knows, what is let through names this server and its
 * path is text, and a verdict over the first bytes is not taken back by further ones of the same request. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *exact = malloc(size ? size : 1);
    if (!exact) abort();
    memcpy(exact, data, size);
    struct http_request r = http_request_read(exact, size, 8080);
    if (r.status != 0 && strcmp(http_status_words(r.status), "Error") == 0) __builtin_trap();
    if (r.status == 0 && size >= HTTP_REQUEST_BYTES) __builtin_trap();
    if (r.status == 200) {
        if (r.path[0] != '/' || strlen(r.path) >= HTTP_PATH_BYTES) __builtin_trap();
        for (const char *p = r.path; *p; p++)
            if (*p <= 0x20 || *p > 0x7e) __builtin_trap();
        if (!memmem(exact, size, ":8080\r\n", 7) && !memmem(exact, size, ":8080 ", 6) && !memmem(exact, size, ":8080\t", 6))
            __builtin_trap();
        for (size_t n = 0; n < size; n++) {
            char *part = malloc(n ? n : 1);
            if (!part) abort();
            memcpy(part, exact, n);
            if (http_request_read(part, n, 8080).status != 0) __builtin_trap();
            free(part);
        }
    }
    free(exact);
    return 0;
}
