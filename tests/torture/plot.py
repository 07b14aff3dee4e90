# SPDX-License-Identifier: Apache-2.0
"""Lines over time as an SVG file: small panels, one below the other, that share the time axis. Nothing but text is needed."""
from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 860, 130, 70, 150, 40, 34
COLOURS = ("#1f6fb4", "#d4622a", "#3a8a3f", "#8a4fa3", "#8a6d3a")


def nice(top):
    """The next of 1, 2, 2.5, 5 × 10^n at or above."""
    if top <= 0:
        return 1.0
    step = 1.0
    while step * 10 <= top:
        step *= 10
    while step > top:
        step /= 10
    return next(step * f for f in (1, 2, 2.5, 5, 10) if step * f >= top)


def number(v):
    return f"{v:g}" if v < 10_000 else f"{v:,.0f}"


def panel(y, title, lines, end):
    """lines: {name: [(seconds, value)]}; the SVG of one panel whose top is y."""
    top = nice(max((v for points in lines.values() for _, v in points), default=0.0))
    width = WIDTH - LEFT - RIGHT
    out = [f'<text x="{LEFT}" y="{y - 6}" class="t">{escape(title)}</text>',
           f'<rect x="{LEFT}" y="{y}" width="{width}" height="{PANEL}" class="f"/>']
    for part in (0, 0.5, 1):
        at = y + PANEL - PANEL * part
        out.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{LEFT + width}" y2="{at:.1f}" class="g"/>\n'
                   f'<text x="{LEFT - 6}" y="{at + 4:.1f}" class="n">{number(top * part)}</text>')
    for i, (name, points) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        at = [f"{LEFT + width * t / end:.1f},{y + PANEL - PANEL * v / top:.1f}" for t, v in points]
        path = "\n".join(" ".join(at[k:k + 9]) for k in range(0, len(at), 9))
        out.append(f'<polyline points="\n{path}\n" fill="none" stroke="{colour}" stroke-width="1.3"/>\n'
                   f'<text x="{LEFT + width + 8}" y="{y + 14 + 15 * i}" style="fill:{colour}">{escape(name)}</text>')
    return out


def draw(path, title, panels):
    """panels: [(title, {name: [(seconds, value)]})]."""
    end = max((t for _, lines in panels for points in lines.values() for t, _ in points), default=1.0) or 1.0
    height = TOP + len(panels) * (PANEL + GAP) + 16
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
           "<style>text{font:12px sans-serif;fill:#333}.h{font-size:14px;font-weight:bold}.n{text-anchor:end}\n"
           ".m{text-anchor:middle}.f{fill:none;stroke:#bbb}.g{stroke:#e4e4e4}</style>",
           f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n<text x="{LEFT}" y="18" class="h">{escape(title)}</text>']
    for i, (name, lines) in enumerate(panels):
        out += panel(TOP + 14 + i * (PANEL + GAP), name, lines, end)
    for part in range(7):
        at = LEFT + (WIDTH - LEFT - RIGHT) * part / 6
        label = f"{end * part / 6 / 60:.0f} min" if end > 300 else f"{end * part / 6:.0f} s"
        out.append(f'<text x="{at:.1f}" y="{height - 10}" class="m">{label}</text>')
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(out) + "\n</svg>\n")
