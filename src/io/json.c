/* json: trees of jansson nodes built from our own scanner, and a serialiser for them.
 *
 * Why not json_loadb: it refuses integers beyond 64 bits (model_max_length in tokenizer_config.json is often 1e30 written
 * out), refuses U+0000 in keys, depends on the locale for numbers, and allocates up to eighty bytes for one byte of input
 * ("[[],[],..."), so a hostile file of 100 MB could take 8 GB. Here the cost of the tree is added up while it is built and
 * capped relative to the text. Why not json_dumpb: it writes 0.1 as 0.10000000000000001. */
#include "io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/utf8.h"
#include "io/json_scan.h"
#include "io/lfs_pointer.h"

/* Bytes that a node costs in jansson 2.14 with malloc's own overhead (measured by sizes of its structs), rounded up, and the
 * cap: 16 MiB whatever the text, and 32 bytes for each of its bytes. Real tokenizers need 6 to 14. */
enum { COST_OBJECT = 256, COST_ARRAY = 144, COST_ITEM = 24, COST_KEY = 96, COST_SCALAR = 64 };
enum { COST_FREE = 16 << 20, COST_PER_BYTE = 32 };

/* One parse: the scanner, the tree so far and what it has cost. */
struct json_builder {
    struct json_scan scan;
    struct buf key; /* the key whose value comes next */
    size_t cost;
    json_t *root;
    json_t *open[JSON_MAX_DEPTH]; /* borrowed: each is reachable from root */
};

static bool json_out_of_memory(struct json_builder *b)
{
    ctx_fail(b->scan.c, E_MEMORY, "%s: out of memory while parsing JSON", b->scan.what);
    return false;
}

/* A number that is no 64-bit integer, as a double; one that would be infinite is refused. */
static json_t *real_node(struct json_builder *b)
{
    char literal[JSON_MAX_NUMBER + 1];
    memcpy(literal, b->scan.string, b->scan.string_bytes);
    literal[b->scan.string_bytes] = 0;
    double v = str_to_double(literal, NULL);
    if (isfinite(v)) return json_real(v);
    json_scan_fail(&b->scan, "number %.40s does not fit in a double", literal);
    return NULL;
}

/* The node that a token stands for: a new reference. NULL when memory is short or the number does not fit. */
static json_t *make_node(struct json_builder *b, enum json_token t)
{
    int64_t v;
    switch (t) {
    case SCAN_OBJECT:
        return json_object();
    case SCAN_ARRAY:
        return json_array();
    case SCAN_STRING:
        return json_stringn_nocheck(b->scan.string, b->scan.string_bytes);
    case SCAN_INTEGER:
        return json_scan_i64(&b->scan, &v) ? json_integer(v) : real_node(b);
    case SCAN_REAL:
        return real_node(b);
    case SCAN_TRUE:
        return json_true();
    case SCAN_FALSE:
        return json_false();
    case SCAN_NULL:
        return json_null();
    default:
        ctx_panic(b->scan.c, __FILE__, __LINE__, "token %d starts no value", (int)t);
    }
}

/* What make_node will allocate for the token. */
static size_t node_cost(const struct json_builder *b, enum json_token t)
{
    switch (t) {
    case SCAN_OBJECT:
        return COST_OBJECT;
    case SCAN_ARRAY:
        return COST_ARRAY;
    case SCAN_STRING:
        return COST_SCALAR + b->scan.string_bytes;
    case SCAN_INTEGER:
    case SCAN_REAL:
        return COST_SCALAR;
    default:
        return 0;
    }
}

/* Adds to the estimate before anything of that size is allocated. */
static bool pay(struct json_builder *b, size_t bytes)
{
    b->cost += bytes; /* each addend is bounded by the text, which is in memory: no overflow */
    if (b->cost <= COST_FREE || (b->cost - COST_FREE) / COST_PER_BYTE <= b->scan.n) return true;
    json_scan_fail(&b->scan, "too many tiny values: the document would take over %d times its size in memory",
                   COST_PER_BYTE);
    return false;
}

