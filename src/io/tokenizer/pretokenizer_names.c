/* pretokenizer_names: the pre-tokenizers that llama.cpp knows by name. A GGUF file holds the name only; the expressions and
 * what else the name implies (pieces that are tokens stay whole, BOS, NFC) are those of the models' own tokenizer.json
 * files, from which the files were converted. Where llama.cpp rewrote an expression for its own engine, the original stands
 * here. */
#include <stdio.h>
#include <string.h>

#include "io/tokenizer/pretokenizer.h"

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES       "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define WORD         "[^\\r\\n\\p{L}\\p{N}]?"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define GPT2         "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3       CONTRACTIONS "|" WORD "\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define QWEN2        CONTRACTIONS "|" WORD "\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
#define QWEN35       CONTRACTIONS "|" WORD "[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES
#define TEKKEN       WORD UPPER "*" LOWER "+|" WORD UPPER "+" LOWER "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define GPT4O                                                                                                               \
    WORD UPPER "*" LOWER "+" CONTRACTIONS "?|" WORD UPPER "+" LOWER "*" CONTRACTIONS                                        \
               "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|" SPACES
#define DEEPSEEK3                                                                                                           \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"                      \
    " ?[\\p{P}\\p{S}]+[\r\n]*|" SPACES
#define KANA       "[\\u4e00-\\u9fa5\\u3040-\\u309f\\u30a0-\\u30ff]+"
#define BAILING    "'(?i:[sdmt]|ll|ve|re)|" WORD "+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define SEED_CODER CONTRACTIONS "|" WORD "\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
#define EXAONE_MOE                                                                                                          \
    CONTRACTIONS "|" WORD "(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|"                   \
                 "\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
#define BLOOM " ?[^(\\s|.,!?\\u2026\\u3002\\uff0c\\u3001\\u0964\\u06d4\\u060c)]+"

/* The first models of DeepSeek: words of cased alphabets, punctuation, Chinese, Japanese and Korean. */
#define DEEPSEEK_LETTERS                                                                                                    \
    "\\s?[A-Za-z\\u00b5\\u00c0-\\u00d6\\u00d8-\\u00f6\\u00f8-\\u01ba\\u01bc-\\u01bf\\u01c4-\\u0293\\u0295-"                 \
    "\\u02af\\u0370-\\u0373\\u0376\\u0377\\u037b-\\u037d\\u037f\\u0386\\u0388-\\u038a\\u038c\\u038e-"                       \
    "\\u03a1\\u03a3-\\u03f5\\u03f7-\\u0481\\u048a-\\u052f\\u0531-\\u0556\\u10a0-\\u10c5\\u13a0-\\u13f5\\u13f8-"             \
    "\\u13fd\\u1c90-\\u1cba\\u1cbd-\\u1cbf\\u1d00-\\u1d2b\\u1d6b-\\u1d77\\u1d79-\\u1d9a\\u1e00-\\u1f15\\u1f18-"             \
    "\\u1f1d\\u1f20-\\u1f45\\u1f48-\\u1f4d\\u1f50-\\u1f57\\u1f59\\u1f5b\\u1f5d\\u1f5f-\\u1f7d\\u1f80-"                      \
    "\\u1fb4\\u1fb6-\\u1fbc\\u1fbe\\u1fc2-\\u1fc4\\u1fc6-\\u1fcc\\u1fd0-\\u1fd3\\u1fd6-\\u1fdb\\u1fe0-"                     \
    "\\u1fec\\u1ff2-\\u1ff4\\u1ff6-\\u1ffc\\u2102\\u2107\\u210a-\\u2113\\u2115\\u2119-"                                     \
    "\\u211d\\u2124\\u2126\\u2128\\u212a-\\u212d\\u212f-\\u2134\\u2139\\u213c-\\u213f\\u2145-"                              \
    "\\u2149\\u214e\\u2183\\u2184\\u2c00-\\u2c7b\\u2c7e-\\u2ce4\\u2ceb-\\u2cee\\u2cf2\\u2cf3\\ua640-"                       \
    "\\ua66d\\ua680-\\ua69b\\ua722-\\ua76f\\ua771-\\ua787\\ua78b-\\ua78e\\uab70-\\uabbf\\ufb00-\\ufb06\\ufb13-"             \
    "\\ufb17\\uff21-\\uff3a\\uff41-\\uff5a\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c8"          \
    "0}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}]+"
