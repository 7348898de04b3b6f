/* train_choice: counts the steps that the run would have, and where they are too few chooses others. Example with 40 rows
 * of 30 tokens and the defaults: packed, they fill three sequences of 512 tokens, which is one step of 4 sequences in an
 * epoch and 3 steps in all, fewer than CHOICE_STEPS_MIN. With a document for each sequence there are 40 sequences and 10
 * steps in an epoch, so CHOICE_STEPS take 10 epochs. The learning rate becomes 1e-3 for a model with a hidden size of up
 * to 1024, and 5e-4 for one of 2048. */
#include "train/train_choice.h"

#include <string.h>

#include "base/mem.h"
#include "io/json.h"
#include "train/train_options.h"

enum { TEXT_CAP_BYTES = 1 << 20 };

/* Learning rate of a chosen run: 1e-3 for small models, and in inverse proportion to the width of large ones, as the best
 * rate of an adapter falls with it; never below the usual one. */
static const double RATE = 1e-3, RATE_HIDDEN = 1024;

void train_choice_allow(struct train_config *config, const bool *given)
{
    bool length = !given[options_find(&train_table, "epochs")] && !given[options_find(&train_table, "max-steps")];
    config->choose_epochs = length;
    config->choose_packing = length && !given[options_find(&train_table, "packing")];
    config->choose_lr = length && !given[options_find(&train_table, "lr")];
}

/* Optimizer steps of an epoch with packing as it is now. */
static enum status count_steps(struct trainer *t, int64_t *steps)
{
    struct pack *p = pack_epoch_new(t->c, t->data, &t->objective, &t->config.packs, 0);
    if (!p) return t->c->status;
    *steps = pack_steps(p);
    pack_free(p);
    return OK;
}

static void choose_lr(struct trainer *t)
{
    struct train_config *k = &t->config;
    double rate = RATE;
    if (!k->choose_lr || !t->model) return;
    if ((double)t->model->config.hidden > RATE_HIDDEN) rate *= RATE_HIDDEN / (double)t->model->config.hidden;
    if (rate > k->schedule.peak) k->schedule.peak = rate;
}

/* Sets what was chosen in the options of the run. */
static enum status write_chosen(struct trainer *t, const char *config_text, char **text)
{
    struct ctx *c = t->c;
    const struct train_config *k = &t->config;
    struct buf out;
    json_t *doc = json_parse(c, "config.json", config_text, strlen(config_text));
    if (!doc) return c->status;
    if (json_object_set_new(doc, "epochs", json_integer(k->epochs)) ||
        json_object_set_new(doc, "packing", json_boolean(k->packs.packing)) ||
        json_object_set_new(doc, "lr", json_real(k->schedule.peak)))
        ctx_fail(c, E_MEMORY, "no memory for config.json");
    buf_init(&out, c, TEXT_CAP_BYTES);
    if (ctx_ok(c)) json_write(c, doc, true, &out);
    json_decref(doc);
    if (ctx_ok(c)) *text = buf_take(&out);
    buf_release(&out);
    return c->status;
}

enum status train_choice_make(struct trainer *t, const char *config_text, char **text)
{
    struct train_config *k = &t->config;
    struct train_choice *choice = &t->choice;
    int64_t steps = 1;
    *text = NULL;
    if (!k->choose_epochs) return OK;
    TRY(count_steps(t, &steps));
    *choice = (struct train_choice){.epochs = k->epochs, .steps = steps * k->epochs, .packing = k->packs.packing};
    if (choice->steps >= CHOICE_STEPS_MIN) return OK;
    choice->made = true;
    if (k->choose_packing) k->packs.packing = false;
    TRY(count_steps(t, &steps));
    k->epochs = (CHOICE_STEPS + steps - 1) / steps;
    if (k->epochs < choice->epochs) k->epochs = choice->epochs;
    if (k->epochs > CHOICE_EPOCHS_MAX) k->epochs = CHOICE_EPOCHS_MAX;
    choose_lr(t);
    return write_chosen(t, config_text, text);
}
