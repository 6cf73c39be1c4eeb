"""Two organizations, one of them curious: every operation with the other's ids in path, query, body and headers.

`test_bad_input` asks each operation once; here hypothesis mixes own, foreign and missing ids, orders of requests and
headers that claim another tenant, and looks at each answer for anything of the victim's.
"""

import asyncio
import json
import re
import statistics
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from devstack.customer import JSON
from devstack.premises import House
from devstack.refusals import reduced, state_of
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from .test_bad_input import BODIES, NO_ONES, operations, request_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

CLAIMS = ("X-Tenant-Id", "X_Tenant_Id", "X.Tenant.Id", "X-Organization-Id", "X-Org", "Tenant", "X-User-Id", "Cookie")
"""Headers in which some system or other takes a tenant."""

OWN_COMMON = {"disk_key"}
"""Ids that are alike in all organizations and tell nothing."""


def named(path: str, method: str) -> set[str]:
    """Ids that an operation takes in its path and body."""
    return set(re.findall(r"{(\w+)}", path + json.dumps(BODIES.get(f"{method} {path}")))) - NO_ONES


def machine_of(victim: House, intruder: House, document: JSON) -> type[RuleBasedStateMachine]:
    """A machine whose steps are the intruder's requests."""
    asked = [
        (method, path, operation)
        for method, path, operation in operations(document)
        if operation["x-access"]["level"] != "public" and "logout" not in path
    ]
    by_id = [one for one in asked if named(one[1], one[0])]
    queries = [
        (method, path, parameter["name"])
        for method, path, operation in asked
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query" and parameter["name"] in victim.ids
    ]
    secrets = {value for name, value in victim.ids.items() if name not in OWN_COMMON} | {victim.email}

    class Intruder(RuleBasedStateMachine):
        @initialize()
        def open_a_browser(self) -> None:
            self.http = httpx.Client(
                base_url=intruder.gateway,
                headers={"authorization": f"Bearer {intruder.token}"},
                trust_env=False,
                timeout=60,
            )

        def send(self, headers: dict[str, str], **request: Any) -> tuple[Any, ...]:
            answer = self.http.request(**request, headers=headers)
            assert answer.status_code < 500, answer.text
            asked_for = json.dumps(request, default=str) + json.dumps(headers)
            seen = answer.text + str(answer.headers)
            shown = {secret for secret in secrets if secret in seen and secret not in asked_for}
            assert not shown, f"{request} shows {shown}: {answer.text}"
            return answer, answer.status_code

        @rule(
            which=st.sampled_from(by_id),
            foreign=st.sets(st.sampled_from(sorted(victim.ids)), min_size=1),
            own=st.sets(st.sampled_from(sorted(intruder.ids))),
            claim=st.sampled_from([None, *CLAIMS]),
        )
        def use_ids(self, which: Any, foreign: set[str], own: set[str], claim: str | None) -> None:
            method, path, _operation = which
            names = named(path, method)
            theirs = {name for name in names if name in foreign and name not in own} or names - set(intruder.ids)
            if not theirs - OWN_COMMON:
                return
            mine = {name: intruder.ids.get(name, str(uuid4())) for name in victim.ids}
            missing = mine | {name: str(uuid4()) for name in theirs} | {"disk_key": victim.ids["disk_key"]}
            asking = mine | {name: victim.ids[name] for name in theirs} | {"disk_key": victim.ids["disk_key"]}
            headers = {claim: victim.ids["organization_id"]} if claim else {}
            answers = []
            for ids in (asking, missing):
                answer, status = self.send(headers, **request_of(method, path, ids))
                assert not (200 <= status < 300 and method != "GET"), (method, path, answer.text)
                answers.append(reduced(answer, *ids.values()))
            assert answers[0] == answers[1], (method, path, answers)

        @rule(which=st.sampled_from(queries), claim=st.sampled_from([None, *CLAIMS]))
        def filter_by_a_foreign_id(self, which: Any, claim: str | None) -> None:
            method, path, name = which
            headers = {claim: victim.ids["organization_id"]} if claim else {}
            answers = []
            for value in (victim.ids[name], str(uuid4())):
                answer, _status = self.send(headers, method=method, url=path, params={name: value})
                answers.append(reduced(answer, value))
            assert answers[0] == answers[1], (path, answers)

        @rule(
            which=st.sampled_from([one for one in asked if one[0] == "GET" and "{" not in one[1]]),
            claim=st.sampled_from(CLAIMS),
        )
        def list_in_anothers_name(self, which: Any, claim: str) -> None:
            method, path, _operation = which
            plain, claimed = (
                self.send(headers, method=method, url=path)[0]
                for headers in ({}, {claim: victim.ids["organization_id"]})
            )
            assert reduced(plain) == reduced(claimed)

        def teardown(self) -> None:
            if hasattr(self, "http"):
                self.http.close()

    return Intruder


