"""Producers' examples against consumers' readers: nothing shared but the contract."""

import pytest
from backup_engine import events as backup_engine_events
from backup_engine.messaging.handlers import subscriptions as backup_engine_takes
from billing import events as billing_events
from billing.messaging.handlers import subscriptions as billing_takes
from common.messaging import Fact, Subscriptions
from gateway.proxy.revocations import HEARD as gateway_hears
from tenancy import events as tenancy_events
from tenancy.messaging.handlers import subscriptions as tenancy_takes

FACTS: list[tuple[str, type[Fact]]] = [
    (source, fact)
    for source, module in {
        "billing": billing_events,
        "tenancy": tenancy_events,
        "backup-engine": backup_engine_events,
    }.items()
    for fact in module.FACTS
]
CONSUMERS: tuple[Subscriptions, ...] = (billing_takes, backup_engine_takes, tenancy_takes(None))
LISTENERS: tuple[Subscriptions, ...] = (gateway_hears,)
"""Who hears facts as they pass: what is published needs a taker that keeps it, all the same."""


@pytest.mark.invariant("S47")
@pytest.mark.parametrize(("source", "fact"), FACTS, ids=lambda value: getattr(value, "__name__", value))
def test_every_published_fact_has_a_taker_so_that_none_stays_in_an_outbox(source: str, fact: type[Fact]) -> None:
    takers = [taken.consumer for taken in CONSUMERS if taken.find(source, fact.event_type())]
    assert takers, f"{source} publishes {fact.event_type()} and nobody takes it"


@pytest.mark.invariant("S49")
@pytest.mark.parametrize(("source", "fact"), FACTS, ids=lambda value: getattr(value, "__name__", value))
def test_every_reader_understands_the_producers_example(source: str, fact: type[Fact]) -> None:
    example = fact.example().model_dump(mode="json")
    read = 0
    for taken in (*CONSUMERS, *LISTENERS):
        subscription = taken.find(source, fact.event_type())
        if subscription is not None and subscription.reader is not None:
            subscription.reader.model_validate(example | {"a_field_of_a_later_version": 1})
            read += 1
    assert read or all(
        subscription is None or subscription.handler is None
        for subscription in (taken.find(source, fact.event_type()) for taken in (*CONSUMERS, *LISTENERS))
    )
