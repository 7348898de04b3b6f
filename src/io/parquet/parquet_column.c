/* parquet_column: a column chunk page by page (apache/parquet-format, README.md on data pages, and PageHeader in
 * parquet.thrift).
 *
 * A chunk is a dictionary page, where there is one, and data pages. Each page is a header in Thrift, then its bytes, mostly
 * compressed: repetition levels, definition levels, values. In version 1 all three are compressed together, and each kind of
 * levels stands behind its length; in version 2 the levels are not compressed, and their lengths are in the header.
 *
 * Sizes in the headers are claims of a file that nobody has checked, so a page may be at most PARQUET_PAGE_MAX bytes, may
 * expand to at most PARQUET_PAGE_RATIO times what it is packed in, and all columns share one budget. */
#include "io/parquet/parquet_column.h"

#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/le.h"
#include "base/mem.h"
#include "io/parquet/snappy.h"
#include "io/parquet/thrift.h"
#include "io/row_file.h"

enum { PAGE_DATA = 0, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3 };
enum { CODEC_NONE = 0, CODEC_SNAPPY = 1, CODEC_GZIP = 2, CODEC_ZSTD = 6 };

/* The fields of PageHeader that are read. */
struct page_header {
    int64_t type, bytes, packed; /* unpacked and packed size */
    int64_t values, encoding, rep_encoding, def_encoding;
    int64_t def_bytes, rep_bytes; /* version 2 */
    bool is_packed;
};

/* Names the column: a table may have hundreds. */
static bool column_fail(struct parquet_column *p, const char *what)
{
    ctx_fail(p->c, E_INPUT, "%s: column '%.*s' of the Parquet file is corrupt: %s", p->name, (int)p->leaf->name_bytes,
             p->leaf->name, what);
    return false;
}

void parquet_column_init(struct parquet_column *p, struct ctx *c, const char *name, const struct parquet_node *leaf,
                         struct parquet_budget *budget)
{
    *p = (struct parquet_column){.c = c, .name = name, .leaf = leaf, .budget = budget};
    buf_init(&p->whole, c, ROW_FILE_MAX_BYTES);
}

static bool reserve_page(struct parquet_column *p, size_t bytes, uint8_t **owned, size_t *owned_bytes);

/* Gives the dictionary's memory back to the budget. */
static void release_dictionary(struct parquet_column *p)
{
    reserve_page(p, 0, &p->dictionary.page, &p->dictionary.page_bytes);
    mem_free(p->c, p->dictionary.values);
    p->dictionary = (struct parquet_dictionary){0};
}

void parquet_column_release(struct parquet_column *p)
{
    release_dictionary(p);
    reserve_page(p, 0, &p->page, &p->page_bytes);
    buf_release(&p->whole);
}

/* ---- headers ---- */

/* Of a data page of version 1, or of a dictionary, whose third field is something else. Ids are those of DataPageHeader and
 * DictionaryPageHeader in parquet.thrift: 1 num_values, 2 encoding, 3 and 4 the encodings of the levels. */
static void read_data_header(struct thrift *t, bool dictionary, struct page_header *h)
{
    struct thrift_struct s = {0};
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        if (s.id == 1)
            h->values = thrift_int(t, &s);
        else if (s.id == 2)
            h->encoding = thrift_int(t, &s);
        else if (s.id == 3 && !dictionary)
            h->def_encoding = thrift_int(t, &s);
        else if (s.id == 4 && !dictionary)
            h->rep_encoding = thrift_int(t, &s);
        else
            thrift_skip(t, s.type);
    }
}

/* Of a data page of version 2 (DataPageHeaderV2): 1 num_values, 2 and 3 nulls and rows, which are not needed, 4 encoding, 5
 * and 6 the bytes of the levels, 7 is_compressed. */
static void read_data_header_v2(struct thrift *t, struct page_header *h)
{
    struct thrift_struct s = {0};
    thrift_enter(t);
    while (thrift_field(t, &s)) {
        if (s.id == 1)
            h->values = thrift_int(t, &s);
        else if (s.id == 4)
            h->encoding = thrift_int(t, &s);
        else if (s.id == 5)
            h->def_bytes = thrift_int(t, &s);
        else if (s.id == 6)
            h->rep_bytes = thrift_int(t, &s);
        else if (s.id == 7)
            h->is_packed = thrift_bool(t, &s);
        else
            thrift_skip(t, s.type);
    }
}

