"""A run's report as one page that needs nothing else: no script, no network."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from html import escape
from itertools import pairwise
from typing import Final

from zfs_walk.load.latency import Latencies
from zfs_walk.load.report import RunReport, order_of, totals
from zfs_walk.load.report_text import as_text
from zfs_walk.load.report_text import title as title_of
from zfs_walk.load.series import Point, together

_WIDTH: Final = 860
_HEIGHT: Final = 240
_LEFT: Final = 70
_BOTTOM: Final = 34
_COLOURS: Final = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a7a00", "#000000",
)  # fmt: skip
"""Told apart by most people who do not see all colours (Okabe and Ito)."""

Line = tuple[str, Sequence[tuple[float, float]]]
"""A curve: what it is, and its points."""

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1a1a1a; background: #fff; }
pre { overflow-x: auto; font-size: 12px; background: #f5f5f5; padding: 1rem; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: #444; }
.good { color: #00663f; } .bad { color: #a32a00; font-weight: 600; }
"""


def as_html(report: RunReport) -> str:
    """The report with charts."""
    title = escape(title_of(report))
    verdict = "nothing went wrong" if report.ok else "something went wrong: see below"
    charts = "" if report.refused else "\n".join(_charts(report))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n<h1>{title}</h1>\n"
        f'<p class="{"good" if report.ok else "bad"}">{verdict}</p>\n{charts}\n'
        f"<h2>Figures</h2>\n<pre>{escape(as_text(report))}</pre>\n</body></html>\n"
    )


def _charts(report: RunReport) -> Iterable[str]:
    named = list(_series(report))
    yield _chart(
        "Throughput", "seconds", "MB/s",
        [(name, _speeds(series, lambda point: (point.written + point.read) / 1e6))
         for name, series in named],
    )  # fmt: skip
    yield _chart(
        "Operations", "seconds", "a second",
        [(name, _speeds(series, lambda point: float(point.operations))) for name, series in named],
    )  # fmt: skip
    everybody = totals(report.figures).latencies
    yield _shares([(kind, everybody[kind]) for kind in order_of(list(everybody))])
    cpu: list[Line] = []
    busy: dict[str, list[tuple[float, float]]] = {}
    for agent in report.agents:
        of = f"{agent.agent} on {agent.host}: " if len(report.agents) > 1 else ""
        for each in agent.consumers if not of else ():
            name = each.spec.name
            cpu.append((
                name,
                [
                    (sample.at, process.cpu)
                    for sample in agent.samples
                    for process in sample.processes
                    if process.name == name
                ],
            ))  # fmt: skip
        cpu.append((f"{of}host", [(sample.at, sample.cpu) for sample in agent.samples]))
        for sample in agent.samples:
            for device in sample.devices:
                busy.setdefault(f"{of}{device.name}", []).append((sample.at, device.busy))
    yield _chart("CPU", "seconds", "percent of a core (host: of all)", cpu)
    if busy:
        yield _chart("Devices", "seconds", "percent busy", list(busy.items()))


def _series(report: RunReport) -> Iterable[tuple[str, Sequence[Point]]]:
    """What consumers had done when; of several agents: what each of them had, and all together."""
    if len(report.agents) == 1:
        for each in report.agents[0].consumers:
            yield each.spec.name, each.series
        return
    everybody = []
    for agent in report.agents:
        late = agent.began - report.began
        own = [
            [replace(point, seconds=point.seconds + late) for point in each.series]
            for each in agent.consumers
        ]
        everybody += own
        yield f"{agent.agent} on {agent.host}", together(own)
    yield "in all", together(everybody)


def _speeds(series: Sequence[Point], amount: Callable[[Point], float]) -> list[tuple[float, float]]:
    """What was done a second, between one point and the next."""
    found = []
    for before, after in pairwise(series):
        seconds = after.seconds - before.seconds
        if seconds > 0:
            found.append((after.seconds, (amount(after) - amount(before)) / seconds))
    return found


def _shares(kinds: Sequence[tuple[str, Latencies]]) -> str:
    """Latency over the share of operations, in steps of ten towards all of them."""
    lines: list[Line] = []
    for kind, latencies in kinds:
        shares = latencies.shares(8)
        lines.append((kind, [(step / 8, value / 1e6) for step, (_, value) in enumerate(shares)]))
    names = {0: "0 %", 1: "90 %", 2: "99 %", 3: "99.9 %", 4: "99.99 %", 5: "99.999 %"}
    return _chart("Latency", "share of the operations", "ms", lines, names)


def _chart(
    title: str, below: str, unit: str, lines: Sequence[Line], names: dict[int, str] | None = None
) -> str:
    points = [point for _, line in lines for point in line]
    right = max((x for x, _ in points), default=1.0) or 1.0
    top = max((y for _, y in points), default=1.0) or 1.0
    wide, high = _WIDTH - _LEFT - 10, _HEIGHT - _BOTTOM - 10

    def place(x: float, y: float) -> str:
        return f"{_LEFT + wide * max(0.0, x) / right:.1f},{10 + high * (1 - max(0.0, y) / top):.1f}"

    parts = []
    for step in range(5):
        y = 10 + high * (1 - step / 4)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - 10}" y2="{y:.1f}" stroke="#e3e3e3"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * step / 4:.3g}</text>'
        )
    marks = names or {step: f"{right * step / 5:.3g}" for step in range(6)}
    for at, name in marks.items():
        x = _LEFT + wide * (at / right if names else at / 5)
        if x <= _WIDTH:
            parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 18}" text-anchor="middle">{name}</text>')
    legend = []
    for number, (name, line) in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(place(x, y) for x, y in line)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        )
        legend.append(f'<span style="color:{colour}">&#9632;</span> {escape(name)}')
    parts.append(f'<text x="{_WIDTH - 10}" y="{_HEIGHT - 4}" text-anchor="end">{below}</text>')
    return (
        f"<h2>{title} <small>({unit})</small></h2>\n"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}'
        f"</svg>\n<p>{' &nbsp; '.join(legend)}</p>"
    )
