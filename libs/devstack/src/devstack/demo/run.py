"""Plays the demo on a running stack."""

import asyncio
import secrets
from typing import Any

from devstack.customer import JSON, Customer
from devstack.demo import backups, intruder, purchase
from devstack.demo.esxi import EsxiControl
from devstack.demo.report import Report

SECOND_WRITE, THIRD_WRITE = 0.02, 0.01
"""What the guest writes before the second and before the third backup, as fractions of what it uses."""


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
        ids = await _protect_and_restore(first, report, endpoints["esxi"][0])
        await buying
        invoices = (await first.get("/api/tenants/invoices/"))["results"]
        ids |= {"invoice": invoices[0]["id"], "order": organization["order_id"], "organization": organization["id"]}
        report.refusals = await intruder.reads_nothing(second, ids)
        refused = sum(report.refusals.values())
        report.say(
            f"the second organization asked for {len(ids)} things of the first; {refused} were as if they were not"
        )


async def _protect_and_restore(customer: Customer, report: Report, host: JSON) -> dict[str, str]:
    """Back up three times, restore two points; return the ids that nobody else may read."""
    control = EsxiControl(host["control"])
    machine = await backups.connect(customer, report, host)
    configuration = await backups.protect(customer, machine)
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
        task = await backups.back_up(customer, report, machine, configuration, name, allocated)
        recorded.append(await control.recorded(task["id"], machine.disk_key))
        tasks.append(task)
    await backups.restore_to_new_machine(customer, report, control, machine, tasks[1]["restore_point_id"], recorded[1])
    await backups.restore_to_files(customer, report, machine, tasks[2]["restore_point_id"], recorded[2])
    return {
        "server": machine.server_id,
        "virtual machine": machine.id,
        "job": tasks[0]["job_id"],
        "restore point": tasks[0]["restore_point_id"],
    }
