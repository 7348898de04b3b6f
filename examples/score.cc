// How probable a model finds texts, and what the provenance of documents would be worth in training, from C++17.
//   c++ -std=c++17 score.cc $(pkg-config --cflags --libs your_ai) -o score
//   ./score MODEL "a text" "another text" ...
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#include <your_ai.h>

// Handles are freed with their owner; whatever is made with a ctx may also be left to it.
struct Free {
    void operator()(ya_ctx *p) const { ya_ctx_free(p); }
    void operator()(ya_model *p) const { ya_model_free(p); }
};
template <class T> using Owned = std::unique_ptr<T, Free>;

static void check(const ya_ctx *ctx)
{
    if (const char *message = ya_error(ctx)) throw std::runtime_error(message);
}

static std::vector<int32_t> tokenize(ya_model *model, const std::string &text)
{
    std::vector<int32_t> ids(text.size() + 1); // no text has more tokens than bytes, and BOS
    int64_t n = ya_tokenize(model, text.data(), text.size(), YA_BOS, ids.data(), ids.size());
    ids.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return ids;
}

static void run(int argc, char **argv)
{
    ya_hooks hooks{};
    hooks.log = [](void *, ya_log_level level, const char *message) {
        if (level == YA_LOG_WARN) std::fprintf(stderr, "warning: %s\n", message);
    };
    Owned<ya_ctx> ctx(ya_ctx_new(&hooks));
    if (!ctx) throw std::runtime_error("out of memory");
    Owned<ya_model> model(ya_model_open(ctx.get(), argv[1], nullptr, 0));
    for (int i = 2; i < argc; i++) {
        std::vector<int32_t> ids = tokenize(model.get(), argv[i]);
        double perplexity = 0;
        ya_perplexity(model.get(), ids.data(), ids.size(), 0, nullptr, &perplexity);
        check(ctx.get());
        std::printf("perplexity %.3f  %s\n", perplexity, argv[i]);
    }

    // A primary source, a report on it, and a claim that only repeats an authority.
    const std::vector<double> auth_weight{0.05, 0.5, 0.95}, prov_entropy{6, 3, 0.5};
    std::vector<ya_distrust> scores(auth_weight.size());
    const ya_option options[] = {{"distrust", "monotone"}};
    ya_objective *objective = ya_objective_new(ctx.get(), options, 1); // left to the ctx
    ya_objective_fit(objective, auth_weight.data(), prov_entropy.data(), nullptr, scores.size());
    ya_objective_batch(objective, auth_weight.data(), prov_entropy.data(), nullptr, scores.size(), scores.data(), nullptr,
                       nullptr);
    check(ctx.get());
    for (const ya_distrust &x : scores) std::printf("s %.3f  D %.3f  weight in the loss %.3f\n", x.s, x.d, x.omega);
}

int main(int argc, char **argv)
{
    try {
        if (argc < 3) throw std::runtime_error("usage: score MODEL TEXT...");
        run(argc, argv);
        return 0;
    } catch (const std::exception &e) {
        std::fprintf(stderr, "error: %s\n", e.what());
        return 1;
    }
}
