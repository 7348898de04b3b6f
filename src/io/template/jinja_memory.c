/* jinja_memory: memory of a template and of a run: blocks that are given back together, so that no value needs an owner. A
 * cap makes a template that builds ever larger values fail instead of filling the machine. */
#include <string.h>

#include "base/mem.h"
#include "io/template/jinja_internal.h"

enum { BLOCK_BYTES = 16 << 10, TEXT_BYTES = 8 << 10, BUILDER_BYTES = 256 };

struct jinja_block {
    struct jinja_block *next;
    size_t room, used;
    _Alignas(16) char bytes[]; /* of texts: `room` characters, then `room` marks */
};

void jinja_arena_init(struct jinja_arena *a, struct ctx *c, size_t cap_bytes)
{
    *a = (struct jinja_arena){.c = c, .left = cap_bytes};
}

static void release_blocks(struct ctx *c, struct jinja_block *b)
{
    while (b) {
        struct jinja_block *next = b->next;
        mem_free(c, b);
        b = next;
    }
}

void jinja_arena_release(struct jinja_arena *a)
{
    release_blocks(a->c, a->blocks);
    release_blocks(a->c, a->texts);
    a->blocks = a->texts = NULL;
}

/* A block with space for at least `need` elements of `width` bytes each, in front of *list. */
static struct jinja_block *block_add(struct jinja_arena *a, struct jinja_block **list, size_t need, size_t usual,
                                     size_t width)
{
    size_t room = need > usual ? need : usual;
    if (room > a->left / width || sizeof(struct jinja_block) > a->left - room * width) {
        ctx_fail(a->c, E_INPUT, "the chat template needs too much memory");
        return NULL;
    }
    size_t bytes = sizeof(struct jinja_block) + room * width;
    struct jinja_block *b = mem_alloc(a->c, 1, bytes);
    if (!b) return NULL;
    a->left -= bytes;
    *b = (struct jinja_block){.next = *list, .room = room};
    return *list = b;
}

void *jinja_arena_alloc(struct jinja_arena *a, size_t count, size_t size)
{
    if (size > 0 && count > a->left / size) {
        ctx_fail(a->c, E_INPUT, "the chat template needs too much memory");
        return NULL;
    }
    size_t bytes = (count * size + 15) & ~(size_t)15;
    struct jinja_block *b = a->blocks;
    if (!b || b->room - b->used < bytes) b = block_add(a, &a->blocks, bytes, BLOCK_BYTES, 1);
    if (!b) return NULL;
    void *p = b->bytes + b->used;
    b->used += bytes;
    return p;
}

/* ---- strings ---- */

/* Room for n characters with their marks, after which the block has `spare` more where it can. False on failure. */
static bool text_room(struct jinja_arena *a, size_t n, size_t spare)
{
    struct jinja_block *b = a->texts;
    if (b && b->room - b->used >= n) return true;
    if (n > a->left || spare > a->left - n) spare = 0;
    return block_add(a, &a->texts, n + spare, TEXT_BYTES, 2) != NULL;
}

static void text_copy(char *s, uint8_t *outside, struct jinja_string from)
{
    if (from.n == 0) return;
    memcpy(s, from.s, from.n);
    if (from.outside)
        memcpy(outside, from.outside, from.n);
    else
        memset(outside, 0, from.n);
}

static bool text_is_newest(const struct jinja_arena *arena, struct jinja_string a, size_t more)
{
    const struct jinja_block *b = arena->texts;
    return b && a.outside && a.n > 0 && a.s + a.n == b->bytes + b->used && b->room - b->used >= more;
}

struct jinja_string jinja_arena_concat(struct jinja_arena *arena, struct jinja_string a, struct jinja_string b)
{
    if (a.n == 0) return b;
    if (b.n == 0) return a;
    if (!text_is_newest(arena, a, b.n)) {
        if (!text_room(arena, a.n + b.n, a.n)) return (struct jinja_string){"", NULL, 0};
        struct jinja_block *block = arena->texts;
        char *s = block->bytes + block->used;
        uint8_t *outside = (uint8_t *)block->bytes + block->room + block->used;
        text_copy(s, outside, a);
        block->used += a.n;
        a = (struct jinja_string){s, outside, a.n};
    }
    struct jinja_block *block = arena->texts;
    text_copy(block->bytes + block->used, (uint8_t *)block->bytes + block->room + block->used, b);
    block->used += b.n;
    a.n += b.n;
    return a;
}

