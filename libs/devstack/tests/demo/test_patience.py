"""The demo waits for a job as long as it moves or rests, however slow, and no longer."""

from typing import Any

import pytest
import respx
from devstack.customer import Customer
from devstack.demo.patience import REST_SECONDS, STILL_SECONDS, Patience, Stuck, ended


def job(status: str = "running", **task: Any) -> dict[str, Any]:
    return {"status": status, "tasks": [{"status": status, "error": None, "attempts": 1, "bytes_read": 0} | task]}


def resting(attempts: int) -> dict[str, Any]:
    return job("waiting", error={"code": "lease_failed"}, attempts=attempts)


def test_a_job_that_moves_is_waited_for_however_slow() -> None:
    patience = Patience()
    for turn in range(1000):
        patience.check(job(bytes_read=turn), turn * STILL_SECONDS)


def test_a_job_that_stands_still_is_given_up() -> None:
    patience = Patience()
    patience.check(job(bytes_read=7), 0.0)
    patience.check(job(bytes_read=7), STILL_SECONDS)
    with pytest.raises(Stuck, match="no change"):
        patience.check(job(bytes_read=7), STILL_SECONDS + 1)


@pytest.mark.parametrize(("attempts", "rest"), list(enumerate(REST_SECONDS, start=1)))
def test_the_rest_after_a_failed_attempt_is_no_standstill(attempts: int, rest: float) -> None:
    patience = Patience()
    patience.check(resting(attempts), 0.0)
    patience.check(resting(attempts), rest + STILL_SECONDS)
    with pytest.raises(Stuck):
        patience.check(resting(attempts), rest + STILL_SECONDS + 1)


def test_a_task_that_waits_for_its_first_attempt_does_not_rest() -> None:
    patience = Patience()
    patience.check(job("waiting", attempts=0), 0.0)
    with pytest.raises(Stuck):
        patience.check(job("waiting", attempts=0), STILL_SECONDS + 1)


async def test_the_job_is_watched_to_its_end(respx_mock: respx.MockRouter) -> None:
    left = [job(), job(bytes_read=1), job("completed")]
    respx_mock.get("http://gateway.test/api/backup-jobs/j1/").mock(
        side_effect=lambda _request: respx.MockResponse(200, json=left.pop(0))
    )
    watched: list[str] = []
    async with Customer("http://gateway.test", "a@b.example", "secret") as customer:
        done = await ended(customer, "/api/backup-jobs/j1/", lambda seen: watched.append(seen["status"]))
    assert (done["status"], watched) == ("completed", ["running", "running", "completed"])
