"""The data plane's figures: first full and restore against restic and against what the machine allows.

The image is read once before each round, so that both sides find it in memory; each restores what it just stored.
"""

import asyncio
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.testing import service_database
from common.testing.databases import ServiceDatabase

from devstack.bench import image as images
from devstack.bench import limits, peers
from devstack.bench.apart import folder as own_folder
from devstack.bench.data_plane_bars import Round, Side, bars_of
from devstack.bench.image import GIB, Image
from devstack.bench.measuring import Say, Sizes
from devstack.bench.report import Bar
from devstack.bench.restic import Restic, bytes_below
from devstack.bench.runner_run import BUSY, Done, runner_run
from devstack.members import BACKUP_ENGINE
from devstack.servers.postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class _Place:
    """What all rounds share."""

    database: ServiceDatabase
    image: Image
    restic: str | None


def measure(sizes: Sizes, say: Say) -> list[Bar]:
    """Make the image and a database, then back up and restore in turn with restic, as often as there are pairs."""
    restic, member = peers.find("restic"), BACKUP_ENGINE
    with own_folder() as folder:
        say(f"making an image of {sizes.gib:g} GiB")
        image = images.make(folder / "image.raw", int(sizes.gib * GIB))
        say(str(image))
        # Durable commits: what the catalogue costs is part of a backup.
        with (
            EmbeddedPostgres(folder / "postgres", throw_away=True) as server,
            contextmanager(service_database)(
                server.url, member.prefix, member.package_folder, member.system_roles
            ) as database,
        ):
            place = _Place(database, image, restic)
            rounds = [_round(place, folder / f"round-{number}", number, say) for number in range(sizes.pairs)]
    return bars_of(image, rounds, restic)


def _round(place: _Place, folder: Path, number: int, say: Say) -> Round:
    folder.mkdir()
    allowed = limits.measure(place.image, folder)
    if number % 2:
        theirs, ours = _by_restic(place, folder), asyncio.run(_ours(place, folder))
    else:
        ours, theirs = asyncio.run(_ours(place, folder)), _by_restic(place, folder)
    shutil.rmtree(folder)
    found = Round(allowed, ours, theirs)
    say(f"round {number + 1}: {found}")
    return found


async def _ours(place: _Place, folder: Path) -> Side:
    async with runner_run(place.database, folder, place.image) as run:
        full = await run.back_up()
        restore = await run.restore(full.task.id)
        stored = bytes_below(run.vault)
    return Side(full.seconds, restore.seconds, stored, full.task.limiting_stage or "", _restore_stage(restore))


def _restore_stage(done: Done) -> str:
    """The runner names no stage of a restore: what does not keep the processors busy waits for the disk."""
    return "compute" if done.processors > BUSY else "disk"


def _by_restic(place: _Place, folder: Path) -> Side | None:
    if place.restic is None:
        return None
    restic = Restic(place.restic, folder / "restic")
    restic.init()
    opening = restic.opening()
    full = restic.back_up(place.image) - opening
    return Side(full, restic.restore(place.image, folder / "by-restic") - opening, bytes_below(restic.repository))
