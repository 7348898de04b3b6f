/* ollama_template: a model's chat template as the Go template that an Ollama Modelfile holds.
 *
 * Most chat templates put each message between two texts that depend on its role, and begin with a text of their own where
 * no system message comes first. That form, and nothing else, is written in Go's language, on one line but for the texts'
 * own line ends (shown on several):
 *
 *   {{ if .System }}<|im_start|>system
 *   {{ .System }}<|im_end|>
 *   {{ end }}{{ range .Messages }}{{ if eq .Role "user" }}<|im_start|>user ... {{ else if eq .Role "assistant" }} ... {{ end
 * }}{{ end }}
 *
 * The texts are found by rendering a few conversations with the model's own template, whose marks show where each begins.
 * Then both forms are rendered on other conversations; where one byte differs, nothing is written. */
#ifndef YA_EXPORT_OLLAMA_TEMPLATE_H
#define YA_EXPORT_OLLAMA_TEMPLATE_H

#include "base/buf.h"
#include "io/tokenizer/tokenizer.h"

/* Appends the Go template to `out`. False, and nothing appended, when the tokenizer has no chat template or has one that
 * this form cannot say; a failure of memory is in the ctx. BOS at the beginning is left out where the vocabulary says that
 * it is added anyway, as Ollama does that. Tools are not part of it. */
bool ollama_template_append(struct ctx *c, const struct tokenizer *t, struct buf *out);

#endif
