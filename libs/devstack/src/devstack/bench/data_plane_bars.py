"""From what the rounds measured to the data plane's figures. No I/O but asking restic for its version."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from devstack.bench import peers
from devstack.bench.figures import FULL_VS_LIMIT, FULL_VS_RESTIC, RESTORE_VS_BEST, STORED_VS_RESTIC
from devstack.bench.image import Image
from devstack.bench.limits import Limits
from devstack.bench.measuring import most_often
from devstack.bench.report import Bar, missing

MIB = 1 << 20
RESTORE_PART_OF_RESTIC, RESTORE_PART_OF_DISK = 2.0, 0.8
"""What restoring has to reach: twice restic's rate, or this part of the disk's."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one program did: seconds of the full and of the restore, bytes in its store, and what held it up."""

    full: float
    restore: float
    stored: int
    full_stage: str = ""
    restore_stage: str = ""

    def __str__(self) -> str:
        return f"full {self.full:.2f} s, restore {self.restore:.2f} s, {self.stored / MIB:.0f} MiB stored"


@dataclass(frozen=True, slots=True)
class Round:
    """One pair, and what the machine allowed just before."""

    limits: Limits
    ours: Side
    restic: Side | None

    def __str__(self) -> str:
        return f"ours: {self.ours}; restic: {self.restic or 'missing'}"


def bars_of(image: Image, rounds: Sequence[Round], program: str | None) -> list[Bar]:
    """Return the four figures, null with the reason where restic is missing."""
    pairs = [(one, one.restic) for one in rounds if one.restic is not None]
    if program is None or not pairs:
        reason = peers.absent("restic")
        return [
            _vs_limit(image, rounds),
            *(missing(bar, reason) for bar in (FULL_VS_RESTIC, RESTORE_VS_BEST, STORED_VS_RESTIC)),
        ]
    peer = f"{peers.version(program, 'version').partition(' compiled')[0]}, {image}"
    full = statistics.median(theirs.full / one.ours.full for one, theirs in pairs)
    stored = statistics.median(one.ours.stored / theirs.stored for one, theirs in pairs)
    rates = f"{_rate(image, rounds, _our_full)} and {_rate(image, rounds, _restics_full)} MiB/s"
    return [
        replace(FULL_VS_RESTIC, value=full, peer=peer, limiting_stage=_stage(rounds), note=rates),
        _vs_limit(image, rounds),
        _restore(image, pairs, peer),
        replace(STORED_VS_RESTIC, value=stored, peer=peer, limiting_stage="zstd level"),
    ]


def _vs_limit(image: Image, rounds: Sequence[Round]) -> Bar:
    ratios, limits = [], []
    for one in rounds:
        limit, rate = one.limits.of_full(image.size / one.ours.stored)
        ratios.append(image.size / one.ours.full / rate)
        limits.append(limit)
    rates = {name: statistics.median(getattr(one.limits, name) for one in rounds) for name in Limits.__slots__}
    return replace(
        FULL_VS_LIMIT,
        value=statistics.median(ratios),
        peer=f"the machine's limit, here {most_often(limits)}; {image}",
        limiting_stage=_stage(rounds),
        note=f"ours {_rate(image, rounds, _our_full)} MiB/s, "
        + ", ".join(f"{name} {rate / MIB:.0f}" for name, rate in rates.items()),
    )


def _restore(image: Image, pairs: Sequence[tuple[Round, Side]], peer: str) -> Bar:
    restic = statistics.median(theirs.restore / one.ours.restore for one, theirs in pairs)
    disk = statistics.median(image.size / one.ours.restore / one.limits.write for one, _ in pairs)
    rate = statistics.median(image.size / one.ours.restore for one, _ in pairs)
    return replace(
        RESTORE_VS_BEST,
        value=max(restic / RESTORE_PART_OF_RESTIC, disk / RESTORE_PART_OF_DISK),
        peer=f"{peer}; the disk's durable write rate",
        limiting_stage=most_often([one.ours.restore_stage for one, _ in pairs]),
        note=f"{rate / MIB:.0f} MiB/s: {restic:.2f} of restic, {disk:.2f} of the disk",
    )


def _stage(rounds: Sequence[Round]) -> str:
    """Return the stage that the runner itself found to hold it up most often."""
    return most_often([one.ours.full_stage for one in rounds])


def _our_full(one: Round) -> float | None:
    return one.ours.full


def _restics_full(one: Round) -> float | None:
    return one.restic.full if one.restic else None


def _rate(image: Image, rounds: Sequence[Round], seconds: Callable[[Round], float | None]) -> str:
    found = [taken for one in rounds if (taken := seconds(one)) is not None]
    return f"{statistics.median(image.size / taken for taken in found) / MIB:.0f}"
