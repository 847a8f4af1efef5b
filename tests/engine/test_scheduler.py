from __future__ import annotations

from edged.engine.scheduler import RoundRobin


def anything(job: str) -> bool:
    return True


def test_active_jobs_take_turns() -> None:
    jobs = RoundRobin[str](max_active=2)
    for job in "abc":
        jobs.submit(job)
    assert [jobs.admit(anything), jobs.admit(anything), jobs.admit(anything)] == ["a", "b", None]
    assert [jobs.next_turn() for _ in range(4)] == ["a", "b", "a", "b"]
    jobs.remove("a")
    assert jobs.admit(anything) == "c"
    assert sorted(str(jobs.next_turn()) for _ in range(2)) == ["b", "c"]


def test_nobody_overtakes_a_job_that_cannot_start_yet() -> None:
    jobs = RoundRobin[str](max_active=2)
    jobs.submit("big")
    jobs.submit("small")
    assert jobs.admit(lambda job: job == "small") is None
    assert jobs.waiting == ("big", "small")
    assert jobs.next_turn() is None


def test_a_waiting_job_can_be_removed() -> None:
    jobs = RoundRobin[str](max_active=1)
    jobs.submit("a")
    jobs.remove("a")
    jobs.remove("never seen")
    assert jobs.admit(anything) is None
