#include "support_data.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "io/json.h"

#include "base/support_base.c" /* the one definition of the scratch folder and the failing allocator */

/* GPT-2's printable stand-in for a byte, as UTF-8. */
static void append_byte_letter(struct buf *b, int byte)
{
    int u = byte, rank = 0;
    bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    for (int i = 0; i < byte; i++) rank += !((i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174);
    if (!printable) u = 256 + rank;
    char letter[2] = {(char)(0xC0 | u >> 6), (char)(0x80 | (u & 0x3F))};
    if (u < 0x80) letter[0] = (char)u;
    json_append_string(b, letter, u < 0x80 ? 1 : 2);
}

static const char *const specials[] = {"<s>", "</s>", "<|im_start|>", "<|im_end|>"};

static void append_tokenizer(struct buf *b)
{
    buf_append_str(b, "{\"version\":\"1.0\",\"added_tokens\":[");
    for (int i = 0; i < 4; i++)
        buf_printf(b,
                   "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
                   "\"normalized\":false,\"special\":true}",
                   i ? "," : "", TOKEN_BOS + i, specials[i]);
    buf_append_str(b,
                   "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                   "\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\","
                   "\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},\"model\":{\"type\":\"BPE\","
                   "\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
                   "\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{");
    for (int i = 0; i < 256; i++) {
        append_byte_letter(b, i);
        buf_printf(b, ":%d,", i);
    }
    buf_append_str(b, "\"ab\":256},\"merges\":[\"a b\"]}}");
}

static void append_config(struct buf *b, struct tokenizer_kind kind)
{
    buf_printf(b, "{\"bos_token\":\"<s>\",\"add_bos_token\":%s", kind.adds_bos ? "true" : "false");
    if (!kind.no_eos) buf_append_str(b, ",\"eos_token\":\"</s>\"");
    if (kind.template) {
        buf_append_str(b, ",\"chat_template\":");
        json_append_string(b, kind.template, strlen(kind.template));
    } else if (!kind.no_template)
        buf_append_str(b, ",\"chat_template\":\"{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\\\n' + "
                          "message['content'] + '<|im_end|>' + '\\\\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
                          "'<|im_start|>assistant\\\\n' }}{% endif %}\"");
    buf_append_str(b, "}");
}

struct tokenizer *byte_tokenizer(struct ctx *c, struct tokenizer_kind kind)
{
    struct buf b;
    buf_init(&b, c, 1 << 20);
    append_tokenizer(&b);
    scratch_write("tokenizer.json", b.data, b.len);
    buf_clear(&b);
    append_config(&b, kind);
    scratch_write("tokenizer_config.json", b.data, b.len);
    buf_release(&b);
    struct tokenizer *t = tokenizer_open_json(c, scratch_path("tokenizer.json"));
    if (!t) fail_msg("%s", c->message);
    return t;
}

const char *write_rows(const char *name, const char *rows)
{
    scratch_write(name, rows, strlen(rows));
    return scratch_path(name);
}

struct dataset *make_dataset(struct ctx *c, const char *rows, const struct dataset_options *options)
{
    const char *path = write_rows("rows.jsonl", rows);
    struct dataset_options o = options ? *options : dataset_options_default(NULL, 0);
    if (!options) o.raw = true;
    o.paths = &path;
    o.n_paths = 1;
    struct tokenizer *t = byte_tokenizer(c, (struct tokenizer_kind){0});
    struct dataset_counts counts;
    if (dataset_build(c, t, &o, scratch_path("cache"), &counts) != OK) fail_msg("%s", c->message);
    struct dataset *d = dataset_open(c, scratch_path("cache"));
    if (!d) fail_msg("%s", c->message);
    tokenizer_free(t);
    return d;
}
