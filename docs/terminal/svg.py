"""Screens of a terminal, with their escape sequences for colours, as one animated SVG: CSS alone, no script, no font of its own.

Every run of text has its place and its width, so that columns stay columns in whatever monospaced font there is. Who
has asked for less motion sees the last screen only. It has its own background, for light pages and dark ones.
"""

import re
from html import escape

CELL, LINE, SIZE = 8.4, 18, 14  # a cell's width, a line's height, the font's size, in pixels
MARGIN, BAR = 14, 32
STEP, HOLD = 1.2, 8  # seconds that a screen is shown, and the last one
FOREGROUND, BACKGROUND, FRAME, FAINT = "#d6deeb", "#0f1720", "#2b3948", "#8aa0b4"
# The eight colours and their bright forms: each at least 4.5 to 1 on the background.
PALETTE = ["#8aa0b4", "#ff7b72", "#5fd38d", "#e3b341", "#79b8ff", "#d2a8ff", "#56d4dd", "#d6deeb"]
BRIGHT = ["#8aa0b4", "#ffa198", "#7ee2a8", "#f2cc60", "#a5d6ff", "#e2c5ff", "#76e3ea", "#ffffff"]

ESCAPE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\(B|\x0f")


class Style:
    """What the escape sequences so far have set. One that is not known is an error: the picture would not be what was seen."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.color, self.bold, self.faint = None, False, False

    def take(self, numbers):
        for number in [int(number or 0) for number in numbers.split(";")]:
            if number == 0:
                self.reset()
            elif number == 1:
                self.bold = True
            elif number == 2:
                self.faint = True
            elif number == 22:
                self.bold = self.faint = False
            elif 30 <= number <= 37:
                self.color = PALETTE[number - 30]
            elif 90 <= number <= 97:
                self.color = BRIGHT[number - 90]
            elif number == 39:
                self.color = None
            elif number == 49:
                pass  # the background, which nothing here ever changes
            else:
                raise ValueError(f"the escape sequence ESC[{numbers}m has no picture here: add it to svg.py")

    def attributes(self):
        color = self.color or (FAINT if self.faint else None)
        return (f' fill="{color}"' if color else "") + (' font-weight="bold"' if self.bold else "")


def runs(line, style):
    """The line's pieces as (column, text, attributes), cut at each change of style and at wide gaps."""
    column, position, found = 0, 0, []

    def add(text):
        nonlocal column
        for piece in re.finditer(r"\S+(?: \S+)*", text):
            found.append((column + piece.start(), piece.group(), style.attributes()))
        column += len(text)

    for match in ESCAPE.finditer(line):
        add(line[position:match.start()])
        position = match.end()
        if match.group(1) is not None:
            style.take(match.group(1))
    add(line[position:])
    return found


def screen(lines):
    style, parts = Style(), []
    for row, line in enumerate(lines):
        y = BAR + MARGIN + row * LINE + SIZE
        for column, text, attributes in runs(line, style):
            x, width = MARGIN + column * CELL, len(text) * CELL
            parts.append(f'<text x="{x:.4g}" y="{y}" textLength="{width:.4g}"{attributes}>{escape(text, quote=False)}</text>')
    return "\n".join(parts)


def length(count):
    """The seconds until the last of `count` screens is there."""
    return (count - 1) * STEP


def timing(count):
    """The style rules: one screen after the other, the last one stays, then again."""
    total = length(count) + HOLD
    rules = [
        "text{white-space:pre}",
        f".s{{visibility:hidden;animation:{total:.4g}s step-end infinite}}",
        ".s:last-of-type{visibility:visible}",
    ]
    for index in range(count):
        begin, end = 100 * index * STEP / total, 100 * (index + 1) * STEP / total
        hidden = "0%{visibility:hidden}" if index else ""
        gone = f"{end:.4g}%{{visibility:hidden}}" if index < count - 1 else ""
        rules.append(f"@keyframes k{index}{{{hidden}{begin:.4g}%{{visibility:visible}}{gone}}}")
        rules.append(f"#s{index}{{animation-name:k{index}}}")
    rules.append("@media (prefers-reduced-motion:reduce){.s{animation:none!important}}")
    return "\n".join(rules)


def animation(title, columns, rows, screens):
    width, height = columns * CELL + 2 * MARGIN, BAR + rows * LINE + 2 * MARGIN
    font = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
    shown = "\n".join(f'<g class="s" id="s{index}">\n{screen(lines)}\n</g>' for index, lines in enumerate(screens))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:.4g} {height}" width="{width:.4g}" height="{height}">
<title>{escape(title)}</title>
<style>
{timing(len(screens))}
</style>
<rect x=".5" y=".5" width="{width - 1:.4g}" height="{height - 1}" rx="8" fill="{BACKGROUND}" stroke="{FRAME}"/>
<path d="M1 {BAR}H{width - 1:.4g}" stroke="{FRAME}"/>
<text x="{width / 2:.4g}" y="21" fill="{FAINT}" text-anchor="middle" font-size="12" font-family="system-ui,sans-serif">{escape(title)}</text>
<g font-family="{font}" font-size="{SIZE}" fill="{FOREGROUND}">
{shown}
</g>
</svg>
"""
