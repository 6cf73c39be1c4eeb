"""`make demo-noise`: a stack, its seeds, a line for each, and what is kept of those that fail."""

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from devstack import endpoints
from devstack.demo.report import Report
from devstack.noise.seeds import Verdict, play_all
from devstack.noise.store import SlowDownStore
from devstack.one_process import stack
from devstack.simulation import SMALL

LOG, HOSTS, FAILED = endpoints.ROOT / "noise.log", endpoints.ROOT / "noise-hosts", endpoints.ROOT / "noise-failed"


async def make_noise(seeds: Sequence[int]) -> int:
    """Play the seeds; return the exit status: 0 where every one is good."""
    report, store = Report(), SlowDownStore()
    for folder in (HOSTS, FAILED):
        shutil.rmtree(folder, ignore_errors=True)
    HOSTS.mkdir(parents=True)
    verdicts: list[Verdict] = []
    try:
        async with stack(
            endpoints.ROOT / "noise",
            machine=SMALL,
            keep=False,
            say=report.say,
            log=LOG,
            builders={"backup-engine": store.build},
        ) as running:
            await running.until_stopped(_play(running.endpoints, seeds, store, verdicts))
    finally:
        shutil.rmtree(HOSTS, ignore_errors=True)
        _sum_up(report, seeds, verdicts)
    return 0 if len(verdicts) == len(seeds) and all(verdict.good for verdict in verdicts) else 1


async def _play(found: dict[str, object], seeds: Sequence[int], store: SlowDownStore, verdicts: list[Verdict]) -> None:
    read = LOG.stat().st_size
    async for verdict in play_all(found, seeds, HOSTS, store):
        verdicts.append(verdict)
        sys.stdout.write(verdict.told() + "\n")
        if not verdict.good:
            kept = verdict.keep(FAILED / f"seed-{verdict.noise.seed}", _since(LOG, read))
            sys.stdout.write(f'  again: make demo-noise ARGS="--seed {verdict.noise.seed}"   logs: {kept}\n')
        sys.stdout.flush()
        read = LOG.stat().st_size


def _since(log: Path, position: int) -> str:
    with log.open("rb") as file:
        file.seek(position)
        return file.read().decode("utf-8", "replace")


def _sum_up(report: Report, seeds: Sequence[int], verdicts: Sequence[Verdict]) -> None:
    good = [verdict for verdict in verdicts if verdict.good]
    injected: Counter[str] = sum((verdict.injected for verdict in verdicts), Counter())
    seconds = sorted(verdict.seconds for verdict in verdicts)
    report.say(f"{len(good)} of {len(seeds)} seeds: every byte came back, every purchase right once, every fault real")
    for kind, count in sorted(injected.items()):
        report.say(f"  {kind:18} ×{count}")
    if seconds:
        middle = seconds[len(seconds) // 2]
        report.say(f"seconds a seed: {seconds[0]:.0f} at best, {middle:.0f} in the middle, {seconds[-1]:.0f} at worst")
    if bad := [verdict.noise.seed for verdict in verdicts if not verdict.good]:
        report.say(f"WRONG: {', '.join(f'--seed {seed}' for seed in bad)}; logs in {FAILED}")
    if len(verdicts) < len(seeds):
        report.say(f"stopped after {len(verdicts)} of {len(seeds)}")
