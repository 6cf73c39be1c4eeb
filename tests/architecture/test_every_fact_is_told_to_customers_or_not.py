"""About each fact it is decided whether customers can hear of it by webhook; one that they can reaches tenancy."""

import pytest
from backup_engine import events as backup_engine_events
from billing import events as billing_events
from common.messaging import Fact
from tenancy import events as tenancy_events
from tenancy.domain.webhooks import EVENTS, WITHHELD
from tenancy.messaging.handlers import subscriptions as tenancy_takes

PUBLISHED: dict[str, tuple[type[Fact], ...]] = {
    "tenancy": tenancy_events.FACTS,
    "billing": billing_events.FACTS,
    "backup-engine": backup_engine_events.FACTS,
}


@pytest.mark.parametrize("source", PUBLISHED)
def test_every_fact_is_told_to_customers_or_withheld_for_a_reason(source: str) -> None:
    published = {fact.event_type() for fact in PUBLISHED[source]}
    undecided = published - set(EVENTS[source]) - set(WITHHELD)
    assert not undecided, "name them in EVENTS or, with the reason, in WITHHELD of tenancy/domain/webhooks.py"
    assert set(EVENTS[source]) <= published, "nobody publishes these"
    assert all(WITHHELD.values())


@pytest.mark.parametrize("source", PUBLISHED)
def test_what_customers_can_hear_of_is_taken_in(source: str) -> None:
    taken = tenancy_takes(None)
    assert [told for told in EVENTS[source] if taken.find(source, told) is None] == []
