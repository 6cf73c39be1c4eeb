"""Transports are chosen by what they can do and what the disk needs."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from backup_engine.ports.hypervisor import Capabilities, DiskSource
from backup_engine.ports.hypervisor_values import Endpoint
from backup_engine.transports import datastore, lease
from backup_engine.transports.selection import MEMORY_SECONDS, Offer, ReadNeed, TransportMemory, ranked, unfit

NEED = ReadNeed(running=False, foreign_snapshots=False, encrypted=False, flat=True, has_snapshot=True, some_areas=False)


async def unopened() -> DiskSource:
    raise AssertionError("only judged here")


def offer(name: str, capabilities: Capabilities, *, needs_snapshot: bool = True) -> Offer:
    opener: Callable[[], Awaitable[DiskSource]] = unopened
    return Offer(name, capabilities, opener, needs_snapshot=needs_snapshot)


LEASE = offer("lease", lease.CAPABILITIES)
DATASTORE = offer("datastore", datastore.CAPABILITIES, needs_snapshot=False)
HOTADD = offer(
    "hotadd",
    Capabilities(random_read=True, running_vm=True, foreign_snapshots=True, any_backing=True, plain_text=True),
)
ALL = [LEASE, DATASTORE, HOTADD]


def order(need: ReadNeed, offers: list[Offer] | None = None) -> list[str]:
    return [one.name for one in ranked(ALL if offers is None else offers, need)]


def test_reading_at_random_is_preferred_where_only_some_areas_are_wanted() -> None:
    assert order(replace(NEED, some_areas=True)) == ["datastore", "hotadd", "lease"]


def test_a_whole_disk_is_streamed_where_that_is_offered() -> None:
    assert order(NEED)[0] == "lease"


def test_a_running_machine_is_never_read_by_a_transport_that_needs_it_off() -> None:
    assert order(replace(NEED, running=True, some_areas=True)) == ["hotadd", "lease"]


@pytest.mark.invariant("D17")
def test_with_a_users_snapshot_no_transport_reads_a_file_that_misses_its_changes() -> None:
    assert order(replace(NEED, foreign_snapshots=True, some_areas=True)) == ["hotadd", "lease"]
    assert unfit(DATASTORE, replace(NEED, foreign_snapshots=True)) == (
        "another snapshot exists, whose disk it would not see"
    )


@pytest.mark.invariant("D38")
def test_an_encrypted_machine_is_never_read_as_ciphertext() -> None:
    assert order(replace(NEED, encrypted=True)) == ["hotadd"]
    assert order(replace(NEED, encrypted=True), [LEASE, DATASTORE]) == []


def test_a_delta_disk_is_not_read_as_a_flat_file_and_a_template_not_by_snapshot() -> None:
    assert "datastore" not in order(replace(NEED, flat=False, some_areas=True))
    assert order(replace(NEED, has_snapshot=False)) == ["datastore"]


@pytest.mark.invariant("D37")
def test_what_a_host_refused_is_remembered_for_that_host_and_transport_only_and_for_a_time() -> None:
    now = 0.0
    memory = TransportMemory(clock=lambda: now)
    memory.remember(Endpoint("esxi-1"), "datastore", "locked")
    assert memory.recall(Endpoint("esxi-1"), "datastore") == "locked"
    assert memory.recall(Endpoint("esxi-2"), "datastore") is None
    assert memory.recall(Endpoint("esxi-1"), "lease") is None
    now = MEMORY_SECONDS
    assert memory.recall(Endpoint("esxi-1"), "datastore") is None
