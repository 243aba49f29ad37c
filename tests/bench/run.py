#!/usr/bin/env python3
"""Figures of platctl on the lab, each beside its aim: ratios against kubectl in the same run, so that the machine cancels out.

    tests/bench/run.py [--rounds 3] [--binary FILE]

Each round starts two empty labs, one after the other: platctl installs into the first, kubectl applies the same
rendered objects to the second. Pods start at once (`--pod-delay 0s`). Shown is the median of the rounds. Not part of
CI: the figures are only worth something on a quiet machine. Python's standard library, platctl and the lab are all it needs.
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
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("PLATCTL_TARGET") or ROOT / "target")
LAB = TARGET / "lab" / "bin"
MIB = 1024 * 1024


class Lab:
    """A lab of its own, up for the length of a `with`."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="platctl-bench-")

    def __enter__(self):
        subprocess.run(
            [LAB / "lab", "up", "--dir", self.directory, "--detach", "--pod-delay", "0s"],
            check=True, stdout=subprocess.DEVNULL,
        )
        self.info = json.loads(pathlib.Path(self.directory, "lab.json").read_text())
        self.environment = {**os.environ, "KUBECONFIG": self.info["kubeconfig"], "PATH": f"{LAB}:{os.environ['PATH']}"}
        return self

    def __exit__(self, *_):
        subprocess.run([LAB / "lab", "down", "--dir", self.directory], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def admin(self, method, path):
        request = urllib.request.Request(self.info["admin"] + path, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            body = answer.read()
        return json.loads(body) if body else None


class Run:
    """A command run to its end: wall time, peak memory, output."""

    def __init__(self, command, environment=None, stdin=None, accept=(0,)):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            began = time.perf_counter()
            process = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=err, env=environment)
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                raise
            self.seconds = time.perf_counter() - began
            process.returncode = self.code = os.waitstatus_to_exitcode(status)
            self.peak = usage.ru_maxrss * 1024
            out.seek(0)
            err.seek(0)
            self.out, self.err = out.read().decode(), err.read().decode()
        if accept and self.code not in accept:
            sys.exit(f"{' '.join(map(str, command))}\nended with {self.code}:\n{self.out[-2000:]}\n{self.err[-2000:]}")


def repeated(command, times):
    """The median of many runs of a short command, after one to warm up."""
    Run(command)
    return statistics.median(Run(command).seconds for _ in range(times))


def moment(event):
    return datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")[:26].rstrip("+0:") + "+00:00")


def critical_path(events):
    """What no installer could do faster: the waves' own waits.

    For each wave the longest chain of components through their `needs`, each from its last applied object to ready.
    The time until CRDs are served counts as overhead, although the API server takes it.
    """
    waits, started, applied, total = {}, {}, {}, 0.0
    for event in events:
        kind = event["type"]
        if kind == "wave-started":
            waits, started, applied = {}, {}, {}
        elif kind == "applied":
            applied[event["component"]] = moment(event)
        elif kind == "component-started":
            started[event["component"]] = moment(event)
        elif kind == "component-ready":
            name = event["component"]
            ready = moment(event)
            own = (ready - applied.get(name, ready)).total_seconds()
            # It was started when the slowest of those that it needs was ready.
            before = [other for other, (at, _) in waits.items() if at <= started[name]]
            waits[name] = (ready, own + max((waits[other][1] for other in before), default=0.0))
        elif kind == "wave-ready":
            total += max((length for _, length in waits.values()), default=0.0)
    return total


def install(binary, lab, *more):
    command = [binary, "install", "--profile", "dev", "--yes", "--no-handoff", "--output", "json", *more]
    run = Run(command, lab.environment)
    return run, [json.loads(line) for line in run.out.splitlines() if line.startswith("{")]


def platctl_round(binary, objects, figures, rendered):
    with Lab() as lab:
        lab.admin("DELETE", "/requests")
        run, events = install(binary, lab)
        report = lab.admin("GET", "/requests")
        figures["install"].append(run.seconds)
        figures["path"].append(critical_path(events))
        figures["peak"].append(run.peak)
        figures["requests"].append(report["total"] / objects)
        figures["writes"].append(report["writes"] / objects)

        lab.admin("DELETE", "/requests")
        again, _ = install(binary, lab)
        report = lab.admin("GET", "/requests")
        figures["again"].append(again.seconds)
        figures["again requests"].append(report["total"] / objects)
        figures["again writes"].append(report["writes"])
        # 1 means that there are differences, such as those of controllers.
        command = [LAB / "kubectl", "diff", "--server-side", "--force-conflicts", "--field-manager", "platctl", "-f", rendered]
        figures["diff"].append(Run(command, lab.environment, accept=(0, 1)).seconds)


def kubectl_round(figures, rendered):
    """Applies until all is accepted, as people do: kinds and webhooks of the first passes are there in the later ones."""
    with Lab() as lab:
        command = [LAB / "kubectl", "apply", "--server-side", "-f", rendered]
        began = time.perf_counter()
        for attempt in range(1, 61):
            run = Run(command, lab.environment, accept=None)
            if run.code == 0:
                break
            time.sleep(0.5)
        else:
            sys.exit(f"kubectl apply did not get through:\n{run.err[-2000:]}")
        figures["apply"].append(time.perf_counter() - began)
        figures["passes"].append(attempt)


def binary_to_measure(given):
    static = TARGET / f"{os.uname().machine}-unknown-linux-musl" / "release" / "platctl"
    for binary in [given] if given else [static, TARGET / "release" / "platctl"]:
        if binary.is_file():
            return binary.resolve()
    sys.exit("no platctl to measure: `.ci/run static` builds it, or give `--binary FILE`")


def show(figures, fixed, rounds):
    middle = {name: statistics.median(values) for name, values in figures.items() if values}
    rows = [("what", "measured", "aim", "")]

    def row(what, value, text, aim=None, limit=None):
        rows.append((what, text, aim or "", "" if limit is None else "met" if value <= limit else "MISSED"))

    if middle:
        overhead = (middle["install"] / middle["path"] - 1) * 100 if middle["path"] else float("nan")
        row("install, without handoff", None, f"{middle['install']:.1f} s")
        row("  of it, the waves' own waits", None, f"{middle['path']:.1f} s")
        row("  over those waits", overhead, f"{overhead:+.0f} %", "at most +10 %", 10)
        row(f"  against kubectl apply (in {middle['passes']:.0f} passes)", None,
            f"{middle['install'] / middle['apply']:.2f} ({middle['apply']:.1f} s)")
        row("  API requests for each object", None, f"{middle['requests']:.2f}")
        row("  writes for each object", None, f"{middle['writes']:.2f}")
        row("  peak memory", middle["peak"] / MIB, f"{middle['peak'] / MIB:.1f} MiB", "below 64 MiB", 64)
        ratio = middle["again"] / middle["diff"]
        row("second install, nothing to do", None, f"{middle['again']:.2f} s")
        row("  against kubectl diff", ratio, f"{ratio:.2f} ({middle['diff']:.1f} s)", "at most 1", 1)
        row("  API requests for each object", None, f"{middle['again requests']:.2f}")
        row("  writes", middle["again writes"], f"{middle['again writes']:.0f}", "0", 0)
    row("render all charts", fixed["render"], f"{fixed['render']:.1f} ms", "below 50 ms", 50)
    row("--help", fixed["help"], f"{fixed['help']:.1f} ms", "below 10 ms", 10)
    row("executable", fixed["size"], f"{fixed['size']:.1f} MiB", "below 15 MiB", 15)

    print(f"{fixed['objects']} objects, median of {rounds} rounds, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    widths = [max(len(line[column]) for line in rows) for column in range(4)]
    for line in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def end(*_):
    """An end by signal goes through the `with` of a lab, too; a second signal must not end that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds on the lab; 0: only what needs none [default: 3]")
    parser.add_argument("--binary", type=pathlib.Path, help="the platctl to measure [default: target's static release]")
    flags = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    binary = binary_to_measure(flags.binary)

    rendered = Run([binary, "render", "--profile", "dev"]).out
    objects = rendered.count("\n---\n") + rendered.startswith("---\n")
    fixed = {
        # `images` renders every chart and prints next to nothing; `render` spends as long again on printing 2.7 MB.
        "render": repeated([binary, "images"], 30) * 1000,
        "help": repeated([binary, "--help"], 50) * 1000,
        "size": binary.stat().st_size / MIB,
        "objects": objects,
    }
    names = ["install", "path", "peak", "requests", "writes", "again", "again requests", "again writes", "diff", "apply", "passes"]
    figures = {name: [] for name in names}
    if flags.rounds:
        subprocess.run([ROOT / "tests" / "lab" / "build.sh"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(rendered)
        file.flush()
        for number in range(1, flags.rounds + 1):
            print(f"round {number} of {flags.rounds}", file=sys.stderr)
            platctl_round(binary, objects, figures, file.name)
            kubectl_round(figures, file.name)
    show(figures, fixed, flags.rounds)


if __name__ == "__main__":
    main()
