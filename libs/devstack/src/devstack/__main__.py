"""``python -m devstack demo | dev | up | down | logs``: the ways to run everything on one machine."""

import argparse
import sys
from pathlib import Path

from common.parts import main_loop

from devstack import endpoints


def main() -> None:
    """Parse the command line and run one way."""
    parser = argparse.ArgumentParser(prog="python -m devstack", description="Run everything on one machine.")
    ways = parser.add_subparsers(dest="way", required=True, metavar="WAY")
    ways.add_parser("demo", help="the main job once, on embedded defaults; leaves nothing running")
    ways.add_parser("dev", help="all parts in one process until Ctrl-C; data is kept")
    ways.add_parser("up", help="one process per part, PostgreSQL and RabbitMQ found or started")
    ways.add_parser("down", help="end what `up` started")
    ways.add_parser("logs", help="follow the logs of what `up` started")
    way = parser.parse_args().way
    sys.exit(_WAYS[way]())


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
        await play(running.endpoints, report)
    report.write(path)
    sys.stdout.write(f"\n{report.table()}\n\n")
    verdict = "every byte came back" if report.good else "NOT what it should be, see above"
    report.say(f"{verdict}; report in {path.relative_to(endpoints.ROOT.parent)}, logs in {log.name}")
    return 0 if report.good else 1


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
