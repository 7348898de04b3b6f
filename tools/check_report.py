#!/usr/bin/env python3
"""Has other programs read what `your_ai report` writes: Chromium the page (every point of its curves is compared with the run's
metrics), TensorBoard's own reader the event files.

  check_report.py PROGRAM MODEL

Needs chromium on the PATH and the package tensorboard; what is missing is said, and is a failure."""
import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def check_page(folder, run, page):
    """What Chromium makes of the page, read back."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        sys.exit("chromium is missing: apt-get install chromium")
    # --no-sandbox: the page is our own, and root has no other way
    dom = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "file://" + page], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True, timeout=120).stdout
    path = os.path.join(folder, "dom.html")
    with open(path, "wb") as f:
        f.write(dom)
    subprocess.run([sys.executable, os.path.join(ROOT, "tests", "cli", "read_page.py"), path, run], check=True)


def check_events(folder, run):
    """Tags and values as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps = {r["step"]: r for r in map(json.loads, open(os.path.join(run, "metrics.jsonl"), encoding="utf-8")) if "loss" in r}
    (path,) = glob.glob(os.path.join(folder, "tb", "*", "events.out.tfevents.*"))
    events = EventAccumulator(os.path.dirname(path))
    events.Reload()
    checked = 0
    for tag, key in (("loss/total", "total"), ("loss/cross_entropy", "loss"), ("loss/weighted", "weighted_loss"),
                     ("training/learning_rate", "lr"), ("training/grad_norm", "grad_norm"), ("training/clip_share", "clip_share")):
        read = {e.step: e.value for e in events.Scalars(tag)}
        if set(read) != set(steps):
            sys.exit(f"{tag}: other steps")
        for step, value in read.items():
            if abs(value - steps[step][key]) > 1e-6 * abs(steps[step][key]):
                sys.exit(f"{tag}: step {step}: {value}, not {steps[step][key]}")
            checked += 1
    print(f"TensorBoard reads {checked} values of {len(events.Tags()['scalars'])} tags: {', '.join(events.Tags()['scalars'])}")


def main():
    program, model = map(os.path.abspath, sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="report") as folder:
        run, page = os.path.join(folder, "run"), os.path.join(folder, "page.html")
        subprocess.run([program, "train", "-m", model, "-d", os.path.join(ROOT, "data", "example", "train.jsonl"), "--valid-share", "0.1",
                        "--max-steps", "6", "--eval-every", "2", "--rank", "4", "--max-length", "64", "--batch", "1", "-o", run],
                       stdout=subprocess.DEVNULL, check=True)
        subprocess.run([program, "report", run, "-o", page, "--tensorboard", os.path.join(folder, "tb")], check=True)
        check_page(folder, run, page)
        check_events(folder, run)


if __name__ == "__main__":
    main()