#define DEEPSEEK_PUNCT "\\s?[!-/:-~\\uff01-\\uff0f\\uff1a-\\uff5e\\u2018-\\u201f\\u3000-\\u3002]+"
#define DEEPSEEK_CJK   "[\\u4e00-\\u9fa5\\u0800-\\u4e00\\uac00-\\ud7ff]+"

/* Names; stages; then ignore_merges (a piece that is a token stays whole), adds_bos, nfc. */
static const struct pretokenizer_rules rules[] = {
    {" gpt-2 phi-2 gigachat a.x-4.0 mellum jais trillion granite-docling exaone4 ", {GPT2}, false, false, false},
    {" mpt olmo ", {GPT2}, false, false, true},
    {" llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 ", {LLAMA3}, true, true, false},
    {" smaug-bpe dbrx glm4 chatglm-bpe ", {LLAMA3}, false, false, false},
    {" qwen2 deepseek-r1-qwen megrez ", {QWEN2}, false, false, true},
    {" stablelm2 hunyuan solar-open grok-2 ", {QWEN2}, false, false, false},
    {" qwen35 ", {QWEN35}, false, false, true},
    {" smollm starcoder refact command-r codeshell exaone minerva-7b ", {PRETOKENIZER_DIGITS, GPT2}, false, false, false},
    {" tekken ", {TEKKEN}, true, true, false},
    {" gpt-4o llama4 kanana2 minimax-m2 ", {GPT4O}, false, false, false},
    {" deepseek-llm ",
     {"[\r\n]", DEEPSEEK_LETTERS, DEEPSEEK_PUNCT, "\\s+$", DEEPSEEK_CJK, PRETOKENIZER_DIGITS},
     false,
     false,
     false},
    {" deepseek-coder ", {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_CJK, PRETOKENIZER_DIGITS}, false, false, false},
    {" deepseek-v3 hunyuan-dense joyai-llm ", {"\\p{N}{1,3}", KANA, DEEPSEEK3}, false, false, false},
    {" superbpe ", {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"}, false, false, false},
    {" tiny_aya cohere2moe ", {"\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O}, false, false, false},
    {" bailingmoe bailingmoe2 llada-moe ", {BAILING}, false, false, false},
    {" seed-coder ", {SEED_CODER}, false, false, false},
    {" exaone-moe ", {EXAONE_MOE}, false, false, false},
    {" bloom poro-chat gpt3-finnish ", {BLOOM}, false, false, false},
    {" viking ", {BLOOM, "\\p{N}"}, false, false, false},
    {" default ", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false, false, false},
};

const struct pretokenizer_rules *pretokenizer_rules_find(const char *name, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ') return NULL; /* the lists below are separated by spaces */
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
        for (const char *at = rules[i].names; at[1]; at = strchr(at + 1, ' '))
            if (n > 0 && strncmp(at + 1, name, n) == 0 && at[1 + n] == ' ') return &rules[i];
    return NULL;
}

/* Whether rules consist of exactly these expressions. */
static bool has_patterns(const struct pretokenizer_rules *r, const char *const *patterns, int n)
{
    int i = 0;
    while (i < n && r->patterns[i] && strcmp(r->patterns[i], patterns[i]) == 0) i++;
    return i == n && !r->patterns[i];
}

bool pretokenizer_rules_name(const char *const *patterns, int n, bool whole, bool nfc, char *name, size_t name_bytes)
{
    for (size_t i = 0; n > 0 && i < sizeof rules / sizeof rules[0]; i++) {
        const struct pretokenizer_rules *r = &rules[i];
        if (r->ignore_merges != whole || r->nfc != nfc || !has_patterns(r, patterns, n)) continue;
        snprintf(name, name_bytes, "%.*s", (int)strcspn(r->names + 1, " "), r->names + 1);
        return true;
    }
    return false;
}
