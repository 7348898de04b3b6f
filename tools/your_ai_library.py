"""The C library (include/your_ai.h) through ctypes, as far as the checks against other programs need it: ids, logits, greedy text.

    model = your_ai_library.Model("models/smollm2-135m.gguf", adapter="runs/first/adapter", compute="f32")
    model.logits(model.ids("The capital of France is"))         numpy, f32, one number for each token of the vocabulary

The library is build/libyour_ai.so beside this folder, or what YOUR_AI_LIBRARY names.
"""
import ctypes
import os

import numpy as np

PATH = os.environ.get("YOUR_AI_LIBRARY") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "libyour_ai.so")
BOS = 1


class Option(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("value", ctypes.c_char_p)]


class GenerateOptions(ctypes.Structure):
    _fields_ = [("max_tokens", ctypes.c_int64), ("temperature", ctypes.c_double), ("top_k", ctypes.c_int64), ("top_p", ctypes.c_double),
                ("seed", ctypes.c_uint64), ("repeat_penalty", ctypes.c_double), ("stop", ctypes.c_void_p), ("n_stop", ctypes.c_size_t),
                ("keep", ctypes.c_int)]


def load():
    """The library, with the result types of the functions that are called here; pointers are void *."""
    library = ctypes.CDLL(PATH)
    pointer, i64 = ctypes.c_void_p, ctypes.c_int64
    library.ya_ctx_new.restype, library.ya_ctx_new.argtypes = pointer, [pointer]
    library.ya_error.restype, library.ya_error.argtypes = ctypes.c_char_p, [pointer]
    library.ya_model_open.restype = pointer
    library.ya_model_open.argtypes = [pointer, ctypes.c_char_p, ctypes.POINTER(Option), ctypes.c_size_t]
    library.ya_model_vocab.restype, library.ya_model_vocab.argtypes = i64, [pointer]
    library.ya_model_attach.argtypes = [pointer, pointer]
    library.ya_adapter_load.restype, library.ya_adapter_load.argtypes = pointer, [pointer, ctypes.c_char_p]
    library.ya_tokenize.restype = i64
    library.ya_tokenize.argtypes = [pointer, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, pointer, ctypes.c_size_t]
    library.ya_logits.argtypes = [pointer, pointer, ctypes.c_size_t, pointer]
    library.ya_generate_defaults.restype = GenerateOptions
    library.ya_generate.restype = i64
    library.ya_generate.argtypes = [pointer, pointer, ctypes.c_size_t, ctypes.POINTER(GenerateOptions), pointer, pointer, pointer,
                                    ctypes.c_size_t, pointer]
    library.ya_ctx_free.argtypes = [pointer]
    return library


class Model:
    """A model, perhaps under an adapter. What fails raises RuntimeError with the library's message."""

    def __init__(self, path, adapter=None, **options):
        self.library = load()
        self.ctx = self.library.ya_ctx_new(None)
        pairs = (Option * max(len(options), 1))(*[Option(k.replace("_", "-").encode(), str(v).encode()) for k, v in options.items()])
        self.model = self.check(self.library.ya_model_open(self.ctx, str(path).encode(), pairs, len(options)))
        if adapter:
            loaded = self.check(self.library.ya_adapter_load(self.model, str(adapter).encode()))
            self.check(self.library.ya_model_attach(self.model, loaded) == 0)
        self.vocab = self.library.ya_model_vocab(self.model)

    def check(self, result):
        if not result:
            raise RuntimeError((self.library.ya_error(self.ctx) or b"no context").decode())
        return result

    def close(self):
        self.library.ya_ctx_free(self.ctx)
        self.ctx = self.model = None

    def ids(self, text, flags=BOS):
        data, out = text.encode(), np.zeros(4 * len(text.encode()) + 16, np.int32)
        n = self.library.ya_tokenize(self.model, data, len(data), flags, out.ctypes.data, len(out))
        self.check(0 <= n <= len(out))
        return out[:n].tolist()

    def logits(self, ids):
        """Of the token after the ids."""
        tokens, out = np.array(ids, np.int32), np.zeros(self.vocab, np.float32)
        self.check(self.library.ya_logits(self.model, tokens.ctypes.data, len(tokens), out.ctypes.data) == 0)
        return out

    def greedy(self, ids, n):
        """At most n most probable tokens, one after the other; the token that ends a text is the last."""
        tokens, out, options = np.array(ids, np.int32), np.zeros(n, np.int32), self.library.ya_generate_defaults()
        options.max_tokens = n
        made = self.library.ya_generate(self.model, tokens.ctypes.data, len(tokens), ctypes.byref(options), None, None,
                                        out.ctypes.data, n, None)
        self.check(made >= 0)
        return out[:made].tolist()