/* Reads the header at p->at and moves behind it (PageHeader: 1 type, 2 and 3 sizes without and with compression, 4 a
 * checksum, which is not looked at, 5 data page, 7 dictionary, 8 data page of version 2). What a header leaves out is -1, so
 * that it is refused where it is needed, but for encodings of levels, which version 2 does not have. A page that cannot be
 * made smaller may grow a little by packing, hence twice the largest page for its packed size. */
static bool read_page_header(struct parquet_column *p, struct page_header *h)
{
    struct thrift t = {.at = p->at, .end = p->end};
    struct thrift_struct s = {0};
    *h = (struct page_header){.type = -1,
                              .bytes = -1,
                              .packed = -1,
                              .values = -1,
                              .encoding = -1,
                              .rep_encoding = PARQUET_RLE,
                              .def_encoding = PARQUET_RLE,
                              .is_packed = true};
    thrift_enter(&t);
    while (thrift_field(&t, &s)) {
        if (s.id == 1)
            h->type = thrift_int(&t, &s);
        else if (s.id == 2)
            h->bytes = thrift_int(&t, &s);
        else if (s.id == 3)
            h->packed = thrift_int(&t, &s);
        else if ((s.id == 5 || s.id == 7) && s.type == THRIFT_STRUCT)
            read_data_header(&t, s.id == 7, h);
        else if (s.id == 8 && s.type == THRIFT_STRUCT)
            read_data_header_v2(&t, h);
        else
            thrift_skip(&t, s.type);
    }
    p->at = t.at;
    if (t.failed || h->bytes < 0 || h->packed < 0 || h->packed > p->end - p->at)
        return column_fail(p, "the header of a page");
    if (h->bytes > PARQUET_PAGE_MAX || h->packed > 2 * (int64_t)PARQUET_PAGE_MAX ||
        h->bytes - (1 << 20) > h->packed * PARQUET_PAGE_RATIO)
        return column_fail(p, "a page that would be too large unpacked");
    return true;
}

/* ---- unpacking ---- */

/* A page packed by gzip or zlib; it must expand to exactly its size. */
static bool expand_gzip(const uint8_t *from, size_t n, uint8_t *to, size_t bytes)
{
    z_stream z = {.next_in = (Bytef *)from, .avail_in = (uInt)n, .next_out = to, .avail_out = (uInt)bytes};
    if (inflateInit2(&z, 15 + 32) != Z_OK) return false; /* with the header of gzip or that of zlib */
    int result = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return result == Z_STREAM_END && z.avail_out == 0;
}

/* A page by its codec. False when it is corrupt or expands to another size. */
static bool expand_page(int codec, const uint8_t *from, size_t n, uint8_t *to, size_t bytes)
{
    if (codec == CODEC_SNAPPY) return snappy_expand(from, n, to, bytes);
    if (codec == CODEC_GZIP) return expand_gzip(from, n, to, bytes);
    return ZSTD_decompress(to, bytes, from, n) == bytes;
}

/* For messages. */
static const char *codec_name(int codec)
{
    static const char *const names[] = {"none", "snappy", "gzip", "LZO", "Brotli", "LZ4", "zstd", "LZ4"};
    return codec >= 0 && codec < (int)(sizeof names / sizeof names[0]) ? names[codec] : "a codec that is not known";
}

/* Memory for an unpacked page in the place of the one before, within the budget of all columns. 0 bytes: only gives back. */
static bool reserve_page(struct parquet_column *p, size_t bytes, uint8_t **owned, size_t *owned_bytes)
{
    mem_free(p->c, *owned);
    *owned = NULL;
    p->budget->used -= *owned_bytes;
    *owned_bytes = 0;
    if (bytes == 0) return true;
    if (bytes > p->budget->most - p->budget->used) return column_fail(p, "the pages would be too large unpacked");
    *owned = mem_alloc(p->c, bytes, 1);
    if (!*owned) return false;
    *owned_bytes = bytes;
    p->budget->used += bytes;
    return true;
}

