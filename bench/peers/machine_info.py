"""What every result says about its machine, and how it says a spread."""
import os
import platform
import statistics


def cpu_name():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def machine():
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "kernel": platform.release()}


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}
