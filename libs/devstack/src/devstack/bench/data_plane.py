"""The data plane's figures: first full and restore against restic and against what the machine allows."""

import asyncio
import shutil
import statistics
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from backup_engine.persistence.unit_of_work import UnitOfWork
from common.clock import SystemClock
from common.persistence import Store
from common.testing import service_database
from common.testing.databases import ServiceDatabase

from devstack import endpoints
from devstack.bench import image as images
from devstack.bench import limits, peers
from devstack.bench.image import GIB, Image
from devstack.bench.limits import Limits
from devstack.bench.measuring import PAIRS, Say, Sizes
from devstack.bench.report import Bar, missing
from devstack.bench.restic import Restic, bytes_below
from devstack.bench.vault_run import VaultRun
from devstack.members import BACKUP_ENGINE
from devstack.servers.postgres import EmbeddedPostgres

MIB = 1 << 20
RESTORE_PART_OF_RESTIC, RESTORE_PART_OF_DISK = 2.0, 0.8
"""What restoring has to reach: twice restic's rate, or this part of the disk's."""


@dataclass(frozen=True, slots=True)
class _Side:
    """What one program did: seconds of the full and of the restore, bytes in its store."""

    full: float
    restore: float
    stored: int


@dataclass(frozen=True, slots=True)
class _Round:
    """One pair, and what the machine allowed just before."""

    limits: Limits
    ours: _Side
    full_stage: str
    restore_stage: str
    restic: _Side | None


FULL_VS_RESTIC = Bar("full_vs_restic", "data-plane", None, "x", ">=", 3, "")
FULL_VS_LIMIT = Bar("full_vs_limit", "data-plane", None, "x", ">=", 0.7, "")
RESTORE_VS_BEST = Bar("restore_vs_best", "data-plane", None, "x", ">=", 1, "")
STORED_VS_RESTIC = Bar("stored_vs_restic", "data-plane", None, "x", "<=", 1.05, "")


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Make the image and a database, then back up and restore in turn with restic, as often as there are pairs."""
    restic = peers.find("restic")
    endpoints.ROOT.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=endpoints.ROOT, prefix="bench-") as name:
        folder = Path(name)
        say(f"data-plane: making an image of {sizes.gib:g} GiB")
        image = images.make(folder / "image.raw", int(sizes.gib * GIB))
        say(f"data-plane: {image}")
        member = BACKUP_ENGINE
        # Durable commits: what the catalogue costs is part of a backup.
        with (
            EmbeddedPostgres(folder / "postgres", throw_away=True) as server,
            contextmanager(service_database)(
                server.url, member.prefix, member.package_folder, member.system_roles
            ) as database,
        ):
            rounds = asyncio.run(_rounds(database, image, folder, restic, say))
    return _bars(image, rounds, restic)


async def _rounds(database: ServiceDatabase, image: Image, folder: Path, restic: str | None, say: Say) -> list[_Round]:
    doors = database.open()
    store = Store(doors, UnitOfWork, SystemClock())
    try:
        found = []
        for number in range(PAIRS):
            say(f"data-plane: round {number + 1} of {PAIRS}")
            found.append(await _round(store, image, folder / f"round-{number}", restic, ours_first=number % 2 == 0))
        return found
    finally:
        await doors.close()


async def _round(
    store: Store[UnitOfWork], image: Image, folder: Path, restic: str | None, *, ours_first: bool
) -> _Round:
    folder.mkdir()
    allowed = await asyncio.to_thread(limits.measure, image, folder)
    theirs = None
    if restic and not ours_first:
        theirs = await asyncio.to_thread(_by_restic, restic, image, folder)
    run = await VaultRun.fresh(folder / "vault", store)
    full, prepared = await run.back_up(image)
    restore, restore_stage = await run.restore(image, prepared.manifest, folder / "restored.raw")
    ours = _Side(full, restore, bytes_below(run.folder))
    if restic and ours_first:
        theirs = await asyncio.to_thread(_by_restic, restic, image, folder)
    await asyncio.to_thread(shutil.rmtree, folder)
    return _Round(allowed, ours, prepared.statistics.limiting_stage, restore_stage, theirs)


def _by_restic(program: str, image: Image, folder: Path) -> _Side:
    restic = Restic(program, folder / "restic")
    restic.init()
    full = restic.back_up(image)
    return _Side(full, restic.restore(image, folder / "restored-by-restic"), bytes_below(restic.repository))


def _bars(image: Image, rounds: list[_Round], restic: str | None) -> list[Bar]:
    return [_vs_limit(image, rounds), *_vs_restic(image, rounds, restic)]


def _vs_limit(image: Image, rounds: list[_Round]) -> Bar:
    ratios, stages = [], []
    for one in rounds:
        limit, rate = one.limits.of_full(image.size / one.ours.stored)
        ratios.append(image.size / one.ours.full / rate)
        stages.append(limit)
    rates = {
        name: statistics.median(getattr(one.limits, name) for one in rounds) for name in ("compute", "write", "read")
    }
    ours = statistics.median(image.size / one.ours.full for one in rounds)
    return replace(
        FULL_VS_LIMIT,
        value=statistics.median(ratios),
        peer=f"the machine's limit, here {statistics.mode(stages)}; {image}",
        limiting_stage=_stage(rounds),
        note=f"ours {ours / MIB:.0f} MiB/s, " + ", ".join(f"{name} {rate / MIB:.0f}" for name, rate in rates.items()),
    )


def _vs_restic(image: Image, rounds: list[_Round], program: str | None) -> list[Bar]:
    pairs = [(one, one.restic) for one in rounds if one.restic is not None]
    if program is None or not pairs:
        reason = peers.absent("restic")
        return [missing(bar, reason) for bar in (FULL_VS_RESTIC, RESTORE_VS_BEST, STORED_VS_RESTIC)]
    peer = f"{peers.version(program, 'version').partition(' compiled')[0]}, {image}"
    full = statistics.median(theirs.full / one.ours.full for one, theirs in pairs)
    stored = statistics.median(one.ours.stored / theirs.stored for one, theirs in pairs)
    return [
        replace(FULL_VS_RESTIC, value=full, peer=peer, limiting_stage=_stage(rounds)),
        _restore(image, pairs, peer),
        replace(STORED_VS_RESTIC, value=stored, peer=peer),
    ]


def _restore(image: Image, pairs: list[tuple[_Round, _Side]], peer: str) -> Bar:
    restic = statistics.median(theirs.restore / one.ours.restore for one, theirs in pairs)
    disk = statistics.median(image.size / one.ours.restore / one.limits.write for one, _ in pairs)
    return replace(
        RESTORE_VS_BEST,
        value=max(restic / RESTORE_PART_OF_RESTIC, disk / RESTORE_PART_OF_DISK),
        peer=f"{peer}; the disk's durable write rate",
        limiting_stage=statistics.mode(one.restore_stage for one, _ in pairs),
        note=f"{restic:.2f} of restic, {disk:.2f} of the disk",
    )


def _stage(rounds: list[_Round]) -> str:
    """Return the stage that the writer itself found to hold it up most often."""
    return statistics.mode(one.full_stage for one in rounds)
