"""Whatever a client sends, the answer is one that `/openapi.json` describes, and never a server error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyStrategyDefinition
from schemathesis.specs.openapi.checks import positive_data_acceptance, use_after_free

from deforum_api.http.docs_pages import OF_A_BATCH, OF_A_JOB
from deforum_api.http.routing import METHODS
from deforum_api.http.security import Access
from tests.api.fake_renderer import Renderer, make_app, strict_queue

# A body of the right form may still ask for what cannot be rendered.
MEANING = positive_data_acceptance
WALKS = 5

OPERATIONS = sorted(
    (path, method)
    for path, methods in METHODS.items()
    if path.startswith("/deforum") and not path.endswith("/")
    for method in methods
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str]]]:
    """The schema of an app that has jobs, and the ids of two of them."""
    renderer = Renderer(Path(tmp_path_factory.mktemp("outputs")))
    renderer.gate.set()
    queue = strict_queue(renderer)
    known = [job.id for job in queue.submit([{"max_frames": 3}, {"max_frames": 4}])]
    yield (
        schemathesis.openapi.from_asgi("/openapi.json", make_app(queue, Access(hosts=("testserver",)))),
        known,
    )
    assert queue.close(20)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_described(world: tuple[Any, list[str]], path: str, method: str) -> None:
    schema, known = world
    ids = known if "/jobs/" in path else [known[0].rsplit("-", 1)[0]]

    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method].as_strategy(), id=st.sampled_from([None, *ids]))
    def explore(case: Any, id: str | None) -> None:
        if id and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = id
        case.call_and_validate(excluded_checks=[MEANING])

    explore()


def test_whatever_follows_a_link_is_described(world: tuple[Any, list[str]]) -> None:
    schema, _ = world
    # A drained worker takes no job, and `/deforum/run` waits for its job.
    undrained = schema.exclude(path="/deforum_api/workers/{id}/drain")

    class Walk(undrained.as_state_machine()):  # type: ignore[misc]
        """Submits jobs and goes where the answers lead; cancelling a job does not remove it."""

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            case.validate_response(response, excluded_checks=[MEANING, use_after_free])
            followed[case.operation.label] += 1

    followed: Counter[str] = Counter()
    way = settings(
        max_examples=4,
        stateful_step_count=8,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for number in range(WALKS):
        # Where an answer leads depends on how far the jobs are: a walk that cannot be walked again is no finding.
        with suppress(FlakyStrategyDefinition):
            seed(number)(Walk).run(settings=way)
    links = schema.raw_schema["paths"]["/deforum_api/batches"]["post"]["responses"]["202"]["links"]
    assert len(links) == len(OF_A_JOB | OF_A_BATCH)
    assert len(followed) > 6, followed
