/* bench_page: prints the results of `your_ai bench` twice over, once as tables and once as JSON, from the same struct bench.
 * What was not measured is 0 in it and is left out. A share is the part of a ceiling that a kernel reaches: GFLOP/s over the
 * f32 multiply-adds of all threads, or GB/s over the machine's reading. */
#include "cli/bench_page.h"

#include "array/backend.h"

/* `part` in percent of `whole`; 0 where the whole is not known. */
static double bench_percent(double part, double whole)
{
    return whole > 0 ? part / whole * 100 : 0;
}

/* Tokens per second of a phase. */
static double rate(const struct bench_phase *p)
{
    return p->seconds > 0 ? (double)p->tokens / p->seconds : 0;
}

/* Seconds that a phase spent inside kernels. */
static double kernel_seconds(const struct bench_phase *p)
{
    double sum = 0;
    for (int op = 0; op < OP_COUNT; op++) sum += p->row[op].seconds;
    return sum;
}

/* GB/s of weights that generation reads: every token reads all of them once. */
static double decode_gbps(const struct bench *b)
{
    return b->decode_bytes * rate(&b->decode) * 1e-9;
}

/* Flops and seconds of all kernels of a step. */
static void sum_kernels(const struct bench *b, double *flops, double *seconds)
{
    *flops = *seconds = 0;
    for (int i = 0; i < b->n_kernels; i++) {
        *flops += b->kernel[i].flops * (double)b->kernel[i].times;
        *seconds += b->kernel[i].seconds * (double)b->kernel[i].times;
    }
}

/* ---- the table ------------------------------------------------------------------------------------------------------- */

/* A line a kernel: time, arithmetic and memory rates, and their share of what the machine can do at most. */
static void kernels_table(const struct bench *b, struct buf *out)
{
    double flops, seconds;
    if (!b->n_kernels) return;
    buf_printf(out, "\n%-22s %10s %9s %7s %8s %7s %10s\n", "kernel", "ms", "GFLOP/s", "% peak", "GB/s", "% read",
               "ms a step");
    for (int i = 0; i < b->n_kernels; i++) {
        const struct bench_kernel *k = &b->kernel[i];
        double gflops = k->flops / k->seconds * 1e-9, gbps = k->bytes / k->seconds * 1e-9;
        buf_printf(out, "%-22s %10.3f %9.1f %7.1f %8.2f %7.1f %10.1f\n", k->name, k->seconds * 1e3, gflops,
                   bench_percent(gflops, b->machine.fma), gbps, bench_percent(gbps, b->machine.read),
                   k->seconds * (double)k->times * 1e3);
    }
    sum_kernels(b, &flops, &seconds);
    buf_printf(out, "%-22s %10s %9.1f %7.1f %8s %7s %10.1f\n", "all", "", flops / seconds * 1e-9,
               bench_percent(flops / seconds * 1e-9, b->machine.fma), "", "", seconds * 1e3);
}

/* A phase (training step, prompt, decode): rate, time in each primitive, and what is left between kernels. */
static void phase_table(const char *name, const struct bench_phase *p, struct buf *out)
{
    if (!p->tokens) return;
    buf_printf(out, "\n%s: %lld tokens, %.3f s, %.1f tokens/s, %.3f ms of processor time a token\n", name,
               (long long)p->tokens, p->seconds, rate(p), p->cpu_seconds / (double)p->tokens * 1e3);
    for (int op = 0; op < OP_COUNT; op++)
        if (p->row[op].calls)
            buf_printf(out, "  %-22s %8lld calls %11.3f ms %6.1f %%\n", op_name((enum op)op), (long long)p->row[op].calls,
                       p->row[op].seconds * 1e3, bench_percent(p->row[op].seconds, p->seconds));
    double rest = p->seconds - kernel_seconds(p);
    buf_printf(out, "  %-22s %14s %11.3f ms %6.1f %%\n", "between kernels", "", rest * 1e3, bench_percent(rest, p->seconds));
}

void bench_page_table(const struct bench *b, const struct model *m, struct buf *out)
{
    const struct bench_machine *k = &b->machine;
    char text[128];
    buf_printf(out, "compute: %s, %d threads", model_compute_text(m, text, sizeof text), k->threads);
    if (k->read > 0)
        buf_printf(out,
                   "; multiply-adds of f32 %.1f GFLOP/s on one thread, %.1f on all, of 16-bit integers %.1f and %.1f Gop/s; "
                   "read %.1f GB/s",
                   k->fma_one, k->fma, k->int_one, k->integer, k->read);
    buf_printf(out, "\n");
    kernels_table(b, out);
    phase_table("training step", &b->step, out);
    phase_table("prompt", &b->prompt, out);
    phase_table("decode", &b->decode, out);
    if (b->decode.tokens)
        buf_printf(out, "  a token reads %.1f MB of weights: %.1f GB/s, %.1f %% of what the machine reads\n",
                   b->decode_bytes * 1e-6, decode_gbps(b), bench_percent(decode_gbps(b), k->read));
}

