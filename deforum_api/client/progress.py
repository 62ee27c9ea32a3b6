"""A job's progress as a line of text, redrawn in place where the output is a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TextIO

BAR_WIDTH = 24
_PHASES = {
    "QUEUED": "waiting",
    "PREPARING": "preparing",
    "GENERATING": "rendering",
    "POST_PROCESSING": "finishing",
}


def line(job: Mapping[str, Any]) -> str:
    """Return the job's progress as one line."""
    told = f": {job['message']}" if job.get("message") else ""
    if job["status"] != "ACCEPTED":
        return f"{job['id']} {job['status']}{told}"
    place = job.get("queue_position")
    if job["phase"] == "QUEUED":
        return f"{job['id']} waiting" + (f", {place} before it" if place else "") + told
    share = min(max(float(job["phase_progress"]), 0.0), 1.0)
    full = round(share * BAR_WIDTH)
    text = f"{job['id']} {_PHASES.get(job['phase'], job['phase'])} [{'#' * full}{'.' * (BAR_WIDTH - full)}]"
    text += f" {share:4.0%}, frame {job['frame']} of {job['max_frames']}"
    return text + (f", {_time(job['eta_seconds'])} left" if job["eta_seconds"] else "")


class ProgressLine:
    """Shows one job's records as they come: in place on a terminal, else a line per phase and per tenth of one."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._in_place = out.isatty()
        self._shown: tuple[Any, ...] = ()
        self._width = 0

    def show(self, job: Mapping[str, Any]) -> None:
        """Show the record."""
        ended = job["status"] != "ACCEPTED"
        text = line(job)
        if self._in_place:
            self._out.write("\r" + text.ljust(self._width) + ("\n" if ended else ""))
            self._width = len(text)
        else:
            stage = (job["status"], job["phase"], int(10 * job["phase_progress"]))
            if stage == self._shown:
                return
            self._shown = stage
            self._out.write(text + "\n")
        self._out.flush()


def _time(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
