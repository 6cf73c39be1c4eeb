"""A seed fails for what is wrong once, and does not stop the seeds after it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import respx
from devstack.customer import Customer
from devstack.demo.report import RestoreLine
from devstack.noise import purchases, seeds
from devstack.noise.plan import Noise
from devstack.noise.store import SlowDownStore

GATEWAY, PAYPAL = "http://gateway.test", "http://paypal.test"
ORDER = {"id": "o1", "customer_name": "Entreprise XYZ", "total_amount": "25000.00"}
ORGANIZATION = {"name": "Entreprise XYZ", "status": "active"}
INVOICE = {"order_id": "o1", "total_amount": "25000.00"}


@pytest.fixture
async def customer() -> AsyncIterator[Customer]:
    async with Customer(GATEWAY, "a@b.example", "secret") as one:
        yield one


def answering(router: respx.Router, organizations: list[Any], invoices: list[Any]) -> None:
    router.post(f"{GATEWAY}/api/auth/login/").respond(json={"access_token": "t"})
    router.get(f"{GATEWAY}/api/tenants/organizations/").respond(json={"results": organizations})
    router.get(f"{GATEWAY}/api/tenants/invoices/").respond(json={"results": invoices})


async def test_a_purchase_that_is_there_once_is_right(customer, respx_mock) -> None:
    answering(respx_mock, [ORGANIZATION], [INVOICE])
    await purchases._right_once(customer, ORDER)
    assert respx_mock.calls.call_count == 3


@pytest.mark.parametrize(
    ("organizations", "invoices"),
    [
        ([ORGANIZATION, ORGANIZATION], [INVOICE]),
        ([], [INVOICE]),
        ([ORGANIZATION | {"status": "suspended"}], [INVOICE]),
        ([ORGANIZATION], [INVOICE, INVOICE]),
        ([ORGANIZATION], [INVOICE | {"total_amount": "1.00"}]),
    ],
)
async def test_a_purchase_that_is_there_twice_or_otherwise_is_wrong(
    customer, respx_mock, organizations, invoices
) -> None:
    answering(respx_mock, organizations, invoices)
    with pytest.raises(purchases.BoughtWrong):
        await purchases._right_once(customer, ORDER)


async def test_webhooks_that_were_not_taken_are_waited_for_in_vain(respx_mock, monkeypatch) -> None:
    monkeypatch.setattr(purchases, "TOLD_SECONDS", 0.0)
    told = [
        {"type": "CHECKOUT.ORDER.APPROVED", "event": {"id": "THEIRS"}, "deliveries": [200]},
        {"type": "PAYMENT.CAPTURE.COMPLETED", "event": {"id": "THEIRS"}, "deliveries": [500, 200]},
    ]
    respx_mock.get(f"{PAYPAL}/_sim/events").respond(json={"results": told})
    with pytest.raises(TimeoutError):
        await purchases._all_told(PAYPAL, "THEIRS")


async def verdicts_of(*played: int) -> list[seeds.Verdict]:
    return [verdict async for verdict in seeds.play_all({}, played, Path(), SlowDownStore())]


@pytest.mark.parametrize(
    "error", [purchases.BoughtWrong("twice"), ExceptionGroup("", [purchases.BoughtWrong("twice")])]
)
async def test_a_seed_that_fails_is_told_and_the_next_is_played(monkeypatch, error) -> None:
    async def one(_endpoints: Any, verdict: seeds.Verdict, *_: Any) -> None:
        if verdict.noise.seed == 1:
            raise error
        all_that_was_planned(verdict)

    monkeypatch.setattr(seeds, "_one", one)
    first, second = await verdicts_of(1, 2)
    assert (first.good, first.wrong) == (False, ["BoughtWrong: twice"])
    assert second.good
    assert "seed   1: WRONG" in first.told()
    assert "seed   2: ok" in second.told()


def all_that_was_planned(verdict: seeds.Verdict) -> None:
    verdict.injected.update(verdict.noise.planned)
    verdict.seen["logged in again"] += 1


def test_a_fault_that_was_planned_and_did_not_take_effect_is_wrong() -> None:
    verdict = seeds.Verdict(Noise.of(1))
    all_that_was_planned(verdict)
    verdict.injected["lease cut"] -= 1
    verdict.judge()
    assert verdict.wrong == ["lease cut: 1 of 1 did not take effect"]


def test_sessions_that_expired_unnoticed_are_wrong() -> None:
    verdict = seeds.Verdict(Noise.of(1))
    all_that_was_planned(verdict)
    del verdict.seen["logged in again"]
    verdict.judge()
    assert verdict.wrong == ["sessions expired, and nobody noticed"]


def test_a_restore_that_differs_is_wrong() -> None:
    verdict = seeds.Verdict(Noise.of(1))
    all_that_was_planned(verdict)
    verdict.report.restores.append(RestoreLine("point 2", "new VM 7", 1, 1.0, identical=False))
    verdict.judge()
    assert verdict.wrong == ["restore of point 2 to new VM 7 differs from what was recorded"]


def test_a_seed_that_failed_keeps_what_explains_it(tmp_path) -> None:
    verdict = seeds.Verdict(Noise.of(7), wrong=["BoughtWrong: twice"], host_calls=[{"name": "Login"}])
    kept = verdict.keep(tmp_path / "seed-7", "what the parts said")
    assert "twice" in (kept / "told.txt").read_text()
    assert (kept / "parts.log").read_text() == "what the parts said"
    assert "Login" in (kept / "host.json").read_text()


async def test_what_a_finished_job_leaves_on_the_host_is_wrong(monkeypatch, respx_mock) -> None:
    monkeypatch.setattr(seeds, "TIDY_SECONDS", 0.0)
    machine = {"name": "web-01", "snapshots": [{"name": "ebm-x-1.1"}]}
    respx_mock.get("http://host.test/_sim/vms").respond(json={"results": [machine]})
    respx_mock.get("http://host.test/_sim/leases").respond(json={"results": []})
    with pytest.raises(seeds.LeftOver, match=r"ebm-x-1\.1"):
        await seeds._tidy(seeds.EsxiControl("http://host.test"))
