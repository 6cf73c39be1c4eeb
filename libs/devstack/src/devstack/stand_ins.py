"""The simulators of a stack, as a program: all in one process, or one each.

``python -m devstack.stand_ins --only paypal,esxi --announce FILE`` reads its configuration as JSON from stdin and
runs until SIGTERM. It imports no service.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators import mail, mtn_momo, paypal
from simulators.esxi import DiskSpec, HostSpec, VmSpec
from simulators.esxi import start as start_esxi

Announced = dict[str, Any]
Stop = Callable[[], Awaitable[None]]

NAMES = ("paypal", "mtn_momo", "mail", "esxi")
MIB = 1 << 20


@dataclass(frozen=True)
class StandIns:
    """What the simulators are told; JSON-able.

    Attributes:
        ports: Port by simulator (``esxi`` with ``esxi_control``, ``mail`` with ``smtp``).
        gateway: Loopback URL that the public base URL is mapped to.
        public_base_url: What our requests name.
        paypal: Client id and secret.
        momo: Subscription key, API user and key, environment.
        esxi: Password, folder and the machine: name, capacity and used MiB, seed.
        approval_delay: Seconds until a mobile money payer approves.
    """

    ports: dict[str, int]
    gateway: str
    public_base_url: str
    paypal: dict[str, str]
    momo: dict[str, str]
    esxi: dict[str, Any]
    approval_delay: float = 1.0


async def _paypal(told: StandIns) -> tuple[Announced, Stop]:
    config = paypal.PayPalConfig(
        port=told.ports["paypal"],
        client_id=told.paypal["client_id"],
        client_secret=told.paypal["client_secret"],
        webhook_url=f"{told.public_base_url}/webhooks/paypal/",
        url_map={told.public_base_url: told.gateway},
    )
    running = await paypal.start(config)
    found = {
        "url": running.url,
        "merchant_id": config.merchant_id,
        "webhook_id": config.webhook_id,
        "ca_pem": running.ca_pem,
        "common_name": running.common_name,
    }
    return found, running.stop


async def _mtn_momo(told: StandIns) -> tuple[Announced, Stop]:
    config = mtn_momo.MoMoConfig(
        port=told.ports["mtn_momo"],
        environment=told.momo["environment"],
        subscription_key=told.momo["subscription_key"],
        api_user=told.momo["api_user"],
        api_key=told.momo["api_key"],
        disbursement_key=told.momo["disbursement_key"],
        disbursement_user=told.momo["disbursement_user"],
        disbursement_api_key=told.momo["disbursement_api_key"],
        callback_host=told.public_base_url.partition("://")[2],
        url_map={told.public_base_url: told.gateway},
        approval_delay=told.approval_delay,
    )
    running = await mtn_momo.start(config)
    return {"url": running.url}, running.stop


async def _mail(told: StandIns) -> tuple[Announced, Stop]:
    running = await mail.start(mail.MailConfig(port=told.ports["mail"], smtp_port=told.ports["smtp"]))
    return {"url": running.url, "smtp_port": running.smtp_port}, running.stop


async def _esxi(told: StandIns) -> tuple[Announced, Stop]:
    machine = told.esxi["machine"]
    disk = DiskSpec(machine["capacity_mib"] * MIB, machine["used_mib"] * MIB)
    folder = Path(told.esxi["folder"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    running = await start_esxi(
        HostSpec(
            folder,
            vms=(VmSpec(machine["name"], (disk,)),),
            password=told.esxi["password"],
            port=told.ports["esxi"],
            control_port=told.ports["esxi_control"],
        )
    )
    return running.announced(), running.stop


STARTERS: dict[str, Callable[[StandIns], Awaitable[tuple[Announced, Stop]]]] = {
    "paypal": _paypal,
    "mtn_momo": _mtn_momo,
    "mail": _mail,
    "esxi": _esxi,
}


async def run(told: StandIns, names: list[str], announce: Path) -> None:
    """Start the named simulators, announce them, run until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    started = await asyncio.gather(*(STARTERS[name](told) for name in names))
    found = dict(zip(names, (facts for facts, _stop in started), strict=True))
    partial = announce.with_suffix(".partial")
    partial.write_text(json.dumps(found))
    os.replace(partial, announce)  # noqa: PTH105 - named for what it is: atomic
    await ended.wait()
    await asyncio.gather(*(stop() for _facts, stop in started))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m devstack.stand_ins", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default=",".join(NAMES), help="which simulators, separated by commas")
    parser.add_argument("--announce", type=Path, required=True, help="where to write their addresses as JSON")
    arguments = parser.parse_args()
    told = StandIns(**json.load(sys.stdin))
    asyncio.run(run(told, arguments.only.split(","), arguments.announce))


if __name__ == "__main__":
    main()
