"""The transition table of a job, by example and as a random walk."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deforum_api.queue.record import (
    PHASES,
    STATUSES,
    TRANSITIONS,
    Cancelled,
    CancelRequested,
    Claimed,
    Delayed,
    Event,
    Failed,
    IllegalTransition,
    Interrupted,
    Job,
    Moved,
    Parked,
    PauseRequested,
    Released,
    Reported,
    Resumed,
    Stalled,
    Succeeded,
    after,
)

NEW = Job("batch(1)-0", "batch(1)", 0, "{}", "null", started_at=100.0, last_updated=100.0, max_frames=4)


def walk(job: Job, *events: Event) -> Job:
    for number, event in enumerate(events):
        job = after(job, event, 101.0 + number)
    return job


def test_a_new_job_is_accepted_and_queued() -> None:
    assert (NEW.status, NEW.phase, NEW.phase_progress, NEW.updates) == ("ACCEPTED", "QUEUED", 0.0, 0)


def test_success_sets_status_phase_and_progress_in_one_update() -> None:
    job = walk(NEW, Claimed(), Reported("GENERATING", 0.5, 2, 4, "/out", "1"), Succeeded("/out", "1", 4))
    assert (job.status, job.phase, job.phase_progress, job.updates) == ("SUCCEEDED", "DONE", 1.0, 3)
    assert (job.frame, job.max_frames, job.outdir) == (4, 4, "/out")


def test_an_error_leaves_phase_and_progress_as_they_were() -> None:
    job = walk(NEW, Claimed(), Reported("GENERATING", 0.5), Failed("generation error: x", retryable=True))
    assert (job.status, job.phase, job.phase_progress) == ("FAILED", "GENERATING", 0.5)
    assert (job.error_type, job.message) == ("RETRYABLE", "generation error: x")


def test_a_queued_job_is_cancelled_at_once() -> None:
    job = walk(NEW, CancelRequested())
    assert (job.status, job.phase) == ("CANCELLED", "QUEUED")


@pytest.mark.parametrize(
    "end", [Succeeded("/out", "1", 4), Failed("x"), Delayed("x", 5.0), Parked(), Cancelled()]
)
def test_a_running_job_that_was_asked_to_end_ends_as_cancelled(end: Event) -> None:
    job = walk(NEW, Claimed(), Reported("GENERATING", 0.25), CancelRequested())
    assert (job.status, job.phase) == ("ACCEPTED", "GENERATING")
    job = walk(job, end)
    assert (job.status, job.phase, job.phase_progress) == ("CANCELLED", "GENERATING", 0.25)


def test_a_cancelled_job_without_a_video_says_where_its_frames_are_and_why() -> None:
    asked = walk(NEW, Claimed(), Reported("GENERATING", 0.5, 2, 4, "/out", "1"), CancelRequested())
    where = "Cancelled after 2 of 4 frames, which are in /out. "
    for end in (Failed("no ffmpeg."), Delayed("no ffmpeg.", 5.0, "It is tried again.")):
        job = walk(asked, end)
        assert (job.status, job.message) == (
            "CANCELLED",
            f"{where}An error occurred while the job was ending: no ffmpeg.",
        )
    job = asked
    for _ in range(3):
        assert (job.status, job.cancel_requested) == ("ACCEPTED", True)
        job = walk(job, *([Claimed()] if job.phase == "QUEUED" else []), Interrupted())
    why = "The server ended 3 times before the frames became a video."
    assert (job.status, job.message) == ("CANCELLED", where + why)


def test_a_waiting_job_with_frames_is_ended_before_another_begins() -> None:
    waiting = replace(NEW, order=7, turn=9, frame=4, max_frames=10)
    asked = after(waiting, CancelRequested(), 101.0)
    assert asked.message == "Cancelling: its frames become a video before the next job starts."
    assert asked.queued
    assert asked.place < 0
    ended = after(after(asked, Claimed(), 102.0), Cancelled(), 103.0)
    assert (ended.status, ended.message) == ("CANCELLED", "Cancelled after 4 of 10 frames.")
    assert after(ended, Resumed(), 104.0).place == 7


def test_frames_that_became_no_video_become_one_at_the_next_cancel() -> None:
    working = walk(NEW, Claimed(), Reported("GENERATING", 0.5, 2, 4, "/out", "1"))
    for end, left in ((Failed("x"), True), (Cancelled(), False)):
        job = walk(working, CancelRequested(), end, Resumed(), CancelRequested())
        assert (job.finished, job.cancel_requested) == (not left, True)


def test_progress_never_falls_and_phases_never_go_back() -> None:
    job = walk(NEW, Claimed(), Reported("GENERATING", 0.5, 2), Reported("GENERATING", 0.25, 1))
    assert (job.phase_progress, job.frame) == (0.5, 2)
    job = walk(job, Reported("PREPARING", 1.0))
    assert (job.phase, job.phase_progress) == ("GENERATING", 0.5)


def test_a_new_phase_begins_with_its_own_progress() -> None:
    job = walk(NEW, Claimed(), Reported("GENERATING", 1.0, 4), Reported("POST_PROCESSING", 0.1))
    assert (job.phase, job.phase_progress, job.frame) == ("POST_PROCESSING", 0.1, 4)


def test_a_parked_job_waits_again_and_keeps_its_run() -> None:
    job = walk(NEW, Claimed(), Reported("GENERATING", 0.5, 2, 4, "/out", "1"), Parked())
    assert (job.queued, job.timestring, job.frame, job.attempt) == (True, "1", 2, 1)


def test_a_resumed_job_is_a_new_attempt() -> None:
    failed = walk(NEW, Claimed(), Reported("GENERATING", 0.5, 2, 4, "/out", "1"), Failed("x", retryable=True))
    job = walk(failed, Resumed())
    assert (job.queued, job.attempt, job.error_type, job.message) == (True, 2, "NONE", None)


def test_times_never_fall_even_if_the_clock_does() -> None:
    job = after(NEW, Claimed(), 50.0)
    assert (job.last_updated, job.update_interval_time) == (100.0, 0.0)


def test_eta_follows_the_pace_so_far() -> None:
    job = after(after(NEW, Claimed(), 101.0), Reported("GENERATING", 0.0, 0, 4), 102.0)
    job = after(job, Reported("GENERATING", 0.25, 1, 4), 104.0)
    assert job.eta_seconds == 2.0 * 3


def test_after_a_resume_the_time_left_follows_the_new_frames_alone() -> None:
    job = after(after(NEW, Claimed(), 101.0), Reported("GENERATING", 0.0, 0, 10), 102.0)
    job = after(job, Reported("GENERATING", 0.4, 4, 10), 110.0)
    job = after(
        after(after(job, Parked(), 111.0), Claimed(), 500.0), Reported("PREPARING", 0.5, 0, 10), 501.0
    )
    job = after(job, Reported("GENERATING", 0.4, 4, 10), 502.0)
    assert (job.seconds_per_frame, job.eta_seconds) == (0.0, 0.0)
    job = after(job, Reported("GENERATING", 0.6, 6, 10), 508.0)
    assert (job.seconds_per_frame, job.eta_seconds) == (3.0, 3.0 * 4)
    job = after(job, Reported("POST_PROCESSING", 0.0, 6, 10), 530.0)
    assert (job.seconds_per_frame, job.eta_seconds) == (3.0, 0.0)


def test_a_job_that_stalls_says_so_until_it_moves_again() -> None:
    working = replace(NEW, phase="GENERATING")
    stalled = after(working, Stalled("Nothing has moved."), 200.0)
    assert (stalled.status, stalled.message) == ("ACCEPTED", "Nothing has moved.")
    assert after(stalled, Stalled(None), 201.0).message is None
    asked = after(stalled, CancelRequested(), 201.0)
    assert after(asked, Stalled(None), 202.0).message == "Cancelling."
    given_up = after(asked, Cancelled("It did not answer."), 202.0)
    assert given_up.message == f"Cancelled after 0 of {NEW.max_frames} frames. It did not answer."


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", TRANSITIONS)
def test_what_the_table_lacks_is_refused(kind: type, phase: str, status: str) -> None:
    job = replace(NEW, status=status, phase=phase)
    event = EXAMPLES[kind]
    if (status, phase) in TRANSITIONS[kind]:
        assert after(job, event, 200.0).updates == 1
    else:
        with pytest.raises(IllegalTransition):
            after(job, event, 200.0)


EXAMPLES: dict[type, Event] = {
    Claimed: Claimed(),
    Reported: Reported("GENERATING", 0.5, 2, 4),
    CancelRequested: CancelRequested(),
    Succeeded: Succeeded("/out", "1", 4),
    Failed: Failed("x"),
    Delayed: Delayed("x", 200.5),
    Interrupted: Interrupted(),
    Cancelled: Cancelled(),
    Stalled: Stalled("x"),
    Parked: Parked(),
    Resumed: Resumed(),
    PauseRequested: PauseRequested(),
    Released: Released(),
    Moved: Moved(7),
}
ANY_EVENT = st.one_of(
    st.sampled_from(list(EXAMPLES.values())),
    st.builds(
        Reported,
        st.sampled_from(["PREPARING", "GENERATING", "POST_PROCESSING"]),
        st.floats(-0.5, 1.5),
        st.integers(0, 9),
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(ANY_EVENT, st.floats(0, 300)), max_size=25))
def test_status_is_monotonic_whatever_happens(events: list[tuple[Event, float]]) -> None:
    job = NEW
    for event, now in events:
        try:
            changed = after(job, event, now)
        except IllegalTransition:
            continue
        assert changed.updates == job.updates + 1
        assert changed.last_updated >= job.last_updated
        assert 0.0 <= changed.phase_progress <= 1.0
        if job.finished:
            assert isinstance(event, Resumed)
        elif not isinstance(event, Parked | Delayed | Interrupted) and changed.phase == job.phase:
            assert changed.phase_progress >= job.phase_progress
        assert (changed.status == "SUCCEEDED") == (changed.phase == "DONE")
        job = changed