/* ---- JSON ------------------------------------------------------------------------------------------------------------ */

/* The same figures as members of the JSON object. */
static void kernels_json(const struct bench *b, struct buf *out)
{
    double flops, seconds;
    if (!b->n_kernels) return;
    buf_printf(out, ",\n \"kernels\": [");
    for (int i = 0; i < b->n_kernels; i++) {
        const struct bench_kernel *k = &b->kernel[i];
        double gflops = k->flops / k->seconds * 1e-9, gbps = k->bytes / k->seconds * 1e-9;
        buf_printf(out, "%s\n  {\"name\": \"%s\", \"seconds\": %.9f, \"gflops\": %.3f, \"peak_share\": %.4f,", i ? "," : "",
                   k->name, k->seconds, gflops, bench_percent(gflops, b->machine.fma) / 100);
        buf_printf(out, " \"gbps\": %.3f, \"read_share\": %.4f, \"times_a_step\": %lld}", gbps,
                   bench_percent(gbps, b->machine.read) / 100, (long long)k->times);
    }
    sum_kernels(b, &flops, &seconds);
    buf_printf(out, "],\n \"kernels_sum\": {\"seconds\": %.9f, \"gflops\": %.3f, \"peak_share\": %.4f}", seconds,
               flops / seconds * 1e-9, bench_percent(flops / seconds * 1e-9, b->machine.fma) / 100);
}

/* An open object: the caller adds its own members and closes it. */
static void phase_json(const char *name, const struct bench_phase *p, struct buf *out)
{
    const char *comma = "";
    buf_printf(out, ",\n \"%s\": {\"tokens\": %lld, \"seconds\": %.9f, \"cpu_seconds\": %.9f, \"tokens_per_second\": %.3f,",
               name, (long long)p->tokens, p->seconds, p->cpu_seconds, rate(p));
    buf_printf(out, " \"cpu_seconds_per_token\": %.9f,\n  \"primitives\": {", p->cpu_seconds / (double)p->tokens);
    for (int op = 0; op < OP_COUNT; op++)
        if (p->row[op].calls) {
            buf_printf(out, "%s\"%s\": {\"calls\": %lld, \"seconds\": %.9f}", comma, op_name((enum op)op),
                       (long long)p->row[op].calls, p->row[op].seconds);
            comma = ", ";
        }
    buf_printf(out, "},\n  \"between_kernels_seconds\": %.9f", p->seconds - kernel_seconds(p));
}

/* Prompt and decode, and the ids that were generated, so that two builds can be compared. */
static void generation_json(const struct bench *b, struct buf *out)
{
    phase_json("prompt", &b->prompt, out);
    buf_printf(out, "}");
    phase_json("decode", &b->decode, out);
    buf_printf(out, ",\n  \"weight_bytes_per_token\": %.0f, \"gbps\": %.3f, \"read_share\": %.4f,\n  \"ids\": [",
               b->decode_bytes, decode_gbps(b), bench_percent(decode_gbps(b), b->machine.read) / 100);
    for (size_t i = 0; i < b->generated.n; i++) buf_printf(out, i ? ", %d" : "%d", b->generated.data[i]);
    buf_printf(out, "]}");
}

void bench_page_json(const struct bench *b, const struct model *m, struct buf *out)
{
    const struct bench_machine *k = &b->machine;
    buf_printf(out, "{\"backend\": \"%s\", \"base\": \"%s\", \"compute\": \"%s\", \"threads\": %d",
               array_backend(m->c)->name, base_type_name[m->options.base], compute_name[m->options.compute], k->threads);
    if (k->read > 0)
        buf_printf(
            out,
            ",\n \"machine\": {\"fma_gflops_one\": %.2f, \"fma_gflops\": %.2f, \"int_gops_one\": %.2f, \"int_gops\": %.2f, "
            "\"read_gbps\": %.3f}",
            k->fma_one, k->fma, k->int_one, k->integer, k->read);
    kernels_json(b, out);
    if (b->step.tokens) {
        phase_json("train", &b->step, out);
        buf_printf(out, ",\n  \"loss\": %.9g, \"grad_norm\": %.9g}", b->loss, b->grad_norm);
    }
    if (b->decode.tokens) generation_json(b, out);
    buf_printf(out, "}\n");
}
