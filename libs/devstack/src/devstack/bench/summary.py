"""What a run shows at its end: the figures in a table, what each was measured against, and whether the run failed."""

from collections import Counter
from collections.abc import Mapping, Sequence

from devstack.bench.report import Bar

HEADS = ("group", "name", "value", "bar", "", "committed", "limited by")


def table(bars: Sequence[Bar], before: Mapping[str, float]) -> str:
    """Return the bars as a table for people, beside the committed values, then the numbers behind each."""
    rows = [HEADS, *(_row(bar, before) for bar in bars)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    behind = [f"{bar.name}: {bar.peer}{f'; {bar.note}' if bar.note else ''}" for bar in bars]
    return "\n".join([*lines, "", *behind, "", counts(bars)])


def counts(bars: Sequence[Bar]) -> str:
    """Return how many hold, are missed and have no value."""
    found = Counter(bar.holds for bar in bars)
    return f"{found[True]} hold, {found[False]} missed, {found[None]} not measured"


def failures(bars: Sequence[Bar], broken: Sequence[str]) -> list[str]:
    """Return why the run failed: a bar that holds now was missed, or a measurement broke. A missing peer is no reason.

    Args:
        bars: What was found.
        broken: Modules that could not measure.
    """
    missed = [f"{bar.name} is {bar.value:g} and has to be {bar.op} {bar.bar:g}" for bar in bars if _failed(bar)]
    return missed + [f"{module} could not be measured" for module in broken]


def _failed(bar: Bar) -> bool:
    return bar.holds_now and bar.holds is False


def _row(bar: Bar, before: Mapping[str, float]) -> tuple[str, ...]:
    verdict = {True: "holds", False: "MISSED", None: "not measured"}[bar.holds]
    value = "null" if bar.value is None else f"{bar.value:.4g} {bar.unit}"
    return bar.group, bar.name, value, f"{bar.op} {bar.bar:g}", verdict, _change(bar, before), bar.limiting_stage or ""


def _change(bar: Bar, before: Mapping[str, float]) -> str:
    """Return the committed value and how far this one is from it."""
    earlier = before.get(bar.name)
    if earlier is None or bar.value is None:
        return "" if earlier is None else f"{earlier:.4g}"
    change = f"{bar.value / earlier - 1:+.0%}" if earlier else f"{bar.value - earlier:+g}"
    return f"{earlier:.4g} ({change})"
