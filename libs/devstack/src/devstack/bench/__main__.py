"""``python -m devstack.bench [--group NAME] [--get-peers]``: measures, prints the table, writes ``bench/latest.json``.

A missed bar is a finding and no failure: the status is 1 only where something could not be measured that should be.
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from devstack.bench import peers, report
from devstack.bench.measuring import Say, Sizes
from devstack.bench.report import Bar
from devstack.servers.places import checkout

GROUPS = {
    "data-plane": ("data_plane", "runner_peak"),
    "billing": ("billing",),
    "gateway": ("gateway",),
    "tenancy": ("tenancy",),
}
"""The modules of each group, imported when they measure."""


def main() -> int:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(prog="python -m devstack.bench", description="Measure against peers and limits.")
    parser.add_argument("--group", choices=sorted(GROUPS), help="only this one")
    parser.add_argument(
        "--get-peers", action="store_true", help="first install restic and nginx where they are missing"
    )
    arguments = parser.parse_args()
    groups = [arguments.group] if arguments.group else list(GROUPS)
    machine, sizes = report.machine(), Sizes.of_environment()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:6.1f} s] {text}", flush=True)

    for reason in peers.get() if arguments.get_peers else []:
        say(f"not to be had: {reason}")
    bars: list[Bar] = []
    modules = [module for group in groups for module in GROUPS[group]]
    broken = [name for name in modules if not _measured(name, sizes, say, bars)]
    root = checkout() or Path.cwd()
    path = root / "bench" / "latest.json"
    report.write(path, report.document(bars, report.commit_of(root), machine))
    print(f"\n{report.table(bars)}\n\nwritten to {path.relative_to(root)}")
    if broken:
        print(f"could not be measured: {', '.join(broken)}")
    return 1 if broken else 0


def _measured(module: str, sizes: Sizes, say: Say, bars: list[Bar]) -> bool:
    """Add a module's bars; False, with the reason shown, when it broke. The others are measured all the same."""
    measure: Callable[[Sizes, Say], list[Bar]] = import_module(f"devstack.bench.{module}").measure
    try:
        bars += measure(sizes, say)
    except Exception:  # noqa: BLE001 - shown, and told by the status
        traceback.print_exc()
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
