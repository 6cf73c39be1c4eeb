"""Plays the demo on a running stack."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

from devstack.customer import JSON, Customer
from devstack.demo import backups, intruder, purchase
from devstack.demo.esxi import EsxiControl
from devstack.demo.report import Report

SECOND_WRITE, THIRD_WRITE = 0.02, 0.01
"""What the guest writes before the second and before the third backup, as fractions of what it uses."""

Around = Callable[[str, str], AbstractAsyncContextManager[None]]
"""What happens around a step, by its name and the machine's moid: nothing in the demo, faults in `demo-noise`."""


async def play(endpoints: dict[str, Any], report: Report) -> None:
    """Do the main job once; what was found is in ``report``."""
    gateway = endpoints["gateway"]
    password = secrets.token_urlsafe(18)
    first = Customer(gateway, "contact@xyz.example", password)
    second = Customer(gateway, "contact@abc.example", password)
    async with first, second:
        buying = asyncio.create_task(purchase.by_paypal(second, report, "Entreprise ABC"))
        with report.step("purchase"):
            organization = await purchase.by_mobile_money(first, report, "Entreprise XYZ")
        ids = await protect_and_restore(first, report, endpoints["esxi"][0])
        await buying
        invoices = (await first.get("/api/tenants/invoices/"))["results"]
        ids |= {"invoice": invoices[0]["id"], "order": organization["order_id"], "organization": organization["id"]}
        report.refusals = await intruder.reads_nothing(second, ids)
        refused = sum(report.refusals.values())
        report.say(
            f"the second organization asked for {len(ids)} things of the first; {refused} were as if they were not"
        )


def quietly(_step: str, _moid: str) -> AbstractAsyncContextManager[None]:
    """Let nothing happen around a step."""
    return nullcontext()


async def protect_and_restore(
    customer: Customer, report: Report, host: JSON, around: Around = quietly
) -> dict[str, str]:
    """Back up three times, restore two points; return the ids that nobody else may read."""
    control = EsxiControl(host["control"])
    machine = await backups.connect(customer, report, host)
    configuration = await backups.protect(customer, machine)
    copy = secrets.token_hex(8)
    recorded: list[str] = []
    tasks: list[JSON] = []
    for number, (name, fraction) in enumerate(
        (("first", 0.0), ("second", SECOND_WRITE), ("third", THIRD_WRITE)), start=1
    ):
        if fraction:
            await control.write(machine.moid, fraction, seed=number)
            report.say(f"the guest wrote about {fraction:.0%} of its data, scattered")
        if number == 3:
            await customer.post(f"/api/virtual-machines/{machine.id}/power/", {"action": "shutdown"})
            report.say("the guest was shut down")
        allocated = await control.allocated(machine.moid, machine.disk_key)
        if number == 2:
            await control.keep(machine.moid, machine.disk_key, copy)
        async with around(name, machine.moid):
            task = await backups.back_up(customer, report, machine, configuration, name, allocated)
        recorded.append(await control.recorded(task["id"], machine.disk_key))
        tasks.append(task)
    # The guest goes on after the second backup and stands still after the third.
    second = backups.Wanted(tasks[1]["restore_point_id"], recorded[1], partial(control.kept, copy))
    now = partial(control.bytes_of, machine.moid, machine.disk_key)
    third = backups.Wanted(tasks[2]["restore_point_id"], recorded[2], now)
    async with around("new machine", machine.moid):
        await backups.restore_to_new_machine(customer, report, control, machine, second)
    async with around("disk files", machine.moid):
        await backups.restore_to_files(customer, report, machine, third)
    return {
        "server": machine.server_id,
        "virtual machine": machine.id,
        "job": tasks[0]["job_id"],
        "restore point": tasks[0]["restore_point_id"],
    }
