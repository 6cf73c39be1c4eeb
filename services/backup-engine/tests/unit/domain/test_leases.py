"""Lease and fencing arithmetic."""

from datetime import timedelta

import pytest
from backup_engine.domain.lease import (
    FENCE_MARGIN,
    LEASE,
    LONGEST_LEASE,
    RENEW_EVERY,
    SHORTEST_LEASE,
    Fence,
    loss_counts,
)
from backup_engine.errors import LeaseTooOld

GIB = 1 << 30


class Monotonic:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.invariant("D73")
@pytest.mark.parametrize("lease", [SHORTEST_LEASE, LEASE, LONGEST_LEASE])
def test_a_runner_stops_fifteen_seconds_before_the_lease_of_its_last_renewal_can_be_over(lease: timedelta) -> None:
    clock = Monotonic()
    fence = Fence(lease, clock)
    fence.renewed(sent_at=1000.0)
    clock.now = 1000.0 + (lease - FENCE_MARGIN).total_seconds() - 0.001
    fence.check()
    clock.now += 0.002
    with pytest.raises(LeaseTooOld):
        fence.check()


def test_three_lost_renewals_raise_no_fence_under_the_shortest_lease_that_settings_allow() -> None:
    clock = Monotonic()
    fence = Fence(SHORTEST_LEASE, clock)
    fence.renewed(sent_at=1000.0)
    clock.now = 1000.0 + (4 * RENEW_EVERY).total_seconds()
    fence.check()


def test_the_lease_counts_from_the_sending_of_the_renewal_not_from_its_answer() -> None:
    clock = Monotonic()
    fence = Fence(LEASE, clock)
    fence.renewed(sent_at=1000.0)
    clock.now = 1060.0  # the answer to the renewal that was sent at 1010 comes now
    fence.renewed(sent_at=1010.0)
    assert fence.remaining() == pytest.approx(1010 + 90 - 15 - 1060)


def test_an_answer_out_of_order_never_shortens_the_lease() -> None:
    clock = Monotonic()
    fence = Fence(LEASE, clock)
    fence.renewed(sent_at=1010.0)
    fence.renewed(sent_at=1000.0)
    assert fence.remaining() == pytest.approx(85.0)


def test_a_fence_that_was_never_renewed_is_up() -> None:
    with pytest.raises(LeaseTooOld):
        Fence(timedelta(seconds=90)).check()


@pytest.mark.parametrize(
    ("before", "now", "expected", "counts"),
    [
        (0, 0, 10 * GIB, True),
        (0, GIB, 1000 * GIB, False),
        (0, GIB - 1, 1000 * GIB, True),
        (0, GIB // 10, 10 * GIB, False),  # 1 % of 10 GiB
        (5 * GIB, 5 * GIB + 1000, 10 * GIB, True),
        (0, 0, 0, True),
    ],
)
def test_a_loss_counts_only_without_a_gibibyte_or_a_percent_of_progress(
    before: int, now: int, expected: int, counts: bool
) -> None:
    assert loss_counts(before, now, expected) is counts