/* ---- builders ---- */

/* Makes the string longer by `more` bytes. */
static bool builder_grow(struct jinja_builder *b, size_t more)
{
    if (!ctx_ok(b->a->c)) return false;
    if (b->room - b->n >= more) return true;
    size_t room = b->room * 2 > b->n + more ? b->room * 2 : b->n + more;
    if (room < BUILDER_BYTES) room = BUILDER_BYTES;
    if (more > SIZE_MAX / 4 || !text_room(b->a, room, 0)) return false;
    struct jinja_block *block = b->a->texts;
    char *s = block->bytes + block->used;
    uint8_t *outside = (uint8_t *)block->bytes + block->room + block->used;
    text_copy(s, outside, jinja_builder_string(b));
    block->used += room;
    b->s = s;
    b->outside = outside;
    b->room = room;
    return true;
}

void jinja_builder_append(struct jinja_builder *b, struct jinja_string s)
{
    if (s.n == 0 || !builder_grow(b, s.n)) return;
    text_copy(b->s + b->n, b->outside + b->n, s);
    b->n += s.n;
}

void jinja_builder_bytes(struct jinja_builder *b, const char *s, size_t n, bool outside)
{
    if (n == 0 || !builder_grow(b, n)) return;
    memcpy(b->s + b->n, s, n);
    memset(b->outside + b->n, outside, n);
    b->n += n;
}

void jinja_builder_str(struct jinja_builder *b, const char *s)
{
    jinja_builder_bytes(b, s, strlen(s), false);
}

struct jinja_string jinja_builder_string(const struct jinja_builder *b)
{
    return b->s ? (struct jinja_string){b->s, b->outside, b->n} : (struct jinja_string){"", NULL, 0};
}

/* ---- names ---- */

/* FNV-1a of a name. */
static uint32_t symbol_hash(struct jinja_string name)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < name.n; i++) h = (h ^ (uint8_t)name.s[i]) * 16777619u;
    return h;
}

/* The row of a name, or the free row where it belongs. */
static uint32_t symbol_row(const struct jinja_symbols *s, struct jinja_string name)
{
    uint32_t row = symbol_hash(name) & (s->rows - 1);
    for (; s->table[row] > 0; row = (row + 1) & (s->rows - 1)) {
        struct jinja_string other = s->names[s->table[row] - 1];
        if (other.n == name.n && memcmp(other.s, name.s, name.n) == 0) break;
    }
    return row;
}

int32_t jinja_symbol_find(const struct jinja_template *t, struct jinja_string name)
{
    return t->symbols.rows == 0 ? -1 : t->symbols.table[symbol_row(&t->symbols, name)] - 1;
}

/* Twice the rows, and space for half as many names. */
static bool symbols_grow(struct jinja_template *t)
{
    struct jinja_symbols *s = &t->symbols, old = *s;
    s->rows = old.rows ? old.rows * 2 : 256;
    s->room = (int32_t)(s->rows / 2);
    s->table = jinja_arena_alloc(&t->arena, s->rows, sizeof *s->table);
    s->names = jinja_arena_alloc(&t->arena, (size_t)s->room, sizeof *s->names);
    if (!s->table || !s->names) {
        *s = old;
        return false;
    }
    for (int32_t i = 0; i < s->n; i++) {
        s->names[i] = old.names[i];
        s->table[symbol_row(s, s->names[i])] = i + 1;
    }
    return true;
}

int32_t jinja_symbol(struct jinja_template *t, struct jinja_string name)
{
    int32_t found = jinja_symbol_find(t, name);
    struct jinja_symbols *s = &t->symbols;
    if (found >= 0) return found;
    if (s->n == s->room && !symbols_grow(t)) return -1;
    s->names[s->n++] = name;
    s->table[symbol_row(s, name)] = s->n;
    return s->n - 1;
}
