/* coreml_package: see coreml_package.h. Numbers of fields are those of coremltools' Model.proto and FeatureTypes.proto. */
#include "export/coreml/coreml_package.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "export/hf/hf_folder.h"
#include "io/wire.h"

/* 9: iOS 18 and macOS 15, the first with states. */
enum { SPECIFICATION = 9, MODEL_MAX_BYTES = 256 << 20, MANIFEST_MAX_BYTES = 1 << 20 };
enum { MODEL_VERSION = 1, MODEL_DESCRIPTION = 2, MODEL_PROGRAM = 502 };                          /* Model */
enum { DESCRIPTION_INPUT = 1, DESCRIPTION_OUTPUT = 10, DESCRIPTION_STATE = 13, METADATA = 100 }; /* ModelDescription */
enum { ARRAY_F16 = 65552, ARRAY_I32 = 131104 };                                                  /* ArrayDataType */
static const char data_dir[] = "Data/com.apple.CoreML";

/* ---- model.mlmodel ---------------------------------------------------------------------------------------------------- */

/* The shape of an array feature: packed whole numbers, field 1 of whatever they stand in. */
static void put_shape(struct buf *b, const struct mil_type *t, int64_t unknown)
{
    size_t packed = wire_begin(b, 1);
    for (int i = 0; i < t->rank; i++) wire_put_element(b, (uint64_t)(t->dim[i] < 0 ? unknown : t->dim[i]));
    wire_end(b, packed);
}

/* ArrayFeatureType: 1 shape (the one that is taken when none is asked for), 2 dataType,
 * 21 enumeratedShapes { 1 shapes { 1 shape } }. An output whose shape follows from the input's has none. */
static void put_array(struct buf *b, uint32_t number, const struct mil_type *t, const struct coreml_options *o,
                      bool is_input)
{
    size_t array = wire_begin(b, number);
    bool varies = mil_elements(t) < 0;
    if (!varies || is_input) put_shape(b, t, o->lengths[o->n_lengths - 1]);
    wire_put_varint(b, 2, t->dtype == MIL_I32 ? ARRAY_I32 : ARRAY_F16);
    if (varies && is_input) {
        size_t shapes = wire_begin(b, 21);
        for (int i = 0; i < o->n_lengths; i++) {
            size_t shape = wire_begin(b, 1);
            put_shape(b, t, o->lengths[i]);
            wire_end(b, shape);
        }
        wire_end(b, shapes);
    }
    wire_end(b, array);
}

/* FeatureDescription: 1 name, 3 type: FeatureType { 5 multiArrayType, 8 stateType { 1 arrayType } }. */
static void put_feature(struct buf *b, uint32_t number, const struct mil_var *v, const struct coreml_options *o)
{
    size_t feature = wire_begin(b, number);
    wire_put_string(b, 1, v->name);
    size_t type = wire_begin(b, 3);
    if (v->type.is_state) {
        size_t state = wire_begin(b, 8);
        put_array(b, 1, &v->type, o, false);
        wire_end(b, state);
    } else {
        put_array(b, 5, &v->type, o, number == DESCRIPTION_INPUT);
    }
    wire_end(b, type);
    wire_end(b, feature);
}

/* Metadata: 1 shortDescription, 3 author, 100 userDefined { 1 key, 2 value }. */
static void put_metadata(struct buf *b, const struct coreml_description *d)
{
    size_t metadata = wire_begin(b, METADATA);
    wire_put_string(b, 1, d->text);
    wire_put_string(b, 3, "your_ai");
    for (size_t i = 0; i < d->n_pairs; i++) {
        size_t pair = wire_begin(b, 100);
        wire_put_string(b, 1, d->pairs[i][0]);
        wire_put_string(b, 2, d->pairs[i][1]);
        wire_end(b, pair);
    }
    wire_end(b, metadata);
}

static void put_model(struct buf *b, const struct mil_program *p, const struct coreml_options *o,
                      const struct coreml_description *d)
{
    wire_put_varint(b, MODEL_VERSION, SPECIFICATION);
    size_t description = wire_begin(b, MODEL_DESCRIPTION);
    for (size_t i = 0; i < p->n_inputs; i++)
        put_feature(b, p->vars[i].type.is_state ? DESCRIPTION_STATE : DESCRIPTION_INPUT, &p->vars[i], o);
    for (size_t i = 0; i < p->n_outputs; i++) put_feature(b, DESCRIPTION_OUTPUT, &p->vars[p->outputs[i]], o);
    put_metadata(b, d);
    wire_end(b, description);
    size_t program = wire_begin(b, MODEL_PROGRAM);
    mil_write(p, b);
    wire_end(b, program);
}

