"""The noise of a seed is data, the same each time, and leaves no kind of fault out."""

import pytest
from devstack.noise.plan import PROVIDER_ERRORS, READING, STREAMED, WRITING, Noise
from simulators.esxi.faults import Rule as EsxiRule
from simulators.faults import Rule as ProviderRule

SEEDS = range(1, 41)


@pytest.fixture(params=SEEDS)
def noise(request) -> Noise:
    return Noise.of(request.param)


def test_a_seed_makes_the_same_noise_again(noise) -> None:
    assert Noise.of(noise.seed) == noise


def test_every_kind_of_fault_acts_once_at_a_host(noise) -> None:
    rules = [EsxiRule.parse(rule) for rules in noise.esxi.values() for rule in rules]
    assert sorted(rule.match for rule in rules) == ["/folder/*-flat.vmdk", "/nfc/*", "/nfc/*"]
    assert {"cut", "rate"} <= {rule.action for rule in rules}
    assert all(rule.times == 1 for rule in rules)
    assert noise.expired_during in STREAMED


def test_callbacks_get_lost_webhooks_repeat_and_one_provider_fails_once(noise) -> None:
    rules = [ProviderRule.parse(rule) for rules in noise.providers.values() for rule in rules]
    assert [rule.drop for rule in rules if rule.match == {"event": "SUCCESSFUL"}] == ["before"]
    assert sum(rule.reorder for rule in rules) == 1
    assert [rule.status for rule in rules if rule.target == "request"] == [503]
    assert max(rule.duplicate for rule in rules) >= 1


def test_the_store_refuses_while_a_backup_writes_and_while_a_restore_reads(noise) -> None:
    assert sorted((told.call, step) for step, told in noise.store.items()) == sorted(
        ("put" if step in WRITING else "get", step) for step in noise.store
    )
    assert {step in READING for step in noise.store} == {True, False}
    assert all(told.times >= 1 for told in noise.store.values())


def test_no_kind_of_fault_is_missing_from_what_is_planned(noise) -> None:
    datastore = {kind for kind in noise.planned if kind.startswith("datastore")}
    assert len(datastore) == 1
    assert set(noise.planned) - datastore == {
        "sessions expired",
        "store 503",
        "lease slow",
        "lease cut",
        "callback lost",
        "webhook late",
        "webhook repeated",
        "provider 503",
    }


def test_seeds_differ_in_where_and_whom_it_hits() -> None:
    drawn = [Noise.of(seed) for seed in SEEDS]
    assert {noise.expired_during for noise in drawn} == set(STREAMED)
    assert {noise.said[5] for noise in drawn} == {words for _name, words, _match in PROVIDER_ERRORS}
    assert {noise.guest_mib_s for noise in drawn} == {None, 1.0, 4.0}


def test_a_stream_that_is_cut_is_slow_when_it_is_read_again() -> None:
    both = [noise for seed in SEEDS for noise in [Noise.of(seed)] if len(noise.esxi[noise.expired_during]) == 2]
    assert both
    for noise in both:
        cut, slow = noise.esxi[noise.expired_during]
        assert (cut["action"], slow["action"], slow["skip"]) == ("cut", "rate", 1)