/* Puts node under the open object's current key; takes the reference. Jansson before 2.14 has no keys with lengths. */
static bool add_member(struct json_builder *b, json_t *object, json_t *node)
{
    const char *key = buf_str(&b->key);
#if JANSSON_VERSION_HEX >= 0x020e00
    if (json_object_getn(object, key, b->key.len)) {
        json_decref(node);
        return json_scan_fail(&b->scan, "duplicate key \"%s\"", key);
    }
    return json_object_setn_new_nocheck(object, key, b->key.len, node) == 0 || json_out_of_memory(b);
#else
    if (strlen(key) != b->key.len || json_object_get(object, key)) {
        json_decref(node);
        return json_scan_fail(&b->scan, "duplicate key, or one with U+0000: \"%s\"", key);
    }
    return json_object_set_new_nocheck(object, key, node) == 0 || json_out_of_memory(b);
#endif
}

/* Puts the node where it belongs; takes the reference. */
static bool attach(struct json_builder *b, json_t *parent, json_t *node)
{
    if (!parent) {
        b->root = node;
        return true;
    }
    if (json_is_object(parent)) return add_member(b, parent, node);
    return json_array_append_new(parent, node) == 0 || json_out_of_memory(b);
}

/* Keeps the key until its value comes: the scanner's buffer is used again by then. */
static bool take_key(struct json_builder *b)
{
    buf_clear(&b->key);
    buf_append(&b->key, b->scan.string, b->scan.string_bytes);
    return buf_ok(&b->key) && pay(b, COST_KEY + b->key.len);
}

/* A scalar is attached at once; a container also becomes the parent of what follows. */
static bool json_take_value(struct json_builder *b, enum json_token t)
{
    bool container = t == SCAN_OBJECT || t == SCAN_ARRAY;
    int level = b->scan.depth - container; /* of the value itself */
    if (!pay(b, COST_ITEM + node_cost(b, t))) return false;
    json_t *node = make_node(b, t);
    if (!node) return ctx_ok(b->scan.c) ? json_out_of_memory(b) : false;
    if (!attach(b, level ? b->open[level - 1] : NULL, node)) return false;
    if (container) b->open[level] = node;
    return true;
}

/* The loop over tokens. No recursion: depth is bounded by the scanner, and open containers are an array. */
static bool json_build(struct json_builder *b)
{
    for (;;) {
        enum json_token t = json_scan_next(&b->scan);
        if (t == SCAN_END) return true;
        if (t == SCAN_FAILED) return false;
        if (t == SCAN_OBJECT_END || t == SCAN_ARRAY_END) continue;
        if (!(t == SCAN_KEY ? take_key(b) : json_take_value(b, t))) return false;
    }
}

json_t *json_parse(struct ctx *c, const char *what, const char *text, size_t n)
{
    if (!ctx_ok(c)) return NULL;
    struct json_builder b = {.root = NULL};
    json_scan_init(&b.scan, c, what, text, n);
    buf_init(&b.key, c, n + 1);
    bool ok = json_build(&b);
    buf_release(&b.key);
    json_scan_release(&b.scan);
    if (ok) return b.root;
    json_decref(b.root);
    return NULL;
}

/* A Git LFS pointer in the file's place is recognised and named as such. */
json_t *json_parse_file(struct ctx *c, const char *path, size_t max_bytes)
{
    size_t n;
    char *text = file_read(c, path, max_bytes, &n);
    if (!text) return NULL;
    json_t *doc = lfs_pointer_refuse(c, path, text, n) ? NULL : json_parse(c, path, text, n);
    mem_free(c, text);
    return doc;
}

/* For messages: "must be an integer, found a string". */
static const char *kind_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

/* The member, or NULL; *ok says whether NULL is fine (optional and absent or null). */
static const json_t *json_read_member(struct ctx *c, const char *what, const json_t *o, const char *key, bool required,
                                      bool *ok)
{
    *ok = false;
    if (!json_is_object(o)) {
        ctx_fail(c, E_INPUT, "%s: expected an object, found %s", what, o ? kind_name(o) : "nothing");
        return NULL;
    }
    const json_t *v = json_object_get(o, key);
    if (v && !json_is_null(v)) return v;
    *ok = !required;
    if (required) ctx_fail(c, E_INPUT, "%s: \"%s\" is %s", what, key, v ? "null" : "missing");
    return NULL;
}

