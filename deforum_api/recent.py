"""Jobs that were read lately, kept as they are, so that a list of a thousand is not read a thousand times."""

from __future__ import annotations

from collections import OrderedDict

from deforum_api.record import Job

# Characters of submitted settings; a job of the longest body has 8 million.
BUDGET_CHARACTERS = 50_000_000


class Recent:
    """The jobs that were kept last, as many as the budget allows. For one thread at a time."""

    def __init__(self, budget: int = BUDGET_CHARACTERS) -> None:
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._budget = budget

    def get(self, number: int, updates: int) -> Job | None:
        """Return job `number` as it is after so many updates, or None."""
        job = self._jobs.get(number)
        return job if job and job.updates == updates else None

    def keep(self, job: Job) -> None:
        """Keep `job`, and forget the oldest for it."""
        before = self._jobs.pop(job.order, None)
        self._jobs[job.order] = job
        self._budget += _size(before) - _size(job)
        while self._budget < 0:
            _, oldest = self._jobs.popitem(last=False)
            self._budget += _size(oldest)


def _size(job: Job | None) -> int:
    return len(job.settings_json) + len(job.overrides_json) if job else 0
