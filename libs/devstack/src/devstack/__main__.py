"""``python -m devstack demo | demo-noise | dev | up | down | logs``: the ways to run everything on one machine."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from common.parts import main_loop

from devstack import endpoints


def main() -> None:
    """Parse the command line and run one way."""
    parser = argparse.ArgumentParser(prog="python -m devstack", description="Run everything on one machine.")
    ways = parser.add_subparsers(dest="way", required=True, metavar="WAY")
    ways.add_parser("demo", help="the main job once, on embedded defaults; leaves nothing running")
    noise = ways.add_parser(
        "demo-noise",
        help="the demo under faults, once for each seed",
        description="Buy twice, back up three times and restore twice for each seed, while leases are slow and cut,"
        " sessions expire, the store answers 503, callbacks get lost, webhooks come again and out of order, and"
        " providers answer 503. A fault that was planned and did not take effect fails its seed.",
    )
    default = int(os.environ.get("SEEDS") or 20)
    noise.add_argument("--seeds", type=int, default=default, metavar="N", help="how many (SEEDS; now %(default)s)")
    noise.add_argument("--seed", type=int, action="append", metavar="S", help="only this one (may be repeated)")
    ways.add_parser("dev", help="all parts in one process until Ctrl-C; data is kept")
    ways.add_parser("up", help="one process per part, PostgreSQL and RabbitMQ found or started")
    ways.add_parser("down", help="end what `up` started")
    ways.add_parser("logs", help="follow the logs of what `up` started")
    asked = parser.parse_args()
    try:
        sys.exit(_noise(asked.seed or range(1, asked.seeds + 1)) if asked.way == "demo-noise" else _WAYS[asked.way]())
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(130)


def _demo() -> int:
    return main_loop(_play_demo(endpoints.ROOT / "demo"))


async def _play_demo(folder: Path) -> int:
    from devstack.demo.report import Report
    from devstack.demo.run import play
    from devstack.one_process import stack
    from devstack.simulation import DEMO

    report = Report()
    log = endpoints.ROOT / "demo.log"
    path = endpoints.ROOT / "demo-report.json"
    path.unlink(missing_ok=True)
    report.say("starting PostgreSQL, the simulators and every part in one process")
    async with stack(folder, machine=DEMO, keep=False, say=report.say, log=log) as running:
        await running.until_stopped(play(running.endpoints, report))
    report.write(path)
    sys.stdout.write(f"\n{report.table()}\n\n")
    verdict = "every byte came back" if report.good else "NOT what it should be, see above"
    report.say(f"{verdict}; report in {path.relative_to(endpoints.ROOT.parent)}, logs in {log.name}")
    return 0 if report.good else 1


def _noise(seeds: Sequence[int]) -> int:
    from devstack.noise.run import make_noise

    return main_loop(make_noise(seeds))


def _dev() -> int:
    return main_loop(_develop())


async def _develop() -> int:
    from devstack.one_process import stack
    from devstack.simulation import SMALL

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    async with stack(endpoints.ROOT / "dev", machine=SMALL, keep=True, say=say) as running:
        say(f"endpoints are in {endpoints.PATH}; Ctrl-C ends")
        await running.stop.wait()
    return 0


def _up() -> int:
    from devstack.processes import up

    return main_loop(up())


def _down() -> int:
    from devstack.processes import down

    return main_loop(down())


def _logs() -> int:
    from devstack.processes import logs

    return logs()


_WAYS = {"demo": _demo, "dev": _dev, "up": _up, "down": _down, "logs": _logs}


if __name__ == "__main__":
    main()
