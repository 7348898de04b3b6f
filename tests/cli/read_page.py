"""Reads the page of a run (`your_ai report`) back: read_page.py PAGE.html RUN [RUN ...] checks that it is well-formed, loads and runs
nothing, and that the curves in it are the values of the runs' metrics.jsonl and timing.jsonl. PAGE.html may be what a browser
made of it (chromium --dump-dom). With --live it is the page of a run that went on afterwards: its values are those up to the step that
the page's table names."""
import html.parser
import json
import math
import os
import re
import sys

VOID = {"meta", "br", "hr", "img", "link", "input"}
ALLOWED = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "div", "span", "table", "caption", "thead", "tbody", "tr",
           "th", "td", "ul", "li", "figure", "figcaption", "svg", "g", "line", "text", "polyline", "circle", "rect", "details", "summary",
           "code"}


class Page(html.parser.HTMLParser):
    """Charts: title -> {"x", "y", "frame", "series": [(name, kind, [(px, py)])]}."""

    def __init__(self):
        super().__init__()
        self.open, self.charts, self.text = [], {}, []
        self.title, self.series = None, None

    def handle_starttag(self, tag, attributes):
        if tag not in ALLOWED:
            sys.exit(f"an element <{tag}> in the page, {attributes}")
        for name, _ in attributes:
            if name.startswith("on") or name in ("href", "src", "style", "action"):
                sys.exit(f"<{tag}> has {name}")
        values = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "figure":
            self.title = ""
        elif tag == "svg":
            self.charts[self.title] = {k: [float(v) for v in values["data-" + k].split()] for k in ("x", "y", "frame")} | {"series": []}
        elif tag == "g" and "data-name" in values:
            self.series = (values["data-name"], "points", [])
            self.charts[self.title]["series"].append(self.series)
        elif tag == "polyline":
            points = [tuple(float(v) for v in p.split(",")) for p in values["points"].split()]
            name, _, _ = self.series
            self.charts[self.title]["series"][-1] = (name, "faint" if values["class"] == "f" else "curve", points)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open[-1] != tag:
            sys.exit(f"</{tag}> closes {self.open[-1:]}")
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "figcaption":
            self.title += data
        self.text.append(data)


def values_of(chart, points):
    (x0, x1), (y0, y1), (left, top, right, bottom) = chart["x"], chart["y"], chart["frame"]
    return [(x0 + (px - left) / (right - left) * (x1 - x0), y0 + (bottom - py) / (bottom - top) * (y1 - y0)) for px, py in points]


def rows(run, name):
    with open(os.path.join(run, name), encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.endswith("\n")]


def check_curve(chart, drawn, truth, what):
    """Every drawn point is a value of the curve near its place, and its least and largest values are drawn."""
    pixel_x = (chart["x"][1] - chart["x"][0]) / (chart["frame"][2] - chart["frame"][0])
    pixel_y = (chart["y"][1] - chart["y"][0]) / (chart["frame"][3] - chart["frame"][1])
    got = values_of(chart, drawn)
    for x, y in got:
        if not any(abs(x - tx) <= pixel_x and abs(y - ty) <= 0.2 * pixel_y for tx, ty in truth.get(round(x / 64), ())):
            sys.exit(f"{what}: {y:.5g} at {x:.5g} is no value of the run")
    ys = [ty for near in truth.values() for _, ty in near]
    for extreme in (min, max):
        if abs(extreme(ys) - extreme(y for _, y in got)) > 0.2 * pixel_y:
            sys.exit(f"{what}: {extreme.__name__} is {extreme(ys):.6g}, drawn {extreme(y for _, y in got):.6g}")
    return len(got)


def near(points):
    """Points by their place, each also in the places beside it, so that a look-up is fast."""
    out = {}
    for x, y in points:
        for k in {round((x - 40) / 64), round(x / 64), round((x + 40) / 64)}:
            out.setdefault(k, []).append((x, y))
    return out


def main():
    live = sys.argv[1] == "--live"
    path, runs = sys.argv[1 + live], sys.argv[2 + live:]
    page = Page()
    text = open(path, encoding="utf-8").read()
    page.feed(text)
    page.close()
    if page.open:
        sys.exit(f"not closed: {page.open}")
    checked, last = 0, math.inf
    if live:
        last = int(re.search(r"<td>(\d+) of \d+</td>", text).group(1))
    for i, run in enumerate(runs):
        steps = [r for r in rows(run, "metrics.jsonl") if "loss" in r and r["step"] <= last]
        evals = [r for r in rows(run, "metrics.jsonl") if "valid_loss" in r and r["step"] <= last]
        timing = {r["step"]: r for r in rows(run, "timing.jsonl") if r["step"] <= last}
        wanted = [("Training loss", "faint", "loss", steps, lambda v: v),
                  ("Weighted loss (the objective)", "faint", "weighted_loss", steps, lambda v: v),
                  ("Learning rate", "curve", "lr", steps, lambda v: v),
                  ("Gradient norm, and the threshold of clipping (pale)", "curve", "grad_norm", steps, math.log10),
                  ("Steps clipped so far", "curve", "clip_share", steps, lambda v: 100 * v),
                  ("Speed", "curve", "tokens_per_s", timing.values(), lambda v: v),
                  ("Memory", "curve", "peak_bytes", timing.values(), lambda v: v / 2**20)]
        if evals:
            wanted += [("Validation loss", "curve", "valid_loss", evals, lambda v: v),
                       ("Weighted validation loss (the best adapter is by it)", "curve", "valid_weighted_loss", evals, lambda v: v)]
        for title, kind, key, source, axis in wanted:
            chart = page.charts[title]
            mine = [s for s in chart["series"] if s[1] == kind]
            truth = near([(r["step"], axis(r[key])) for r in source])
            checked += check_curve(chart, mine[i][2], truth, f"{run}: {title}")
    print(f"{path}: {len(text.encode())} bytes, {len(page.charts)} charts, {checked} points are those of {len(runs)} runs")


if __name__ == "__main__":
    main()
