"""States of jobs and tasks."""

import pytest
from backup_engine.domain.job import ENDED, TRANSITIONS, JobStatus, Outcome, TaskStatus, before, job_status

DONE, FAILED, GONE = (Outcome(s) for s in (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED))


@pytest.mark.parametrize(
    ("tasks", "status"),
    [
        ([Outcome(TaskStatus.WAITING)], JobStatus.PENDING),
        ([Outcome(TaskStatus.READY), Outcome(TaskStatus.WAITING)], JobStatus.PENDING),
        ([Outcome(TaskStatus.WAITING, started=True)], JobStatus.RUNNING),
        ([DONE, Outcome(TaskStatus.WAITING)], JobStatus.RUNNING),
        ([DONE, DONE], JobStatus.COMPLETED),
        ([DONE, Outcome(TaskStatus.COMPLETED, warned=True)], JobStatus.COMPLETED_WITH_WARNINGS),
        ([DONE, FAILED], JobStatus.COMPLETED_WITH_WARNINGS),
        ([FAILED, GONE], JobStatus.FAILED),
        ([GONE, DONE], JobStatus.CANCELLED),
    ],
)
def test_a_job_is_what_its_tasks_are(tasks: list[Outcome], status: JobStatus) -> None:
    assert job_status(tasks) is status


def test_nothing_leaves_an_ended_state_and_every_other_has_a_way_out() -> None:
    for status, targets in TRANSITIONS.items():
        assert bool(targets) is (status not in ENDED)


def test_a_cancelled_task_was_not_committing() -> None:
    assert TaskStatus.COMMITTING not in before(TaskStatus.CANCELLED)
    assert set(before(TaskStatus.COMMITTING)) == {TaskStatus.RUNNING}
