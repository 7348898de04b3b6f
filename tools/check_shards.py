#!/usr/bin/env python3
"""`data score` driven by PySpark (rows through a pipe, local mode) and by Ray (a task a file), as docs/score.md shows it: the rows
are those of the same files scored one by one, an interrupted Ray job that is started again does not do the done files again.

usage: check_shards.py PROGRAM        needs pyspark (with a Java runtime) and ray; run by scripts/check-peers.sh shards"""
import glob
import json
import os
import subprocess
import sys
import tempfile
import traceback

import pyspark
import ray

HERE = os.path.dirname(os.path.abspath(__file__))
SHARDS, ROWS = 6, 2000


def documented(begin):
    """The line of docs/score.md that begins so."""
    with open(os.path.join(HERE, "..", "docs", "score.md"), encoding="utf-8") as page:
        return next(line.strip() for line in page if line.startswith(begin))


def write_shards():
    os.mkdir("in")
    for shard in range(SHARDS):
        with open(f"in/{shard}.jsonl", "w", encoding="utf-8") as f:
            for i in range(ROWS):
                f.write(json.dumps({"id": shard * ROWS + i, "text": f"Row {i} of shard {shard}: a patent of 19{i % 100:02}, experts agree, caf\u00e9 [{i % 40}]."}, ensure_ascii=i % 2 == 0) + "\n")


def lines(pattern):
    found = []
    for path in glob.glob(pattern):
        with open(path, "rb") as f:
            found += f.read().splitlines()
    return sorted(found)


def check(what, good):
    print(("ok      " if good else "FAILED  ") + what, flush=True)
    return not good


def by_spark():
    spark = pyspark.sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    names = {"spark": spark, "os": os}
    exec(documented("command = ") + "\n" + documented("spark.sparkContext.textFile"), names)
    parts = len(glob.glob("out/part-*"))
    bad = check(f"PySpark {pyspark.__version__}: {SHARDS * ROWS} rows in {parts} partitions are those of the files one by one", lines("out/part-*") == lines("one/*.jsonl"))
    several = spark.sparkContext.textFile("in").repartition(64).filter(lambda line: '"id": 1' in line[:8])
    n = several.pipe(names["command"], env=dict(os.environ), checkCode=True).count()
    bad += check(f"PySpark: partitions without rows are passed over, {n} rows of {several.count()} come out", n == several.count() > 0)
    faulty = spark.sparkContext.parallelize(['{"text":'], 1).pipe(names["command"], env=dict(os.environ), checkCode=True)
    try:
        faulty.count()
        bad += check("PySpark: a faulty row is a failure of the job", False)
    except Exception as e:  # noqa: BLE001  (of py4j, whose classes are the runtime's)
        bad += check("PySpark: a faulty row is a failure of the job", "error code 2" in str(e))
    spark.stop()
    subprocess.run(["rm", "-r", "out"], check=True)
    return bad


def start_ray():
    """Ray waits 30 seconds for its own processes, a time that cannot be set: on a busy machine that is too short, so it gets
    three goes. That was the unexplained failure of 28 November, whose traceback went where nobody looked."""
    for go in range(3):
        try:
            return ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        except Exception as e:  # noqa: BLE001  (Ray raises just this class)
            if go == 2 or "timed out during startup" not in str(e):
                raise
            ray.shutdown()


def by_ray():
    start_ray()
    folder, path = os.getcwd(), os.environ["PATH"]

    @ray.remote(num_cpus=1, max_retries=3)
    def score(shard):
        os.environ["PATH"] = path
        return subprocess.run(["your_ai", "data", "score", shard, "-o", "out/", "-t", "1"], check=True, cwd=folder, stderr=subprocess.PIPE).stderr.decode()

    shards = sorted(glob.glob("in/*.jsonl"))
    ray.get([score.remote(s) for s in shards])
    bad = check(f"Ray {ray.__version__}: {len(shards)} shards, the rows are those of the files one by one", lines("out/*.jsonl") == lines("one/*.jsonl"))
    os.remove("out/3.jsonl")
    said = ray.get([score.remote(s) for s in shards])
    bad += check("Ray: started again, one shard is made and the others were done before", sum("done before" in s for s in said) == len(shards) - 1)
    bad += check("Ray: the rows are the same", lines("out/*.jsonl") == lines("one/*.jsonl"))
    ray.shutdown()
    return bad


def main():
    program = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.mkdir("bin")
        os.symlink(program, "bin/your_ai")
        os.environ["PATH"] = f"{folder}/bin:{os.environ['PATH']}"
        noise = os.open("noise", os.O_RDWR | os.O_CREAT)
        os.dup2(noise, 2)  # both say much there when all is well
        write_shards()
        subprocess.run(["your_ai", "data", "score", "in", "-q", "-t", "1", "-o", "one/"], check=True)
        bad = 0
        for part in by_spark, by_ray:
            try:
                bad += part()
            except Exception:  # noqa: BLE001  (whatever it is, it is shown, and the other part is still run)
                bad += check(f"{part.__name__} ended by an exception:\n{traceback.format_exc()}", False)
        if bad:
            with open("noise", encoding="utf-8", errors="replace") as f:
                print(f.read())
        os.chdir("/")
    if bad:
        print(f"{bad} failed")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