/* The page's bytes, unpacked when they are packed; `plain` bytes in front of them are not. *owned: where memory for it goes.
 */
static const uint8_t *unpack(struct parquet_column *p, const struct page_header *h, size_t plain, uint8_t **owned,
                             size_t *owned_bytes)
{
    const uint8_t *from = p->at;
    if (!reserve_page(p, 0, owned, owned_bytes)) return NULL;
    if (plain > (size_t)h->packed || plain > (size_t)h->bytes) return column_fail(p, "the levels of a page"), NULL;
    if (p->codec == CODEC_NONE || !h->is_packed) {
        if (h->packed != h->bytes) return column_fail(p, "sizes of a page that is not packed"), NULL;
        return from;
    }
    if (!reserve_page(p, (size_t)h->bytes + 1, owned, owned_bytes)) return NULL; /* + 1: also an empty page has memory */
    memcpy(*owned, from, plain);
    size_t n = (size_t)h->packed - plain, bytes = (size_t)h->bytes - plain;
    if (bytes > 0 && !expand_page(p->codec, from + plain, n, *owned + plain, bytes))
        return column_fail(p, "a page cannot be unpacked"), NULL;
    return *owned;
}

/* ---- pages ---- */

/* A dictionary holds plain values; each of them takes bytes, so their number is bounded by the page. */
static bool read_dictionary(struct parquet_column *p, const struct page_header *h)
{
    struct parquet_values plain;
    struct parquet_dictionary *d = &p->dictionary;
    if (d->values) return column_fail(p, "a second dictionary");
    if (h->values < 0 || h->values > h->bytes || h->values > PARQUET_DICTIONARY_MAX || p->leaf->type == PARQUET_BOOLEAN)
        return column_fail(p, "size of the dictionary");
    const uint8_t *bytes = unpack(p, h, 0, &d->page, &d->page_bytes);
    if (!bytes) return false;
    d->values = mem_alloc(p->c, (size_t)h->values + 1, sizeof *d->values);
    if (!d->values) return false;
    if (!parquet_values_init(&plain, p->leaf, PARQUET_PLAIN, bytes, (size_t)h->bytes, (uint64_t)h->values, NULL, &p->whole))
        return column_fail(p, "the dictionary");
    for (; d->n < (size_t)h->values; d->n++)
        if (!parquet_values_next(&plain, &d->values[d->n])) return column_fail(p, "the dictionary");
    return true;
}

/* How many bits a level of 0 to `most` takes, which is how wide the file packs all of them. */
static int column_bits_of(int most)
{
    int bits = 0;
    while (most >> bits) bits++;
    return bits;
}

/* Levels of version 1 stand behind their length, when there are any. A leaf whose levels can only be 0 stores none, and the
 * empty run of width 0 gives these zeros. */
static bool take_levels(const uint8_t **at, const uint8_t *end, int most, struct bit_run *out)
{
    bit_run_init(out, NULL, 0, 0);
    if (most == 0) return true;
    if (end - *at < 4) return false;
    const uint8_t *b = *at;
    size_t n = le_u32(b);
    if (n > (size_t)(end - b) - 4) return false;
    bit_run_init(out, b + 4, n, column_bits_of(most));
    *at = b + 4 + n;
    return true;
}

/* Finds levels and values in a page's bytes. */
static bool split_page(struct parquet_column *p, const struct page_header *h, const uint8_t **at, const uint8_t *end)
{
    if (h->type == PAGE_DATA)
        return h->rep_encoding == PARQUET_RLE && h->def_encoding == PARQUET_RLE &&
               take_levels(at, end, p->leaf->max_rep, &p->rep_run) && take_levels(at, end, p->leaf->max_def, &p->def_run);
    bit_run_init(&p->rep_run, *at, (size_t)h->rep_bytes, column_bits_of(p->leaf->max_rep));
    bit_run_init(&p->def_run, *at + h->rep_bytes, (size_t)h->def_bytes, column_bits_of(p->leaf->max_def));
    if (p->leaf->max_rep == 0) bit_run_init(&p->rep_run, NULL, 0, 0);
    if (p->leaf->max_def == 0) bit_run_init(&p->def_run, NULL, 0, 0);
    *at += h->rep_bytes + h->def_bytes;
    return true;
}

