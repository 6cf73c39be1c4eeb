"""Rate limits: how they count, for whom, and together with other replicas."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from common.ids import uuid7
from gateway.errors import TooManyRequests
from gateway.proxy.rate_limits import Counter, CounterOfProcess, Demand, Limit, RateLimits, share_of
from gateway.proxy.shared_limits import CounterInRedis
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"


@pytest.fixture(params=["process", "redis"])
async def counter(request: pytest.FixtureRequest) -> AsyncIterator[Counter]:
    if request.param == "process":
        yield CounterOfProcess(lambda: 1000.0)
        return
    shared = CounterInRedis(request.getfixturevalue("redis_url"), CounterOfProcess(), 20)
    yield shared
    await shared.close()


def limits(counter: Counter, **per_minute: int) -> Callable[..., object]:
    return RateLimits(counter, per_minute).take


async def taken(take: Callable[..., object], times: int, **keys: str) -> int:
    """How many of so many requests at once are let pass."""
    found = await asyncio.gather(*(take(**keys) for _ in range(times)), return_exceptions=True)
    assert all(isinstance(one, list | TooManyRequests) for one in found), found
    return sum(isinstance(one, list) for one in found)


@pytest.mark.invariant("S66")
async def test_a_burst_passes_then_no_more_and_other_keys_have_their_own(counter: Counter) -> None:
    take, one, other = limits(counter, person=20), str(uuid7()), str(uuid7())
    assert await taken(take, 60, person=one) == 5
    assert await taken(take, 60, person=other) == 5


async def test_who_is_refused_is_told_when_to_come_again_and_then_served(counter: Counter) -> None:
    take, key = limits(counter, person=1200), str(uuid7())
    assert await taken(take, 400, person=key) >= 300
    with pytest.raises(TooManyRequests) as refused:
        for _ in range(5):
            await take(person=key)
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after.total_seconds() <= 0.05
    assert dict(refused.value.headers)[b"ratelimit"].startswith(b'"person";r=0;t=')


@pytest.mark.invariant("S66")
async def test_a_request_that_one_limit_refuses_counts_against_none(counter: Counter) -> None:
    take, organization = limits(counter, person=20, organization=40), str(uuid7())
    greedy, modest = str(uuid7()), str(uuid7())
    assert await taken(take, 30, person=greedy, organization=organization) == 5
    assert await taken(take, 30, person=modest, organization=organization) == 5
    assert await taken(take, 30, person=str(uuid7()), organization=organization) == 0


async def test_the_fields_tell_of_the_limit_that_is_nearest(counter: Counter) -> None:
    take = limits(counter, person=60, organization=2400)
    fields = dict(await take(person=str(uuid7()), organization=str(uuid7())))  # type: ignore[misc]
    assert fields == {b"ratelimit-policy": b'"person";q=15;w=15', b"ratelimit": b'"person";r=14;t=1'}


@pytest.mark.invariant("S66")
async def test_replicas_count_together(redis_url: str) -> None:
    replicas = [CounterInRedis(redis_url, CounterOfProcess(), 20) for _ in range(3)]
    key = str(uuid7())
    passed = await asyncio.gather(*(taken(limits(one, person=40), 50, person=key) for one in replicas))
    assert sum(passed) in {10, 11}, "ten at once, and perhaps one that fell due meanwhile"
    await asyncio.gather(*(one.close() for one in replicas))


async def test_while_redis_is_away_each_replica_counts_for_itself() -> None:
    lonely = CounterInRedis("redis://127.0.0.1:9/0", CounterOfProcess())
    assert await taken(limits(lonely, person=20), 30, person=str(uuid7())) == 5
    await lonely.close()


@given(st.integers(1, 100_000), st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_no_pace_gets_more_than_the_burst_and_the_rate(per_minute: int, pauses: list[float]) -> None:
    limit, now, due, passed = Limit("person", per_minute), 0.0, 0.0, 0
    for pause in pauses:
        now += pause
        ahead = max(due, now) + limit.interval - now
        share = share_of(limit, ahead)
        assert 0 <= share.remaining < limit.burst
        if not share.wait_seconds:
            due, passed = now + ahead, passed + 1
    assert passed <= limit.burst + now / limit.interval + 1


async def test_even_pace_is_never_refused() -> None:
    clock = [0.0]
    counter = CounterOfProcess(lambda: clock[0])
    demand = [Demand(Limit("person", 600), "a")]
    for _ in range(1000):
        clock[0] += 0.1
        assert (await counter.take(demand))[0].wait_seconds == 0


@pytest.mark.invariant("S66")
@pytest.mark.parametrize("overrides", [{"organization_per_minute": 20}], indirect=True)
async def test_an_organization_at_its_limit_is_refused_whoever_asks_for_it_and_another_is_not(stack) -> None:
    busy, quiet = uuid7(), uuid7()
    answers = [await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=busy)) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    refused = answers[-1]
    assert (refused.json()["code"], refused.json()["limit"]) == ("too_many_requests", "organization")
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["ratelimit"].startswith('"organization";r=0')
    allowed = await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=quiet))
    assert (allowed.status_code, allowed.headers["ratelimit"]) == (200, '"organization";r=4;t=3')
    assert len(stack.engine.seen) == 6


@pytest.mark.invariant("S66")
@pytest.mark.parametrize("overrides", [{"requests_per_minute": 20}], indirect=True)
async def test_a_person_is_limited_over_all_his_sessions(stack) -> None:
    user, tenant = str(uuid7()), uuid7()

    async def asks() -> int:
        return (await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=tenant, sub=user))).status_code

    assert [await asks() for _ in range(7)] == [200] * 5 + [429] * 2


@pytest.mark.invariant("S66")
@pytest.mark.parametrize("overrides", [{"organization_per_minute": 20}], indirect=True)
async def test_an_organization_that_a_session_names_is_limited_too(stack) -> None:
    tenant, answers = uuid7(), []
    for _ in range(7):
        user, session = str(uuid7()), str(uuid7())
        stack.tenancy.sessions[session] = {"user": user, "tenant": str(tenant), "roles": [], "revoked": False}
        answers.append(await stack.client.get(JOBS, headers=stack.tenancy.headers(sub=user, sid=session)))
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2


@pytest.mark.parametrize("overrides", [{"refused_per_minute": 20}], indirect=True)
async def test_tokens_are_tried_in_vain_a_few_times_and_good_ones_go_on(stack) -> None:
    bad = {"authorization": "Bearer " + stack.tenancy.token(aud="else")}
    statuses = [(await stack.client.get(JOBS, headers=bad)).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    assert (await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=uuid7()))).status_code == 200


@pytest.mark.parametrize("overrides", [{"public_per_minute": 20}], indirect=True)
async def test_an_address_that_a_client_claims_is_not_believed(stack) -> None:
    plans, statuses = "/api/tenants/plans/", []
    for number in range(7):
        claimed = {"x-forwarded-for": f"192.0.2.{number}", "forwarded": f"for=192.0.2.{number}"}
        statuses.append((await stack.client.get(plans, headers=claimed)).status_code)
    assert statuses == [200] * 5 + [429] * 2
    assert {tuple(seen.values("x-forwarded-for")) for seen in stack.billing.seen} == {("127.0.0.1",)}


@pytest.mark.parametrize(
    "overrides", [{"public_per_minute": 20, "trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}], indirect=True
)
async def test_behind_our_load_balancers_each_client_has_his_own_limit(stack) -> None:
    async def ask(hops: str) -> int:
        return (await stack.client.get("/api/tenants/plans/", headers={"x-forwarded-for": hops})).status_code

    assert [await ask(f"198.51.100.{n}, 192.0.2.1, 10.1.2.3") for n in range(7)] == [200] * 5 + [429] * 2
    assert await ask("192.0.2.2") == 200
    assert stack.billing.seen[0].values("x-forwarded-for") == ["192.0.2.1"]
    assert stack.billing.seen[-1].values("x-forwarded-for") == ["192.0.2.2"]
