/* pretokenizer: cuts text into the pieces inside which BPE merges. The regular expressions of the known tokenizers are
 * scanners written by hand: one pass, no backtracking, so that the time is linear for any text. */
#ifndef YA_IO_PRETOKENIZER_H
#define YA_IO_PRETOKENIZER_H

#include <stdbool.h>
#include <stddef.h>

enum pretokenizer_stage {
    PRE_GPT2,       /* GPT-2's expression */
    PRE_LLAMA3,     /* Llama 3: digits in threes, contractions in any case */
    PRE_QWEN2,      /* Qwen 2 to 3: as Llama 3, digits one by one */
    PRE_DIGIT_EACH, /* every digit apart (SmolLM, StarCoder: before PRE_GPT2) */
    PRE_DIGIT_RUN,  /* every run of digits apart */
    PRE_NUMBER_EACH,
    PRE_NUMBER_RUN, /* the same for \p{N}, as written in an expression */
    PRE_PUNCT_RUN,  /* the four stages of llama.cpp's "default": punctuation, PRE_GPT2, numbers, three digits */
    PRE_ASCII_3
};

enum { PRE_STAGES = 4 };

/* Stages applied one after another, each inside the pieces of the one before. */
struct pretokenizer {
    enum pretokenizer_stage stages[PRE_STAGES];
    int n;
    bool ignore_merges, adds_bos, nfc; /* what the GGUF name implies besides; false for tokenizer.json */
};

/* The pre-tokenizer that llama.cpp calls `name` (tokenizer.ggml.pre, n bytes); false when it is not known. */
bool pretokenizer_from_name(const char *name, size_t n, struct pretokenizer *out);
/* The stage whose expression is spelled so in a tokenizer.json; false when it is not known. */
bool pretokenizer_from_pattern(const char *pattern, enum pretokenizer_stage *out);

/* Walks over a text: pretokenizer_next gives piece after piece until it returns 0. */
struct pretokenizer_walk {
    const struct pretokenizer *pre;
    const char *text;
    size_t at;              /* start of the next piece */
    size_t end[PRE_STAGES]; /* end of the current piece of each stage */
    size_t n;
};
void pretokenizer_start(struct pretokenizer_walk *w, const struct pretokenizer *pre, const char *text, size_t n);
/* Bytes of the next piece, which starts at text + (w->at before the call); 0 at the end. */
size_t pretokenizer_next(struct pretokenizer_walk *w);

#endif
