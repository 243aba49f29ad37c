#!/usr/bin/env python3
"""Records `platctl install --profile dev` on the lab with simulated nodes, as the README shows it: docs/install.svg.

    docs/terminal/record.py [--out docs/install.svg] [--platctl FILE] [--frames 14]

Starts a lab of its own, types the command into a shell in tmux, which is the terminal, keeps every screen that differs
from the one before, writes some of them as one animated SVG (svg.py) and takes the lab down. Needs tmux, a platctl and
the lab (`tests/lab/build.sh`; PLATCTL_LAB_BIN names another folder with it). Nothing on the screens is edited.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import svg

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("PLATCTL_TARGET") or ROOT / "target")
LAB = pathlib.Path(os.environ.get("PLATCTL_LAB_BIN") or TARGET / "lab" / "bin") / "lab"
COMMAND = "platctl install --profile dev"
COLUMNS, ROWS = 100, 36  # the whole of it, without scrolling
LONGEST = 600  # seconds


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=pathlib.Path, default=ROOT / "docs" / "install.svg")
    arguments.add_argument("--platctl", type=pathlib.Path, default=TARGET / "debug" / "platctl")
    arguments.add_argument("--frames", type=int, default=14, help="screens that are shown, the last among them")
    given = arguments.parse_args()
    for program, advice in [(given.platctl, "cargo build"), (LAB, "tests/lab/build.sh")]:
        if not os.access(program, os.X_OK):
            sys.exit(f"error: there is no executable {program}\nhint: `{advice}` builds it")
    if not shutil.which("tmux"):
        sys.exit("error: `tmux` is not installed; it is the terminal that is recorded\nhint: apt-get install tmux")

    with tempfile.TemporaryDirectory(prefix="platctl-record-") as directory:
        place = pathlib.Path(directory)
        subprocess.run([LAB, "up", "--dir", place / "lab", "--detach"], check=True, stdout=subprocess.DEVNULL)
        try:
            screens = record(place, given.platctl.resolve())
        finally:
            subprocess.run([LAB, "down", "--dir", place / "lab"], check=True, stdout=subprocess.DEVNULL)
    shown = chosen(screens, given.frames)
    seconds = f"{screens[-1][0]:.0f} s"
    title = f"{COMMAND} on the lab with simulated nodes: {seconds}, shown in {svg.length(len(shown)):.0f} s"
    given.out.write_text(svg.animation(title, COLUMNS, ROWS, shown))
    size = given.out.stat().st_size / 1024
    print(f"{given.out}: {seconds}, {len(screens)} screens seen, {len(shown)} shown, {size:.0f} KiB")


def record(place, platctl):
    """The screens as (seconds since the command was entered, lines with escape sequences)."""
    (place / "bin").mkdir()
    (place / "bin" / "platctl").symlink_to(platctl)
    prompts = place / "prompts"
    environment = {
        "HOME": str(place), "LANG": "C.UTF-8", "KUBECONFIG": str(place / "lab" / "kubeconfig"),
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        # How the command ended: each prompt notes the exit code of what came before it.
        "PROMPT_COMMAND": f"echo $? >>{prompts}",
    }
    base = ["tmux", "-f", "/dev/null", "-S", str(place / "tmux")]

    def tmux(*words):
        return subprocess.run([*base, *words], check=True, capture_output=True, text=True, env=environment).stdout

    # tmux starts it through a shell without a prompt, which drops PS1.
    tmux("new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS), "PS1='$ ' exec bash --norc --noprofile")
    try:
        wait_for(lambda: codes(prompts), "the shell's prompt")
        tmux("send-keys", COMMAND)
        wait_for(lambda: COMMAND in tmux("capture-pane", "-p"), "the typed command")
        screens = [(0.0, tmux("capture-pane", "-e", "-p").split("\n"))]
        tmux("send-keys", "Enter")
        began, answered = time.monotonic(), False
        while len(codes(prompts)) < 2:
            seconds = time.monotonic() - began
            if seconds > LONGEST:
                sys.exit(f"error: `{COMMAND}` has not ended after {LONGEST} s\n" + tmux("capture-pane", "-p"))
            keep(screens, seconds, tmux("capture-pane", "-e", "-p"))
            if not answered and "[y/N]" in tmux("capture-pane", "-p"):
                tmux("send-keys", "y", "Enter")
                answered = True
            time.sleep(0.1)
        seconds = time.monotonic() - began
        time.sleep(0.3)  # the prompt behind it is drawn
        keep(screens, seconds, tmux("capture-pane", "-e", "-p"))
        if codes(prompts)[1] != "0":
            sys.exit(f"error: `{COMMAND}` ended with {codes(prompts)[1]}\n" + tmux("capture-pane", "-p"))
        return screens
    finally:
        tmux("kill-server")


def keep(screens, seconds, screen):
    lines = screen.split("\n")
    if lines != screens[-1][1]:
        screens.append((seconds, lines))


def codes(prompts):
    return prompts.read_text().split() if prompts.exists() else []


def wait_for(condition, what):
    for _ in range(100):
        if condition():
            return
        time.sleep(0.1)
    sys.exit(f"error: {what} did not appear within 10 s")


def chosen(screens, count):
    """The lines of `count` screens: the first, the last, and between them those nearest to equal steps of time."""
    if len(screens) <= count:
        return [lines for _, lines in screens]
    last = screens[-1][0]
    indexes = {0, len(screens) - 1}
    for step in range(1, count - 1):
        moment = last * step / (count - 1)
        indexes.add(min(range(len(screens)), key=lambda index: abs(screens[index][0] - moment)))
    return [screens[index][1] for index in sorted(indexes)]


if __name__ == "__main__":
    main()
