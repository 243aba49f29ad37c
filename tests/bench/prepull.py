#!/usr/bin/env python3
"""What `install --prepull` saves on the lab when pulls are slow: the same installation with it and without it.

    tests/bench/prepull.py [--rounds 3] [--pull-delay 5s] [--nodes 1,3] [--binary FILE]

Each round starts an empty lab for each case. A node of the lab takes `--pull-delay` for an image that it does not have,
one image at a time, as a kubelet does by default; no registry and no bandwidth is simulated, so that nodes do not slow
one another. Shown is the median of the rounds, from the start of platctl to the last wave, and to the end of each wave.
Not part of CI: the figures are only worth something on a quiet machine.
"""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

from run import LAB, ROOT, binary_to_measure, end, moment

WAVES = ["istio", "gateway", "cnpg", "services", "gitops"]


def install(binary, nodes, delay, more):
    """Seconds from platctl's start to the end of each wave, in a lab of its own."""
    directory = tempfile.mkdtemp(prefix="platctl-prepull-")
    try:
        subprocess.run(
            [LAB / "lab", "up", "--dir", directory, "--detach", "--pod-delay", "0s", "--nodes", str(nodes), "--pull-delay", delay],
            check=True, stdout=subprocess.DEVNULL,
        )
        environment = {**os.environ, "KUBECONFIG": f"{directory}/kubeconfig", "PATH": f"{LAB}:{os.environ['PATH']}"}
        command = [binary, "install", "--profile", "dev", "--yes", "--no-handoff", "--output", "json", *more]
        began = datetime.datetime.now(datetime.timezone.utc)
        run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"{' '.join(map(str, command))}\nended with {run.returncode}:\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}")
        events = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
        if any(event["type"] == "prepulling" for event in events) != bool(more):
            sys.exit(f"pulled ahead or not, against what was asked: {more}")
        return {event["name"]: (moment(event) - began).total_seconds() for event in events if event["type"] == "wave-ready"}
    finally:
        subprocess.run([LAB / "lab", "down", "--dir", directory], check=False)
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each case [default: 3]")
    parser.add_argument("--pull-delay", default="5s", help="how long an image takes [default: 5s]")
    parser.add_argument("--nodes", default="1,3", help="numbers of nodes to try [default: 1,3]")
    parser.add_argument("--binary", type=pathlib.Path, help="the platctl to measure [default: target's static release]")
    flags = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    binary = binary_to_measure(flags.binary)
    subprocess.run([ROOT / "tests" / "lab" / "build.sh"], check=True)

    print(f"{flags.pull_delay} for an image, median of {flags.rounds} rounds, {os.cpu_count()} cores; seconds to the end of each wave")
    print(f"{'nodes':6}{'':12}" + "".join(f"{wave:>10}" for wave in WAVES))
    for nodes in map(int, flags.nodes.split(",")):
        totals = {}
        for name, more in [("without", []), ("--prepull", ["--prepull"])]:
            runs = [install(binary, nodes, flags.pull_delay, more) for _ in range(flags.rounds)]
            middle = [statistics.median(run[wave] for run in runs) for wave in WAVES]
            totals[name] = middle[-1]
            print(f"{nodes:<6}{name:12}" + "".join(f"{seconds:10.1f}" for seconds in middle), flush=True)
        saved = totals["without"] - totals["--prepull"]
        print(f"{nodes:<6}{'saved':12}{saved:10.1f} s, {saved / totals['without']:.0%}", flush=True)


if __name__ == "__main__":
    main()