/* ---- the folder ------------------------------------------------------------------------------------------------------- */

/* A name of 128 bits for an item, as text, from a digest of what it is: the same package has the same names. The digits of
 * version (5, of names by digest) and variant are set as RFC 4122 asks. */
static void item_id(const struct sha256 *of, const char *item, char out[37])
{
    struct sha256 s = *of;
    uint8_t digest[32];
    char hex[65];
    sha256_update(&s, item, strlen(item));
    sha256_final(&s, digest);
    digest[6] = (uint8_t)((digest[6] & 0x0F) | 0x50);
    digest[8] = (uint8_t)((digest[8] & 0x3F) | 0x80);
    sha256_hex(digest, hex);
    snprintf(out, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static void coreml_package_add_item(json_t *items, const char *id, const char *name, const char *path, const char *what)
{
    json_t *item = json_object();
    json_object_set_new(item, "author", json_string("com.apple.CoreML"));
    json_object_set_new(item, "description", json_string(what));
    json_object_set_new(item, "name", json_string(name));
    json_object_set_new(item, "path", json_string(path));
    json_object_set_new(items, id, item);
}

static enum status coreml_package_write_manifest(struct ctx *c, const char *path, const struct buf *model)
{
    char ids[2][37];
    struct sha256 s;
    sha256_init(&s);
    sha256_update(&s, buf_str(model), model->len);
    item_id(&s, "model", ids[0]);
    item_id(&s, "weights", ids[1]);
    json_t *doc = json_object(), *items = json_object();
    coreml_package_add_item(items, ids[0], "model.mlmodel", "com.apple.CoreML/model.mlmodel", "CoreML Model Specification");
    coreml_package_add_item(items, ids[1], "weights", "com.apple.CoreML/weights", "CoreML Model Weights");
    json_object_set_new(doc, "fileFormatVersion", json_string("1.0.0"));
    json_object_set_new(doc, "itemInfoEntries", items);
    json_object_set_new(doc, "rootModelIdentifier", json_string(ids[0]));
    enum status status = hf_folder_write_json(c, path, "Manifest.json", doc);
    json_decref(doc);
    return status;
}

/* PATH/Data/com.apple.CoreML/NAME; owner the caller. */
static char *inner_path(struct ctx *c, const char *path, const char *name)
{
    return mem_printf(c, "%s/%s/%s", path, data_dir, name);
}

enum status coreml_package_write(const struct coreml_net *n, struct merged *list, const struct coreml_options *o,
                                 const struct coreml_description *d, const char *path)
{
    struct ctx *c = n->program->c;
    struct buf model;
    char *folder = inner_path(c, path, "weights"), *weights = inner_path(c, path, "weights/weight.bin");
    char *file = inner_path(c, path, "model.mlmodel");
    buf_init(&model, c, MODEL_MAX_BYTES);
    put_model(&model, n->program, o, d);
    if (ctx_ok(c) && buf_ok(&model) && dir_make(c, folder) == OK && coreml_blobs_write(&n->blobs, list, weights) == OK &&
        file_write_atomic(c, file, buf_str(&model), model.len) == OK)
        coreml_package_write_manifest(c, path, &model);
    buf_release(&model);
    mem_free(c, folder);
    mem_free(c, weights);
    mem_free(c, file);
    return c->status;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

/* The last number of a packed shape, as one more length. */
static void coreml_package_read_length(struct coreml_package *k, struct wire_message shape, bool *broken)
{
    uint64_t value = 0, last = 0;
    while (wire_next_varint(&shape, &value, broken)) last = value;
    if (last > 0 && last <= INT32_MAX && k->n_lengths < COREML_LENGTHS_MAX) k->lengths[k->n_lengths++] = (int64_t)last;
}

/* The lengths that the first input may have: those of its enumerated shapes, else its one. */
static enum status read_lengths(struct coreml_package *k, struct wire_message description, bool *broken)
{
    struct wire_message input, type, array, shapes, shape;
    struct wire_field f;
    if (!wire_find(description, DESCRIPTION_INPUT, &input, broken) || !wire_find(input, 3, &type, broken) ||
        !wire_find(type, 5, &array, broken))
        return ctx_fail(k->c, E_INPUT, "%s: the model's description has no input that is an array", k->name);
    if (wire_find(array, 21, &shapes, broken)) {
        while (wire_next(&shapes, &f, broken))
            if (f.number == 1 && f.kind == WIRE_BYTES && wire_find(f.bytes, 1, &shape, broken))
                coreml_package_read_length(k, shape, broken);
    } else if (wire_find(array, 1, &shape, broken)) {
        coreml_package_read_length(k, shape, broken);
    }
    return k->n_lengths > 0 ? OK : ctx_fail(k->c, E_INPUT, "%s: the first input has no shape", k->name);
}

enum status coreml_package_read(struct coreml_package *k, const uint8_t *bytes, size_t n)
{
    struct wire_message m = {bytes, bytes + n}, description = {NULL, NULL}, program = {NULL, NULL};
    struct wire_field f;
    uint64_t version = 0;
    bool broken = false;
    while (wire_next(&m, &f, &broken)) {
        if (f.number == MODEL_VERSION && f.kind == WIRE_VARINT) version = f.value;
        if (f.number == MODEL_DESCRIPTION && f.kind == WIRE_BYTES) description = f.bytes;
        if (f.number == MODEL_PROGRAM && f.kind == WIRE_BYTES) program = f.bytes;
    }
    if (broken || !description.at || !program.at)
        return ctx_fail(k->c, E_INPUT, "%s: is no Core ML model that is an ML program", k->name);
    if (version != SPECIFICATION)
        return ctx_fail(k->c, E_UNSUPPORTED, "%s: specification version %llu; 9 is read", k->name,
                        (unsigned long long)version);
    TRY(read_lengths(k, description, &broken));
    k->program = mil_read(k->c, k->name, program.at, (size_t)(program.end - program.at));
    if (k->program && broken) return ctx_fail(k->c, E_INPUT, "%s: the description cannot be read", k->name);
    return k->c->status;
}

/* The manifest must name a model; where it lies is fixed. */
static enum status check_manifest(struct ctx *c, const char *path)
{
    char *file = path_join(c, path, "Manifest.json");
    const char *version = "", *root = "";
    json_t *doc = file ? json_parse_file(c, file, MANIFEST_MAX_BYTES) : NULL;
    if (doc && json_member_string(c, file, doc, "fileFormatVersion", true, &version) &&
        json_member_string(c, file, doc, "rootModelIdentifier", true, &root) &&
        !json_is_object(json_object_get(json_object_get(doc, "itemInfoEntries"), root)))
        ctx_fail(c, E_INPUT, "%s: rootModelIdentifier is no item", file);
    json_decref(doc);
    mem_free(c, file);
    return c->status;
}

struct coreml_package *coreml_package_open(struct ctx *c, const char *path)
{
    struct coreml_package *k = mem_alloc(c, 1, sizeof *k);
    if (!k) return NULL;
    *k = (struct coreml_package){.c = c, .name = mem_strdup(c, path)};
    char *model = inner_path(c, path, "model.mlmodel"), *weights = inner_path(c, path, "weights/weight.bin");
    if (ctx_ok(c) && check_manifest(c, path) == OK) k->model = file_map_open(c, model);
    if (k->model) k->weights = file_map_open(c, weights);
    if (k->weights && file_map_size(k->model) > MODEL_MAX_BYTES)
        ctx_fail(c, E_INPUT, "%s: is larger than 256 MiB, and no model of ours is", model);
    if (k->weights && ctx_ok(c)) coreml_package_read(k, file_map_data(k->model), file_map_size(k->model));
    mem_free(c, model);
    mem_free(c, weights);
    if (k->program && ctx_ok(c)) return k;
    coreml_package_close(k);
    return NULL;
}

void coreml_package_close(struct coreml_package *k)
{
    if (!k) return;
    mil_free(k->program);
    file_map_close(k->model);
    file_map_close(k->weights);
    mem_free(k->c, k->name);
    mem_free(k->c, k);
}
