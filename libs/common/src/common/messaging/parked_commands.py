"""``python -m <service> parked | replay | drop``: an operator's view of the facts that were put aside."""

import argparse
import sys
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.clock import SystemClock
from common.errors import NotFound
from common.messaging.parked import Parked, ParkedFact
from common.persistence.database import Database
from common.persistence.store import Store
from common.persistence.transaction import Transaction

NAMES = frozenset({"parked", "replay", "drop"})


def add_commands(commands: Any) -> None:
    """Add the three to a service's commands."""
    commands.add_parser("parked", help="list the facts put aside: id, age, tries, type, source, tenant, reason")
    replay = commands.add_parser("replay", help="make a parked fact, or all, pending again")
    which = replay.add_mutually_exclusive_group(required=True)
    which.add_argument("event_id", type=UUID, nargs="?", help="as `parked` lists it")
    which.add_argument("--all", action="store_true", help="every parked fact")
    drop = commands.add_parser("drop", help="put a parked fact away for good; audited")
    drop.add_argument("event_id", type=UUID, help="as `parked` lists it")
    drop.add_argument("--by", required=True, help="who says so")
    drop.add_argument("--reason", required=True, help="why it will never be right")


async def run_command(settings: Any, prefix: str, arguments: argparse.Namespace) -> int:
    """Run one of them; returns 1 when the id is not a parked fact's, or what was replayed is still refused."""
    database = Database(settings, prefix)
    try:
        return await _run(Parked(Store(database, Transaction, SystemClock())), arguments)
    except NotFound as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    finally:
        await database.close()


async def _run(parked: Parked, arguments: argparse.Namespace) -> int:
    if arguments.command == "parked":
        sys.stdout.writelines(_line(fact) for fact in await parked.all())
    elif arguments.command == "drop":
        await parked.drop(arguments.event_id, by=arguments.by, reason=arguments.reason)
        sys.stdout.write("Dropped.\n")
    else:
        replayed, refused = await parked.replay(arguments.event_id)
        sys.stdout.write(f"{replayed} replayed, {refused} still refused.\n")
        return 1 if refused else 0
    return 0


def _line(fact: ParkedFact) -> str:
    age = timedelta(seconds=round(fact.age.total_seconds()))
    named = (fact.event_id, age, fact.attempts, fact.type, fact.source, fact.tenant_id or "-", fact.reason)
    return "  ".join(str(value) for value in named).replace("\n", " ") + "\n"
