/* Folders that are given as a model and are none: what is said of each, and folders whose only GGUF file is the model. */
#include "base/support_base.c" /* the scratch folder */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/hub_cache.h"
#include "io/tensor_file.h"
#include "io/tokenizer/tokenizer.h"

/* A folder of files whose names are given, separated by spaces. "NAME>TARGET" is a link. */
static const char *folder_with(struct ctx *c, int number, const char *names)
{
    static char dir[256];
    char list[256], *rest = list;
    snprintf(dir, sizeof dir, "%s", scratch_path(""));
    snprintf(dir + strlen(dir), sizeof dir - strlen(dir), "%sfolder%d", dir[strlen(dir) - 1] == '/' ? "" : "/", number);
    assert_int_equal(dir_make(c, dir), OK);
    snprintf(list, sizeof list, "%s", names);
    for (char *name = strtok_r(rest, " ", &rest); name; name = strtok_r(rest, " ", &rest)) {
        char path[512], *to = strchr(name, '>');
        if (to) *to++ = '\0';
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (to)
            assert_int_equal(symlink(to, path), 0);
        else
            fclose(fopen(path, "w"));
    }
    return dir;
}

static void folders_without_weights(void **state)
{
    static const struct {
        const char *names, *part;
    } cases[] = {
        {"config.json", "a model is a folder with config.json, tokenizer.json and these, or a GGUF file"},
        {"config.json pytorch_model.bin", "its weights are pytorch_model.bin, a Python pickle"},
        {"config.json pytorch_model-00001-of-00002.bin pytorch_model.bin.index.json",
         "pytorch_model-00001-of-00002.bin, a Python"},
        {"params.json consolidated.00.pth", "consolidated.00.pth, a Python pickle in the layout of the model's makers"},
        {"params.json consolidated.safetensors", "in the layout of the model's makers"},
        {"config.json model-00001-of-00002.safetensors", "those in several need the index"},
        {"adapters.safetensors", "an adapter of mlx-lm"},
        {"Model.mlpackage", "a model for Core ML"},
        {"config.json model.safetensors>../../blobs/abc",
         "model.safetensors: is a link to ../../blobs/abc, which is not there"},
        {"config.json model.safetensors.index.json>x", "model.safetensors.index.json: is a link to x"},
        {"config.json>gone model.safetensors",
         "config.json: is a link to gone, which is not there: the download is incomplete"},
    };
    struct ctx *c = *state;
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        const char *dir = folder_with(c, i, cases[i].names);
        assert_null(tensor_file_open(c, dir));
        assert_non_null(strstr(c->message, dir));
        assert_failed(c, E_INPUT, cases[i].part);
    }
}

static void folders_without_tokenizer(void **state)
{
    static const struct {
        const char *names, *part;
    } cases[] = {{"config.json", "no tokenizer.json and no tokenizer.model in the folder"},
                 {"vocab.json merges.txt", "merges.txt with vocab.json is an older form of it"},
                 {"tekken.json", "tekken.json is a tokenizer in the form of its makers"},
                 {"tokenizer.json>gone", "tokenizer.json: is a link to gone, which is not there"}};
    struct ctx *c = *state;
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        assert_null(tokenizer_open(c, folder_with(c, i, cases[i].names)));
        assert_failed(c, E_INPUT, cases[i].part);
    }
}

/* A folder as LM Studio or `hf download` leaves it: one GGUF file, in one part or several, or many. */
static void the_only_gguf_of_a_folder(void **state)
{
    static const struct {
        const char *names, *chosen;
    } cases[] = {{"README.md a-Q4_K_M.gguf", "/a-Q4_K_M.gguf"},
                 {"config.json a-Q4_K_M.gguf", "/a-Q4_K_M.gguf"},
                 {"a-00001-of-00003.gguf a-00002-of-00003.gguf a-00003-of-00003.gguf", "/a-00001-of-00003.gguf"},
                 {"model.safetensors a.gguf", ""},
                 {"README.md", ""},
                 {"a-00002-of-00003.gguf", ""}};
    struct ctx *c = *state;
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        char wanted[300];
        const char *dir = folder_with(c, i, cases[i].names);
        snprintf(wanted, sizeof wanted, "%s%s", dir, cases[i].chosen);
        char *path = hub_cache_resolve(c, dir);
        assert_non_null(path);
        assert_string_equal(path, wanted);
        mem_free(c, path);
    }
    assert_null(hub_cache_resolve(c, folder_with(c, 20, "a-Q4_0.gguf b-Q8_0.gguf")));
    assert_failed(c, E_INPUT, "the folder holds 2 .gguf files (a-Q4_0.gguf, b-Q8_0.gguf); name one");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(folders_without_weights, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(folders_without_tokenizer, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(the_only_gguf_of_a_folder, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
