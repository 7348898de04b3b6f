/* dataset_layout: the cache file, shared by the one who writes it and the one who checks it.
 *
 *   header      64 bytes: magic, version, byte-order mark, zeros
 *   documents   each: tokens i32[n], trained u8[n], zeros up to a multiple of 4
 *   files       at a multiple of 8; each: struct dataset_file_entry, the path's bytes, zeros up to a multiple of 8
 *   types       names of source types, each: its length u64, its bytes, zeros up to a multiple of 8
 *   table       struct dataset_document[counts.documents]
 *   footer      struct dataset_footer; its last 32 bytes are the SHA-256 of everything before them
 *
 * What is known only at the end stands at the end, so the file is written in one pass. Numbers are in the byte order of the
 * machine, which the mark tells: a cache belongs to a run directory and is built again elsewhere. */
#ifndef YA_DATA_DATASET_LAYOUT_H
#define YA_DATA_DATASET_LAYOUT_H

#include "data/dataset.h"

#define DATASET_MAGIC "YA-DATA\n"
enum { DATASET_VERSION = 2, DATASET_BYTE_ORDER = 0x01020304 };

struct dataset_header {
    char magic[8];
    uint32_t version, byte_order;
    uint8_t zeros[48];
};

struct dataset_file_entry {
    uint64_t bytes;
    char sha256[64];
    uint32_t path_bytes, zero;
};

struct dataset_footer {
    struct dataset_counts counts;
    int64_t max_length, n_files, n_types;
    int64_t files_at, types_at, table_at; /* byte offsets */
    uint8_t sha256[32];
};

_Static_assert(sizeof(struct dataset_header) == 64 && sizeof(struct dataset_document) == 56, "no hidden padding");
_Static_assert(sizeof(struct dataset_counts) == 8 * (12 + FAULT_COUNT), "no hidden padding");

/* Bytes that a document of n tokens takes. */
static inline int64_t dataset_document_bytes(int64_t n)
{
    return (5 * n + 3) / 4 * 4;
}

#endif