/* Records the fault and returns false. */
static bool wrong_type(struct ctx *c, const char *what, const char *key, const char *expected, const json_t *v)
{
    ctx_fail(c, E_INPUT, "%s: \"%s\" must be %s, found %s", what, key, expected, kind_name(v));
    return false;
}

bool json_member_i64(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, int64_t min,
                     int64_t max, int64_t *out)
{
    bool ok;
    const json_t *v = json_read_member(c, what, o, key, required, &ok);
    if (!v) return ok;
    if (!json_is_integer(v)) return wrong_type(c, what, key, "an integer", v);
    int64_t value = json_integer_value(v);
    if (value < min || value > max) {
        ctx_fail(c, E_INPUT, "%s: \"%s\" is %lld, outside [%lld, %lld]", what, key, (long long)value, (long long)min,
                 (long long)max);
        return false;
    }
    *out = value;
    return true;
}

bool json_member_f64(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, double min,
                     double max, double *out)
{
    bool ok;
    const json_t *v = json_read_member(c, what, o, key, required, &ok);
    if (!v) return ok;
    if (!json_is_number(v)) return wrong_type(c, what, key, "a number", v);
    double value = json_number_value(v);
    if (!(value >= min && value <= max)) {
        ctx_fail(c, E_INPUT, "%s: \"%s\" is %g, outside [%g, %g]", what, key, value, min, max);
        return false;
    }
    *out = value;
    return true;
}

bool json_member_bool(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, bool *out)
{
    bool ok;
    const json_t *v = json_read_member(c, what, o, key, required, &ok);
    if (!v) return ok;
    if (!json_is_boolean(v)) return wrong_type(c, what, key, "true or false", v);
    *out = json_is_true(v);
    return true;
}

bool json_member_string(struct ctx *c, const char *what, const json_t *o, const char *key, bool required, const char **out)
{
    bool ok;
    const json_t *v = json_read_member(c, what, o, key, required, &ok);
    if (!v) return ok;
    if (!json_is_string(v)) return wrong_type(c, what, key, "a string", v);
    const char *s = json_string_value(v);
    if (strlen(s) != json_string_length(v)) {
        ctx_fail(c, E_INPUT, "%s: \"%s\" holds U+0000, which is not allowed here", what, key);
        return false;
    }
    *out = s;
    return true;
}

/* Bytes that are no UTF-8 become U+FFFD: what is written is always valid JSON. */
void json_append_string(struct buf *b, const char *s, size_t n)
{
    static const char special[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    buf_append_char(b, '"');
    size_t run = 0; /* start of the bytes not yet written */
    for (size_t i = 0; i < n;) {
        unsigned char ch = (unsigned char)s[i];
        size_t step = utf8_length((const uint8_t *)s + i, n - i);
        if (step > 0 && ch >= 0x20 && ch != '"' && ch != '\\') {
            i += step;
            continue;
        }
        buf_append(b, s + run, i - run);
        const char *found = ch ? strchr(special, ch) : NULL;
        if (step == 0)
            buf_append_str(b, "\xef\xbf\xbd");
        else if (found)
            buf_printf(b, "\\%c", letter[found - special]);
        else
            buf_printf(b, "\\u%04x", ch);
        run = ++i;
    }
    buf_append(b, s + run, n - run);
    buf_append_char(b, '"');
}

void json_append_f64(struct buf *b, double v)
{
    if (!isfinite(v)) {
        buf_append_str(b, "null");
        return;
    }
    if (v == 0 && signbit(v)) { /* "-0" would read back as the integer 0 */
        buf_append_str(b, "-0.0");
        return;
    }
    char text[40];
    for (int digits = 15; digits <= 17; digits++) { /* 15 always suffice for what a person wrote, 17 for any double */
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) break; /* the same locale on both sides */
    }
    for (char *p = text; *p; p++) {
        if (!strchr("+-0123456789e", *p)) *p = '.';
    }
    buf_append_str(b, text);
}

