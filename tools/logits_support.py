"""What check_export_llama.py and check_export_mlx.py share: prompts, and how close the logits of two programs are."""
import numpy as np

PROMPTS = [
    "The capital of France is",
    "Water boils at a temperature of",
    "def fibonacci(n):\n    if n < 2:\n        return",
    "Once upon a time there was a small dragon who",
    "The three largest planets of the solar system are",
    "Im Jahr 1912 sank die",
    "To make bread one needs flour, water, salt and",
    "Question: what is 7 times 8?\nAnswer:",
    "She opened the old letter, dated 3 May 1871, and read:",
    "The opposite of \"generous\" is",
]


def difference(a, b):
    """(largest absolute difference, relative L2 of the difference without the mean of each, whether the largest is at one place)."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    centred = a - a.mean()
    return np.abs(a - b).max(), np.linalg.norm(centred - (b - b.mean())) / np.linalg.norm(centred), a.argmax() == b.argmax()


class Comparison:
    """The worst of all prompts of one file, beside the bounds that it must keep."""

    def __init__(self, what, absolute=None, relative=None, mean=None):
        """`absolute` and `relative` bound the worst of all prompts, `mean` the mean of their relative L2."""
        self.what, self.absolute, self.relative, self.most = what, absolute, relative, mean
        self.largest, self.worst, self.sum, self.equal, self.others, self.prompts = 0.0, 0.0, 0.0, 0, 0, 0

    def add(self, ours, theirs, unsure=None):
        """`unsure`: how near to our best logit another token's may be to count as equal; None: not at all."""
        largest, relative, equal = difference(ours, theirs)
        self.largest, self.worst, self.sum = max(self.largest, largest), max(self.worst, relative), self.sum + relative
        self.equal, self.prompts = self.equal + bool(equal), self.prompts + 1
        if not equal and (unsure is None or not ours.max() - ours[theirs.argmax()] <= unsure):
            self.others += 1

    def mean(self):
        return self.sum / self.prompts

    def finish(self, extra=""):
        """Prints the figures, and stops when a bound is not kept or the most probable token is another."""
        print(f"{self.what}: largest difference {self.largest:.2e}, relative L2 {self.worst:.2e} (mean {self.mean():.2e}), most probable token equal at "
              f"{self.equal} of {self.prompts}{extra}", flush=True)
        bounds = ((self.largest, self.absolute), (self.worst, self.relative), (self.mean(), self.most))
        if self.others or not all(bound is None or figure <= bound for figure, bound in bounds):
            raise SystemExit(f"{self.what}: not within {self.absolute or self.relative or self.most}, or another most probable token")