/* Opens a data page: its levels and the decoder of its values. */
static bool read_data(struct parquet_column *p, const struct page_header *h)
{
    bool second = h->type == PAGE_DATA_V2;
    if (h->values < 0 || h->values > p->left) return column_fail(p, "number of values of a page");
    if (!parquet_encoding_is_known(h->encoding)) {
        ctx_fail(p->c, E_UNSUPPORTED, "%s: column '%.*s' has encoding %lld, which is not read here", p->name,
                 (int)p->leaf->name_bytes, p->leaf->name, (long long)h->encoding);
        return false;
    }
    if (second &&
        (h->rep_bytes < 0 || h->def_bytes < 0 || h->rep_bytes > h->bytes || h->def_bytes > h->bytes - h->rep_bytes))
        return column_fail(p, "the levels of a page");
    const uint8_t *at = unpack(p, h, second ? (size_t)(h->rep_bytes + h->def_bytes) : 0, &p->page, &p->page_bytes);
    if (!at) return false;
    const uint8_t *end = at + h->bytes;
    if (!split_page(p, h, &at, end)) return column_fail(p, "the levels of a page");
    p->page_left = h->values;
    p->left -= h->values;
    const struct parquet_dictionary *dictionary = p->dictionary.values ? &p->dictionary : NULL;
    if (!parquet_values_init(&p->values, p->leaf, (int)h->encoding, at, (size_t)(end - at), (uint64_t)h->values, dictionary,
                             &p->whole))
        return column_fail(p, "the values of a page, or their encoding");
    return true;
}

/* Reads pages up to the next one with entries; at the end of the chunk there is none. Pages of other types (indices) are
 * passed over. */
static bool next_page(struct parquet_column *p)
{
    struct page_header h;
    while (p->page_left == 0 && p->left > 0) {
        if (p->at == p->end) return column_fail(p, "fewer values than the footer says");
        if (!read_page_header(p, &h)) return false;
        if (h.type == PAGE_DICTIONARY ? !read_dictionary(p, &h)
                                      : (h.type == PAGE_DATA || h.type == PAGE_DATA_V2) && !read_data(p, &h))
            return false;
        p->at += h.packed;
    }
    return true;
}

bool parquet_column_advance(struct parquet_column *p)
{
    uint32_t rep, def;
    p->have = false;
    if (p->page_left == 0 && !next_page(p)) return false;
    if (p->page_left == 0) return true;
    p->page_left--;
    if (!bit_run_next(&p->rep_run, &rep) || !bit_run_next(&p->def_run, &def) || rep > (uint32_t)p->leaf->max_rep ||
        def > (uint32_t)p->leaf->max_def)
        return column_fail(p, "the levels of a page");
    p->rep = (int)rep;
    p->def = (int)def;
    return p->have = true;
}

bool parquet_column_open(struct parquet_column *p, const uint8_t *bytes, const struct parquet_chunk *chunk)
{
    release_dictionary(p);
    p->codec = chunk->codec;
    p->at = bytes + chunk->at;
    p->end = p->at + chunk->bytes;
    p->left = chunk->values;
    p->page_left = 0;
    if (p->codec == CODEC_NONE || p->codec == CODEC_SNAPPY || p->codec == CODEC_GZIP || p->codec == CODEC_ZSTD)
        return parquet_column_advance(p);
    ctx_fail(p->c, E_UNSUPPORTED, "%s: column '%.*s' is packed by %s; read are none, snappy, gzip and zstd", p->name,
             (int)p->leaf->name_bytes, p->leaf->name, codec_name(p->codec));
    return false;
}

bool parquet_column_value(struct parquet_column *p, struct parquet_value *out)
{
    return parquet_values_next(&p->values, out) || column_fail(p, "fewer values than levels");
}
