"""``python -m devstack.bench``: measures, prints the table, writes ``bench/latest.json``.

Each measurement runs in a process of its own under a time limit, so that one that breaks or hangs costs only its own
figures. The status is 1 where something could not be measured, or a bar that holds now was missed; any other miss is a
finding.
"""

import argparse
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from devstack.bench import peers, report
from devstack.bench.apart import apart, only_one, sweep
from devstack.bench.child import ends_on_signals
from devstack.bench.figures import GROUPS, NAMES, wanted
from devstack.bench.measuring import Say, Sizes
from devstack.bench.report import LATEST, TRIAL, Bar
from devstack.bench.summary import failures, table
from devstack.servers.places import checkout

BUSY = 0.25
"""Load for each processor above which somebody else is at work."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m devstack.bench",
        description="Measure against peers and limits in the same run (docs/guide/measuring.md).",
        epilog="By make: `make bench`, `make bench s=gateway`, `make bench ARGS='--quick --get-peers'`.",
    )
    parser.add_argument("--group", choices=GROUPS, help="only this one")
    parser.add_argument("--get-peers", action="store_true", help="first install Debian's restic and nginx, as root")
    parser.add_argument(
        "--quick", action="store_true", help=f"small sizes, to see that it runs; writes {TRIAL}, never {LATEST}"
    )
    return parser.parse_args()


def main() -> int:
    """Parse the command line and measure."""
    arguments = _arguments()
    sizes = Sizes.of_environment(Sizes.quick() if arguments.quick else Sizes())
    machine, began = report.machine(), time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    ends_on_signals()
    with only_one() as alone:
        if not alone:
            print("another benchmark runs here: two would measure each other", file=sys.stderr)
            return 2
        if machine["load"] > BUSY * (os.cpu_count() or 1):
            say(f"the machine is busy (load {machine['load']}): ratios may hold, absolute times do not")
        for reason in peers.get() if arguments.get_peers else []:
            say(f"not to be had: {reason}")
        sweep()
        bars, broken = _measure(arguments.group, sizes, say)
    return _end(bars, broken, sizes, machine)


def _measure(group: str | None, sizes: Sizes, say: Say) -> tuple[list[Bar], list[str]]:
    bars: list[Bar] = []
    broken: list[str] = []
    for measurement in wanted(group):
        found, reason = apart(measurement, sizes, say)
        broken += [measurement.module] if reason else []
        bars += measurement.complete(found, reason)
    return bars, broken


def _end(bars: list[Bar], broken: list[str], sizes: Sizes, machine: dict[str, object]) -> int:
    root = checkout() or Path.cwd()
    path = LATEST if sizes == Sizes() else TRIAL
    found = report.document(bars, report.commit_of(root), machine, datetime.now(UTC).date())
    report.write(root / path, report.beside(found, root / path, NAMES) if path == LATEST else found)
    before = report.committed(root, machine) if path == LATEST else {}
    print(f"\n{table(bars, before)}\nwritten to {path}")
    if path == TRIAL:
        print(f"a trial at {sizes}: its figures say that it runs, and nothing else")
    failed = failures(bars, broken)
    for reason in failed:
        print(f"FAILED: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("ended before its end; nothing was written")
