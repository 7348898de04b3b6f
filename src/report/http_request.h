/* http_request: reads one request of HTTP/1.0 or 1.1 and decides whether a server that shows pages of its own to this
 * machine alone may answer it. Everything that such a server does not need is refused: other methods than GET, bodies, many
 * or long headers, folded lines, and above all other host names. A page of some web site can make its name point at
 * 127.0.0.1 after it was loaded (DNS rebinding) and would then be allowed to read what this server says; its requests carry
 * that name in Host. */
#ifndef YA_REPORT_HTTP_REQUEST_H
#define YA_REPORT_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_REQUEST_BYTES = 8192, /* of a request with its headers */
    HTTP_PATH_BYTES = 256,     /* of a path, its NUL included */
    HTTP_HEADERS_MAX = 64
};

/* What is known of a request, complete or not. */
struct http_request {
    int status;                 /* 0: more bytes are needed; 200: `path` may be looked up; else the status to answer with */
    char path[HTTP_PATH_BYTES]; /* begins with '/', printable ASCII, a query included; set where status is 200 */
};

/* Reads the n bytes that have come so far. port: the one that the server listens on, so that a Host must be localhost,
 * 127.0.0.1 or [::1] with it. Statuses: 400 malformed, or without Host, or with bytes behind its end; 403 another Host or
 * Origin; 405 another method; 413 a body; 414 a long path; 431 many or long headers; 505 another version. */
struct http_request http_request_read(const char *bytes, size_t n, int port);

/* "Not Found" and the like, for the statuses above and 200, 404, 503. */
const char *http_status_words(int status);

#endif
