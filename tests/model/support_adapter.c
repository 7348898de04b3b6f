/* An adapter for the tiny model in DIR/hf. See support_model.h. */
#include "model/support_model.h"

#include "base/file.h"
#include "support_host.h"

void tiny_write_adapter(struct fixture *f, float step)
{
    struct model *m = model_open(f->c, fixture_path(f, "hf"));
    assert_ok(f->c);
    struct lora *l =
        lora_new(f->c, &m->config, &(struct lora_config){.rank = 3, .alpha = 5, .targets = LORA_ALL, .seed = 9});
    for (size_t i = 0; i < l->n_modules; i++) {
        float *b = host_f32(l->modules[i].slot.b);
        for (int64_t k = 0; k < array_size(l->modules[i].slot.b); k++) b[k] = step * (float)((k * 7 + (int64_t)i) % 11 - 5);
        host_store(l->modules[i].slot.b, b);
    }
    assert_int_equal(dir_make(f->c, fixture_path(f, "adapter")), OK);
    assert_int_equal(lora_save_peft(f->c, l, fixture_path(f, "adapter"), m->name), OK);
    lora_free(l);
    model_free(m);
}