def play(houses: tuple[House, House], document: JSON, *, runs: int, steps: int) -> None:
    """Let the second house loose on the first, whose state must be the same in the end."""
    victim, intruder = houses

    async def everything() -> JSON:
        async with victim.browser() as customer:
            return await state_of(customer)

    before = asyncio.run(everything())
    run_state_machine_as_test(
        machine_of(victim, intruder, document),
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=runs < 20,
            database=None,
        ),
    )
    assert asyncio.run(everything()) == before


@pytest.fixture
def document(endpoints: JSON) -> JSON:
    found: JSON = httpx.get(endpoints["gateway"] + "/openapi.json", trust_env=False, timeout=30).json()
    return found


@pytest.mark.invariant("S8")
@pytest.mark.invariant("S9")
def test_nothing_of_another_organization_is_seen_changed_or_told_from_nothing(houses, document) -> None:
    play(houses, document, runs=6, steps=25)


@pytest.mark.long
@pytest.mark.invariant("S8")
@pytest.mark.invariant("S9")
def test_nothing_of_another_organization_is_seen_however_long_one_tries(houses, document) -> None:
    play(houses, document, runs=80, steps=40)


@pytest.mark.long
@pytest.mark.invariant("S9")
@pytest.mark.parametrize(
    "path",
    [
        "/api/esxi-servers/{server_id}/",
        "/api/backup-jobs/{job_id}/",
        "/api/restore-points/{point_id}/",
        "/api/tenants/orders/{order_id}/",
        "/api/tenants/invoices/{invoice_id}/",
        "/api/tenants/organizations/{organization_id}/",
    ],
)
def test_a_foreign_id_takes_as_long_as_a_missing_one(houses: tuple[House, House], path: str) -> None:
    """200 interleaved pairs, each first every other time; medians within 10 %.

    A busy machine moves a median by more than that now and then; a difference that is in the code is there each time.
    """
    victim, intruder = houses
    headers = {"authorization": f"Bearer {intruder.token}"}
    with httpx.Client(base_url=intruder.gateway, headers=headers, trust_env=False, timeout=60) as http:

        def seconds(ids: dict[str, str]) -> float:
            start = time.perf_counter()
            assert http.get(path.format(**ids)).status_code == 404
            return time.perf_counter() - start

        def ratio() -> float:
            taken: dict[str, list[float]] = {"foreign": [], "missing": []}
            for number in range(210):
                both = [("foreign", victim.ids), ("missing", {name: str(uuid4()) for name in victim.ids})]
                for kind, ids in both if number % 2 else reversed(both):
                    taken[kind].append(seconds(ids))
            foreign, missing = (statistics.median(taken[kind][10:]) for kind in ("foreign", "missing"))
            return foreign / missing

        ratios: list[float] = []
        while not ratios or (not 0.9 <= ratios[-1] <= 1.1 and len(ratios) < 3):
            ratios.append(ratio())
    assert 0.9 <= ratios[-1] <= 1.1, ratios