static void json_write_value(struct buf *b, const json_t *v, bool pretty, int depth);

/* Between members, when the text is for people. */
static void newline(struct buf *b, bool pretty, int depth)
{
    if (pretty) buf_printf(b, "\n%*s", 2 * depth, "");
}

/* A real keeps a point or exponent, so that it reads back as a real. */
static void write_real(struct buf *b, double v)
{
    size_t start = b->len;
    json_append_f64(b, v);
    if (buf_ok(b) && !strpbrk(buf_str(b) + start, ".en")) buf_append_str(b, ".0");
}

/* An array, an item on each line where the text is for people. */
static void write_array(struct buf *b, const json_t *v, bool pretty, int depth)
{
    size_t n = json_array_size(v);
    buf_append_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) buf_append_char(b, ',');
        newline(b, pretty, depth + 1);
        json_write_value(b, json_array_get(v, i), pretty, depth + 1);
    }
    if (n) newline(b, pretty, depth);
    buf_append_char(b, ']');
}

/* Bytes of the key under an iterator: it may hold U+0000 where jansson has keys with lengths. */
static size_t key_bytes(void *iter)
{
#if JANSSON_VERSION_HEX >= 0x020e00
    return json_object_iter_key_len(iter);
#else
    return strlen(json_object_iter_key(iter));
#endif
}

/* Pretty files have their members in byte order, so that two of them can be compared as text. */
static int compare_members(const void *a, const void *b)
{
    void *x = *(void *const *)a, *y = *(void *const *)b;
    size_t nx = key_bytes(x), ny = key_bytes(y);
    int order = memcmp(json_object_iter_key(x), json_object_iter_key(y), nx < ny ? nx : ny);
    return order ? order : (nx > ny) - (nx < ny);
}

/* Members in the order in which they were added, or sorted when pretty. */
static void write_object(struct buf *b, json_t *v, bool pretty, int depth)
{
    size_t n = json_object_size(v), i = 0;
    void **members = mem_alloc(b->c, n, sizeof *members);
    if (!members) return;
    for (void *it = json_object_iter(v); it; it = json_object_iter_next(v, it)) members[i++] = it;
    if (pretty) qsort(members, n, sizeof *members, compare_members);
    buf_append_char(b, '{');
    for (i = 0; i < n; i++) {
        if (i) buf_append_char(b, ',');
        newline(b, pretty, depth + 1);
        json_append_string(b, json_object_iter_key(members[i]), key_bytes(members[i]));
        buf_append_str(b, pretty ? ": " : ":");
        json_write_value(b, json_object_iter_value(members[i]), pretty, depth + 1);
    }
    if (n) newline(b, pretty, depth);
    buf_append_char(b, '}');
    mem_free(b->c, members);
}

/* Any node. Depth is bounded by that of the tree, which no parser of this program makes deeper than JSON_MAX_DEPTH. */
static void json_write_value(struct buf *b, const json_t *v, bool pretty, int depth)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        write_object(b, (json_t *)v, pretty, depth);
        return; /* jansson's iterators take no const */
    case JSON_ARRAY:
        write_array(b, v, pretty, depth);
        return;
    case JSON_STRING:
        json_append_string(b, json_string_value(v), json_string_length(v));
        return;
    case JSON_INTEGER:
        buf_printf(b, "%lld", (long long)json_integer_value(v));
        return;
    case JSON_REAL:
        write_real(b, json_real_value(v));
        return;
    case JSON_TRUE:
        buf_append_str(b, "true");
        return;
    case JSON_FALSE:
        buf_append_str(b, "false");
        return;
    case JSON_NULL:
        buf_append_str(b, "null");
        return;
    }
}

enum status json_write(struct ctx *c, const json_t *doc, bool pretty, struct buf *out)
{
    TRY(c->status);
    json_write_value(out, doc, pretty, 0);
    if (pretty) buf_append_char(out, '\n');
    return c->status;
}
