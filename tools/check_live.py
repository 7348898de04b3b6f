#!/usr/bin/env python3
"""Has Chromium show the live page of a training (`your_ai train --serve`): the curve grows by server-sent events, on a desktop and on a
phone, light and dark, and what is drawn are values of the run.

  check_live.py PROGRAM [PICTURES]

Needs chromium on the PATH. The browser is driven by its debugging protocol over a pipe. PICTURES is a folder for pictures of what was
on the screen."""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
SCREENS = {"desktop": (1280, 900, False), "phone": (390, 844, True)}
SECONDS = 60


class Browser:
    """Chromium with one page: commands go out and answers come in as JSON, each ended by a zero byte."""

    def __init__(self, folder):
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if not program:
            sys.exit("chromium is missing: apt-get install chromium")
        theirs_in, self.out = os.pipe()
        self.inward, theirs_out = os.pipe()

        def place():  # the descriptors that --remote-debugging-pipe takes
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)

        # --no-sandbox: the page is our own, and root has no other way
        self.process = subprocess.Popen([program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
                                         "--user-data-dir=" + os.path.join(folder, "browser"), "about:blank"], preexec_fn=place,
                                        close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.rest, self.number, self.session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                part = os.read(self.inward, 1 << 16)
                if not part:
                    sys.exit("the browser ended")
                self.rest += part
            line, self.rest = self.rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"{method}: {answer['error']}")
                return answer["result"]

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            return None  # the frame is loading
        return result["result"].get("value")

    def end(self):
        self.process.kill()
        self.process.wait()


def wait_for(what, ask):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        value = ask()
        if value:
            return value
        time.sleep(0.1)
    sys.exit(f"{what} did not come in {SECONDS} s")


# Steps in the line above the report, and at the right end of the curve of the loss in it.
STEP = "Number((document.getElementById('now').textContent.match(/step (\\d+)/) || [])[1] || 0)"
DRAWN = "Number(document.querySelector('iframe').contentDocument.querySelector('svg').dataset.x.split(' ')[1])"
POINTS = "document.querySelector('iframe').contentDocument.querySelector('polyline').getAttribute('points').split(' ').length"
# How far the report is wider than its frame; its ground and its ink.
WIDER = "(d => d.documentElement.scrollWidth - d.documentElement.clientWidth)(document.querySelector('iframe').contentDocument)"
COLOURS = ("(d => (s => s.backgroundColor + ' ' + s.color)(d.defaultView.getComputedStyle(d.body)))"
           "(document.querySelector('iframe').contentDocument)")


def look(browser, url, name, scheme, pictures):
    """One screen: the curve grows while nobody touches the page. Returns the colours of the report."""
    width, height, mobile = SCREENS[name]
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.call("Page.navigate", url=url)
    first = wait_for("an event", lambda: browser.value(STEP))
    before = wait_for("the report", lambda: browser.value(DRAWN))
    points = browser.value(POINTS)
    wait_for("a later event", lambda: browser.value(STEP) > first)
    after = wait_for("a longer curve", lambda: (browser.value(DRAWN) or 0) > before and browser.value(DRAWN))
    more = browser.value(POINTS)
    if browser.value(WIDER) > 0:
        sys.exit(f"{name}: the report is {browser.value(WIDER)} pixels wider than the screen")
    colours = browser.value(COLOURS)
    if pictures:
        os.makedirs(pictures, exist_ok=True)
        png = browser.call("Page.captureScreenshot", format="png")["data"]
        with open(os.path.join(pictures, f"{name}-{scheme}.png"), "wb") as f:
            f.write(base64.b64decode(png))
    print(f"{name}, {scheme}: the curve grew from step {before:.0f} to {after:.0f}, from {points} to {more} points; {colours}")
    return colours


def start(program, folder):
    model, run = os.path.join(folder, "model"), os.path.join(folder, "run")
    subprocess.run([program, "init", "--like", "tiny", "-o", model], check=True, stdout=subprocess.DEVNULL)
    rows = os.path.join(folder, "rows.jsonl")
    with open(rows, "w", encoding="utf-8") as f:
        for i in range(64):
            f.write(json.dumps({"prompt": f"What is {i}?", "completion": f" {i} is the number behind {i - 1}.", "source_type": "ab"[i % 2]}) + "\n")
    training = subprocess.Popen([program, "train", "-m", model, "-d", rows, "--valid-share", "0.1", "-o", run, "--serve", "0", "--max-steps",
                                 "1000000", "--batch", "8", "--save-every", "0", "--eval-every", "100", "--lr", "0.003", "--threads", "1"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    url = None
    for line in training.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        url = found.group(0) if found else url
        if url and line.startswith("step 20/"):
            break
    if not url:
        sys.exit("the training ended before it served")
    return training, url, run


def main():
    program = os.path.abspath(sys.argv[1])
    pictures = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(prefix="live") as folder:
        training, url, run = start(program, folder)
        log = open(os.path.join(folder, "log"), "w", encoding="utf-8")
        reader = subprocess.Popen(["cat"], stdin=training.stdout, stdout=log)  # so that the training never waits for us
        browser = Browser(folder)
        try:
            browser.call("Page.enable")
            seen = {(name, scheme): look(browser, url, name, scheme, pictures) for name in SCREENS for scheme in ("light", "dark")}
            if seen["desktop", "light"] == seen["desktop", "dark"] or seen["phone", "light"] == seen["phone", "dark"]:
                sys.exit("light and dark look the same")
            page = browser.value("document.querySelector('iframe').contentDocument.documentElement.outerHTML")
            training.send_signal(signal.SIGTERM)
            training.wait()
            wait_for("word of the end", lambda: "ended" in browser.value("document.getElementById('now').textContent"))
        finally:
            training.kill()
            reader.wait()
            log.close()
            browser.end()
        path = os.path.join(folder, "live.html")
        with open(path, "w", encoding="utf-8") as f:
            f.write(page)
        subprocess.run([sys.executable, os.path.join(ROOT, "tests", "cli", "read_page.py"), "--live", path, run], check=True)


if __name__ == "__main__":
    main()
