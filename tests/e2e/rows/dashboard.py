"""Draws a dashboard's panels with what Prometheus answered, near enough to how Grafana would to be looked at."""

import html
import re

COLUMN, ROW = 58, 34
COLOURS = ["#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0"]
PREFIXES = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")]
UNITS = {"bps": "b/s", "pps": "p/s", "reqps": "req/s", "ops": "/s"}


def draw(panels):
    """A page of HTML from pairs of a panel and its series: (legend, Prometheus' series)."""
    boxes = "\n".join(draw_panel(panel, lines) for panel, lines in panels)
    return f"""<!doctype html><meta charset="utf-8"><title>uturn</title>
<style>body {{ background: #111217; color: #ccccdc; font: 12px sans-serif; position: relative }}
div {{ position: absolute; box-sizing: border-box; overflow: hidden; padding: 4px 8px }}
.panel {{ background: #181b1f; border: 1px solid #2c3038 }} b {{ font-size: 13px }}
.big {{ font-size: 30px; text-align: center; padding-top: 20px }} svg {{ display: block }}</style>
{boxes}
"""


def draw_panel(panel, lines):
    grid = panel["gridPos"]
    width, height = grid["w"] * COLUMN - 6, grid["h"] * ROW - 6
    place = f"left:{grid['x'] * COLUMN}px;top:{grid['y'] * ROW}px;width:{width}px;height:{height}px"
    title = html.escape(panel["title"])
    if panel["type"] == "row":
        return f'<div style="{place}"><b>{title}</b></div>'
    unit = panel["fieldConfig"]["defaults"]["unit"]
    series = [(legend(text, one["metric"]), points(one)) for text, one in lines]
    if not series:
        inside = '<p class="big">No data</p>'
    elif panel["type"] == "stat":
        inside = f'<p class="big">{figure(series[0][1][-1][1], unit)}</p>'
    else:
        stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
        inside = graph(stack(series) if stacked else series, width - 20, height - 70, unit)
    return f'<div class="panel" style="{place}"><b>{title}</b>{inside}</div>'


def legend(text, labels):
    filled = re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), text)
    return filled or ", ".join(f"{name}={text}" for name, text in labels.items()) or "value"


def points(series):
    return [(float(time), float(text)) for time, text in series["values"] if text != "NaN"] or [(0, 0)]


def stack(series):
    sums, stacked = {}, []
    for name, line in series:
        for time, value in line:
            sums[time] = sums.get(time, 0) + value
        stacked.append((name, [(time, sums[time]) for time, _ in line]))
    return stacked


def graph(series, width, height, unit):
    times = [time for _, line in series for time, _ in line]
    values = [value for _, line in series for _, value in line]
    start, span = min(times), max(max(times) - min(times), 1)
    top = max(max(values), 1e-9) * 1.1
    lines, names = [], []
    for (name, line), colour in zip(series, COLOURS * len(series)):
        path = " ".join(
            f"{40 + (time - start) / span * (width - 45):.1f},{height - value / top * height:.1f}"
            for time, value in line
        )
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        names.append(f'<span style="color:{colour}">— </span>{html.escape(name)}&ensp;')
    scale = f'<text x="0" y="10" fill="#8e8e9e" font-size="10">{figure(top, unit)}</text>'
    scale += f'<text x="0" y="{height}" fill="#8e8e9e" font-size="10">0</text>'
    return f'<svg width="{width}" height="{height + 4}">{scale}{"".join(lines)}</svg>{"".join(names)}'


def figure(value, unit):
    if unit == "percentunit":
        return f"{100 * value:.1f} %"
    if unit == "s":
        return f"{value / 86400:.1f} d" if abs(value) > 86400 else f"{value:.2f} s"
    scale, prefix = next((pair for pair in PREFIXES if abs(value) >= pair[0]), PREFIXES[-1])
    return f"{value / scale:.3g} {prefix}{UNITS.get(unit, '')}"
