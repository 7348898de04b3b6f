"""What the measuring scripts of bench/ share: a program's seconds and memory, files of rows, the record of a run."""
import json
import os
import resource
import subprocess
import time


def timed(command, **files):
    """Runs a command that must succeed: (seconds of the clock, seconds of the processor, peak memory in KiB, its standard output
    where stdout=PIPE was given). The peak is the largest of all children so far."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    said = subprocess.run(command, check=True, **files).stdout
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss, said


def write_rows(path, rows):
    """Rows (dicts) as JSON Lines; returns the file's size."""
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return os.path.getsize(path)


def read_rows(path):
    with open(path, encoding="utf-8") as f:
        yield from map(json.loads, f)


def record(path, result):
    """Writes the record of a run, and prints it."""
    text = json.dumps(result, indent=1)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text + "\n")
    print(text)
