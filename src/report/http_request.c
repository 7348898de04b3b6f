/* http_request: see the header. Lines end with CR LF, as RFC 9112 asks of a sender; a server is allowed to take a lone LF
 * too, and this one does not. Every line is looked at once, in place; nothing is allocated. */
#include "report/http_request.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A part of the request's bytes. */
struct http_text {
    const char *at;
    size_t n;
};

static bool http_text_is(struct http_text t, const char *word)
{
    return t.n == strlen(word) && memcmp(t.at, word, t.n) == 0;
}

/* For names of headers and hosts, in which case does not count. */
static bool http_text_is_word(struct http_text t, const char *word)
{
    return t.n == strlen(word) && strncasecmp(t.at, word, t.n) == 0;
}

/* Takes a line without its CR LF off *rest; false where there is no whole line. */
static bool http_take_line(struct http_text *rest, struct http_text *line)
{
    for (size_t i = 0; i + 1 < rest->n; i++) {
        if (rest->at[i] != '\r' || rest->at[i + 1] != '\n') continue;
        *line = (struct http_text){rest->at, i};
        rest->at += i + 2;
        rest->n -= i + 2;
        return true;
    }
    return false;
}

/* Takes what stands before the first space off *line, and the space. */
static struct http_text http_take_word(struct http_text *line)
{
    const char *space = memchr(line->at, ' ', line->n);
    struct http_text word = {line->at, space ? (size_t)(space - line->at) : line->n};
    size_t used = word.n + (space != NULL);
    line->at += used;
    line->n -= used;
    return word;
}

/* Without the spaces and tabs around it. */
static struct http_text http_trimmed(struct http_text t)
{
    while (t.n > 0 && (*t.at == ' ' || *t.at == '\t')) t.at++, t.n--;
    while (t.n > 0 && (t.at[t.n - 1] == ' ' || t.at[t.n - 1] == '\t')) t.n--;
    return t;
}

/* No control characters; bytes above 0x7f may stand in values of headers. */
static bool http_text_is_clean(struct http_text t, bool ascii)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char)t.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f || (ascii && (c <= 0x20 || c > 0x7e))) return false;
    }
    return true;
}

/* Whether a name with its port is one of this server on this machine. */
static bool is_own_host(struct http_text host, int port)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    char own[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(own, sizeof own, "%s:%d", names[i], port);
        if (http_text_is_word(host, own) || (port == 80 && http_text_is_word(host, names[i]))) return true;
    }
    return false;
}

/* "GET /path HTTP/1.1"; the status, or 200. */
static int read_first_line(struct http_text line, struct http_request *r)
{
    struct http_text method = http_take_word(&line), path = http_take_word(&line), version = line;
    if (method.n == 0 || !http_text_is_clean(method, true) || !http_text_is_clean(path, true)) return 400;
    if (!http_text_is(version, "HTTP/1.1") && !http_text_is(version, "HTTP/1.0"))
        return strncmp(version.at, "HTTP/", 5) == 0 ? 505 : 400;
    if (!http_text_is(method, "GET")) return 405;
    if (path.n >= HTTP_PATH_BYTES) return 414;
    if (path.n == 0 || path.at[0] != '/') return 400;
    memcpy(r->path, path.at, path.n);
    r->path[path.n] = '\0';
    return 200;
}

/* "Name: value"; the status, or 200. */
static int http_read_header(struct http_text line, int port, int *hosts)
{
    static const char scheme[] = "http://";
    const char *colon = memchr(line.at, ':', line.n);
    if (!colon || colon == line.at) return 400;
    struct http_text name = {line.at, (size_t)(colon - line.at)};
    struct http_text value = http_trimmed((struct http_text){colon + 1, line.n - name.n - 1});
    if (!http_text_is_clean(name, true) || !http_text_is_clean(value, false)) return 400;
    if (http_text_is_word(name, "host")) return ++*hosts > 1 ? 400 : is_own_host(value, port) ? 200 : 403;
    if (http_text_is_word(name, "transfer-encoding")) return 413;
    if (http_text_is_word(name, "content-length")) return http_text_is(value, "0") ? 200 : 413;
    if (!http_text_is_word(name, "origin")) return 200;
    size_t skip = sizeof scheme - 1;
    bool own = value.n > skip && strncasecmp(value.at, scheme, skip) == 0 &&
               is_own_host((struct http_text){value.at + skip, value.n - skip}, port);
    return own ? 200 : 403;
}

struct http_request http_request_read(const char *bytes, size_t n, int port)
{
    struct http_request r = {0};
    struct http_text rest = {bytes, n < HTTP_REQUEST_BYTES ? n : HTTP_REQUEST_BYTES}, line;
    int hosts = 0, headers = 0, status = 200;
    if (!http_take_line(&rest, &line)) {
        if (n >= HTTP_REQUEST_BYTES) r.status = 414;
        return r;
    }
    status = read_first_line(line, &r);
    while (status == 200) {
        if (!http_take_line(&rest, &line)) {
            if (n >= HTTP_REQUEST_BYTES) r.status = 431;
            return r;
        }
        if (line.n == 0) break;
        status = ++headers > HTTP_HEADERS_MAX ? 431 : http_read_header(line, port, &hosts);
    }
    if (status == 200 && (hosts == 0 || rest.n > 0 || n > HTTP_REQUEST_BYTES)) status = 400;
    r.status = status;
    return r;
}

const char *http_status_words(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 431:
        return "Request Header Fields Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}
