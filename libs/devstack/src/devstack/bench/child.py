"""``python -m devstack.bench.child TOLD``: measure as a file tells, and leave the bars as JSON. Started by ``apart``.

Imports little, so that the time limit begins with the measurement and not with loading four services.
"""

import json
import signal
import sys
import time
import traceback
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from devstack.bench.measuring import Sizes


def ends_on_signals() -> None:
    """Let SIGTERM and SIGINT end this process as Ctrl-C does, also where it was started with SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


def main(told: Path) -> int:
    """Measure; 1 when that broke."""
    ends_on_signals()
    wish = json.loads(told.read_text())
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"  {time.monotonic() - began:6.1f} s  {text}", flush=True)

    try:
        bars = import_module(wish["module"]).measure(Sizes(**wish["sizes"]), say)
    except Exception:  # noqa: BLE001 - shown, and told by the status
        traceback.print_exc()
        return 1
    Path(wish["answer"]).write_text(json.dumps([asdict(bar) for bar in bars]))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
