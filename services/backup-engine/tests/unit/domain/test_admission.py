"""Admission under limits, and fairness between organizations."""

from collections import Counter
from uuid import UUID

import pytest
from backup_engine.domain.admission import Candidate, Limits, admit
from common.ids import uuid7
from hypothesis import given
from hypothesis import strategies as st

IDS = [UUID(int=number + 1) for number in range(6)]
CANDIDATES = st.lists(
    st.builds(
        Candidate,
        tenant_id=st.sampled_from(IDS[:3]),
        task_id=st.uuids(),
        server_id=st.sampled_from(IDS),
        datastore=st.sampled_from([None, "a", "b"]),
        vm_id=st.one_of(st.none(), st.sampled_from(IDS)),
    ),
    max_size=60,
    unique_by=lambda candidate: candidate.task_id,
)
LIMITS = st.builds(
    Limits,
    per_server=st.integers(1, 4),
    per_datastore=st.integers(1, 4),
    per_organization=st.integers(1, 6),
    in_all=st.integers(1, 20),
)


@pytest.mark.invariant("D66")
@given(waiting=CANDIDATES, limits=LIMITS)
def test_limits_hold_for_host_datastore_organization_machine_and_all(waiting: list[Candidate], limits: Limits) -> None:
    chosen = admit(waiting, [], limits)
    assert len(chosen) <= limits.in_all
    assert max(Counter(one.tenant_id for one in chosen).values(), default=0) <= limits.per_organization
    assert max(Counter(one.server_id for one in chosen).values(), default=0) <= limits.per_server
    storages = Counter(one.storage for one in chosen if one.storage is not None)
    assert max(storages.values(), default=0) <= limits.per_datastore
    machines = Counter(one.vm_id for one in chosen if one.vm_id is not None)
    assert max(machines.values(), default=0) <= 1
    assert {one.task_id for one in chosen} <= {one.task_id for one in waiting}


@given(waiting=CANDIDATES, limits=LIMITS)
def test_no_place_stays_empty_that_a_waiting_task_could_take(waiting: list[Candidate], limits: Limits) -> None:
    chosen = admit(waiting, [], limits)
    rest = [one for one in waiting if one not in chosen]
    assert admit(rest, chosen, limits) == []


@pytest.mark.invariant("D66")
def test_a_thousand_tasks_of_one_organization_do_not_keep_another_waiting() -> None:
    loud, quiet = uuid7(), uuid7()
    crowd = [Candidate(loud, uuid7(), uuid7(), None) for _ in range(1000)]
    single = Candidate(quiet, uuid7(), uuid7(), None)
    chosen = admit([*crowd, single], [], Limits(per_organization=8, in_all=4))
    assert single in chosen[:2]
    assert len(chosen) == 4


def test_an_organizations_oldest_task_that_fits_goes_first() -> None:
    tenant, busy, free = uuid7(), uuid7(), uuid7()
    taken = [Candidate(tenant, uuid7(), busy, None)]
    blocked, older, newer = (Candidate(tenant, uuid7(), server, None) for server in (busy, free, free))
    assert admit([blocked, older, newer], taken, Limits(per_server=1)) == [older]
