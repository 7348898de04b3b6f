/* model.mlmodel of a Core ML package: description and program. What is read must name only what is there. */
#include "export/coreml/coreml_package.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctx *c = ctx_new(NULL);
    struct coreml_package k = {.c = c, .name = "fuzz"};
    char text[MIL_TYPE_TEXT];
    if (coreml_package_read(&k, data, size) == OK) {
        const struct mil_program *p = k.program;
        for (size_t i = 0; i < p->n_vars; i++) {
            const struct mil_value *v = p->vars[i].value;
            mil_type_text(&p->vars[i].type, text);
            if (v && v->data) fuzz_read(v->data, v->bytes);
        }
        for (size_t i = 0; i < p->n_ops; i++)
            for (int a = 0; a < p->ops[i].n_args; a++)
                if (p->ops[i].args[a].var >= (int)p->n_vars) __builtin_trap();
    }
    mil_free(k.program);
    fuzz_check(c, size, 256, 1 << 17);
    ctx_free(c);
    return 0;
}
