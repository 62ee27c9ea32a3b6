"""One contract for every store of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import SqliteStore
from deforum_api.queue.store import JobStore, MemoryStore, Receipt


def job(batch: int, number: int, order: int) -> Job:
    return Job(f"batch({batch})-{number}", f"batch({batch})", order, "{}", "null", 1.0, 1.0)


def done(old: Job, at: float) -> Job:
    return replace(old, status="FAILED", phase="PREPARING", updates=old.updates + 1, last_updated=at)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobStore]:
    made: JobStore = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "jobs.sqlite3")
    made.add([job(7, 0, 0), job(7, 1, 1)])
    made.add([job(3, 0, 2)])
    yield made
    made.close()


def test_jobs_are_found_by_id_and_batch_in_their_order(store: JobStore) -> None:
    assert store.get("batch(7)-1") == job(7, 1, 1)
    assert store.get("batch(7)-2") is None
    assert [one.id for one in store.batch("batch(7)")] == ["batch(7)-0", "batch(7)-1"]
    assert store.batch("batch(8)") == ()
    assert list(store.batches().items()) == [
        ("batch(7)", ["batch(7)-0", "batch(7)-1"]),
        ("batch(3)", ["batch(3)-0"]),
    ]


def test_an_id_is_used_once_and_nothing_of_a_refused_batch_stays(store: JobStore) -> None:
    with pytest.raises(ValueError, match=r"batch\(3\)-0"):
        store.add([job(9, 0, 3), job(3, 0, 4)])
    assert store.get("batch(9)-0") is None
    assert store.next_order() == 3


def test_swap_compares_and_sets(store: JobStore) -> None:
    old = job(7, 0, 0)
    assert store.swap(old, done(old, 2.0))
    assert not store.swap(old, replace(old, message="late", updates=1))
    assert store.get(old.id) == done(old, 2.0)


def test_swap_of_an_unknown_job_changes_nothing(store: JobStore) -> None:
    assert not store.swap(job(5, 0, 9), done(job(5, 0, 9), 2.0))
    assert store.get("batch(5)-0") is None


def test_queued_jobs_leave_the_queue_and_come_back_in_their_order(store: JobStore) -> None:
    first = job(7, 0, 0)
    taken = replace(first, phase="PREPARING", updates=1)
    store.swap(first, taken)
    assert store.queued() == ("batch(7)-1", "batch(3)-0")
    store.swap(taken, replace(first, updates=2))
    assert store.queued() == ("batch(7)-0", "batch(7)-1", "batch(3)-0")


def test_pages_filter_and_go_on(store: JobStore) -> None:
    store.swap(job(7, 1, 1), done(job(7, 1, 1), 2.0))
    assert [one.order for one in store.page()] == [0, 1, 2]
    assert [one.order for one in store.page("ACCEPTED")] == [0, 2]
    assert [one.order for one in store.page(limit=2)] == [0, 1]
    assert [one.order for one in store.page(after=1)] == [2]
    for chosen in ((None, -1, None), ("ACCEPTED", -1, None), (None, -1, 2), (None, 1, None)):
        assert store.orders(*chosen) == tuple(one.order for one in store.page(*chosen))


def test_jobs_are_counted_by_status(store: JobStore) -> None:
    store.swap(job(7, 1, 1), done(job(7, 1, 1), 2.0))
    assert store.counts() == {"ACCEPTED": 2, "FAILED": 1}
    store.prune(0)
    assert store.counts() == {"ACCEPTED": 2}


def test_the_oldest_finished_jobs_are_forgotten(store: JobStore) -> None:
    store.swap(job(7, 0, 0), done(job(7, 0, 0), 3.0))
    store.swap(job(7, 1, 1), done(job(7, 1, 1), 2.0))
    store.prune(1)
    assert [one.order for one in store.page()] == [0, 2]
    assert store.batches()["batch(7)"] == ["batch(7)-0"]
    store.prune(0)
    assert list(store.batches()) == ["batch(3)"]
    assert store.next_order() == 3


def test_a_removed_job_is_gone_and_its_batch_with_the_last(store: JobStore) -> None:
    old = job(3, 0, 2)
    assert store.remove(old)
    assert not store.remove(old)
    assert store.get(old.id) is None
    assert "batch(3)" not in store.batches()
    assert store.queued() == ("batch(7)-0", "batch(7)-1")
    assert store.next_order() == 3


def test_a_job_that_changed_meanwhile_is_not_removed(store: JobStore) -> None:
    old = job(7, 0, 0)
    store.swap(old, done(old, 2.0))
    assert not store.remove(old)
    assert store.get(old.id) == done(old, 2.0)


def test_a_job_with_a_turn_waits_in_that_place(store: JobStore) -> None:
    last = job(3, 0, 2)
    store.swap(last, replace(last, turn=-1, updates=1))
    assert store.queued() == ("batch(3)-0", "batch(7)-0", "batch(7)-1")


def test_jobs_of_a_higher_priority_come_first_and_a_place_before_all_stays_so(store: JobStore) -> None:
    urgent = [replace(job(9, n, n + 3), priority=priority) for n, priority in enumerate((-1, 5, 5, 10**6))]
    store.add(urgent)
    expected = [
        "batch(9)-3",
        "batch(9)-1",
        "batch(9)-2",
        "batch(7)-0",
        "batch(7)-1",
        "batch(3)-0",
        "batch(9)-0",
    ]
    assert list(store.queued()) == expected
    last = urgent[0]
    assert store.swap(last, replace(last, turn=-1, updates=1))
    assert list(store.queued()) == [expected[-1], *expected[:-1]]
    assert [one.priority for one in store.batch("batch(9)")] == [-1, 5, 5, 10**6]


def test_jobs_whose_numbers_others_took_come_after_these(store: JobStore) -> None:
    stored = store.add([job(9, 0, 1), job(9, 1, 2)])
    assert [one.order for one in stored] == [3, 4]
    assert store.batch("batch(9)") == stored
    assert store.next_order() == 5


def test_every_field_of_a_job_is_kept(store: JobStore) -> None:
    full = replace(
        job(4, 0, 3),
        settings_json='{"prompts": {"0": "\\u00e4 \\ud83c"}}',
        overrides_json='{"a": [1]}',
        warnings=("one", "two"),
        message="says 'so'; and \n more",
        outdir="/out",
        timestring="20260102030405",
        generating_since=0.1,
        held=True,
    )
    store.add([full])
    assert store.get(full.id) == full


def test_a_receipt_is_kept_with_its_jobs_or_neither(store: JobStore) -> None:
    receipt = Receipt("key", "digest", "{}", 5.0)
    store.add([job(9, 0, 3)], receipt)
    assert store.receipt("key") == receipt
    with pytest.raises(ValueError, match="key"):
        store.add([job(10, 0, 4)], receipt)
    assert store.get("batch(10)-0") is None
    store.forget_receipts(5.0)
    assert store.receipt("key") == receipt
    store.forget_receipts(5.1)
    assert store.receipt("key") is None


def test_a_living_programs_jobs_are_no_orphans(store: JobStore) -> None:
    store.swap(job(7, 0, 0), replace(job(7, 0, 0), phase="PREPARING", updates=1))
    store.beat()
    assert store.orphans() == ()


def test_several_records_change_together_or_not_at_all(store: JobStore) -> None:
    first, second, last = job(7, 0, 0), job(7, 1, 1), job(3, 0, 2)
    new = [replace(one, turn=turn, updates=1) for one, turn in ((first, 1), (second, 0))]
    assert store.swap(second, replace(second, message="meanwhile", updates=1))
    assert not store.swap(first, new[0], (second, new[1]))
    assert store.get(first.id) == first
    assert store.queued() == (first.id, second.id, last.id)
    now = store.get(second.id)
    assert now is not None
    assert store.swap(first, new[0], (now, replace(now, turn=0, updates=2)))
    assert store.queued() == (second.id, first.id, last.id)
