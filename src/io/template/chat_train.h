/* chat_train: a conversation as training sees it: the sequences it becomes, and which of their tokens are trained.
 *
 * Of each assistant turn, everything from the first byte behind its generation prompt to the token that ends it is trained.
 * Where that is follows from rendering: the messages before the turn with a generation prompt, and the messages up to and
 * with the turn; {% generation %} marks go before this where the template has them. One tokenisation of the whole text;
 * bytes decide, and a token that straddles the start of a turn is trained.
 *
 * Templates that rewrite earlier turns (reasoning is dropped from history) would show a turn otherwise than it is when the
 * model writes it: such a turn gets a sequence that ends with it. */
#ifndef YA_IO_CHAT_TRAIN_H
#define YA_IO_CHAT_TRAIN_H

#include "io/template/chat_template.h"

/* Which turns: all of the assistant, its last one, or all tokens of the conversation whatever their role. */
enum chat_train_on { CHAT_TRAIN_ASSISTANT, CHAT_TRAIN_LAST, CHAT_TRAIN_ALL };
/* AUTO: as above. EXACT: the {% generation %} marks and nothing else, as transformers' return_assistant_tokens_mask. */
enum chat_mask { CHAT_MASK_AUTO, CHAT_MASK_EXACT };

/* How a token is trained, in a byte: 0 not at all, 1 fully, k from 2 to 200 with weight (k - 1) / 200. */
enum { CHAT_WEIGHT_STEPS = 200 };
/* The byte of a weight in [0, 1]; -1 when it is no multiple of 1/200. */
int chat_weight_code(double weight);
/* The weight of such a byte, from 0 to 1. */
static inline double chat_weight(uint8_t code)
{
    return code < 2 ? code : (double)(code - 1) / CHAT_WEIGHT_STEPS;
}

/* What is worth saying about a data set, counted in rows. */
struct chat_notes {
    int64_t rewritten; /* became several sequences because the template rewrites earlier turns */
    int64_t extended;  /* marks were extended to the token that ends the turn */
    int64_t unended;   /* a turn has no control token at its end */
    int64_t unlike;    /* the generation prompt is not what stands before the turn */
};

struct chat_train {
    struct chat_template *template;
    enum chat_train_on on;
    enum chat_mask mask;
    struct chat_notes notes;
};

/* Takes one sequence; ids and codes (one a token) are valid during the call. */
typedef enum status (*chat_sequence_fn)(void *user, const struct ids *ids, const char *codes);

/* Gives each sequence of a conversation to `take`. codes (one a message) say how the turns of the assistant are trained; of
 * other messages they are not looked at. E_INPUT when the template refuses the conversation, or part of it that is
 * rendered to find a turn; E_UNSUPPORTED for EXACT without marks. */
enum status chat_train_run(struct ctx *c, struct chat_train *t, const struct chat_conversation *talk, const uint8_t *codes,
                           chat_sequence_fn take, void *user);

#endif
