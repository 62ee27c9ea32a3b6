"""What another program must know to render segments of a run: plain values that fit into JSON, checked again there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from deforum_helpers.core.child_programs import WorkerUnusable
from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.net.fetch import Fetcher, Kind
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import Engine
from deforum_helpers.output.paths import Run
from deforum_helpers.pipeline import messages
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.pipeline.prepare import Prepared, prepare
from deforum_helpers.pipeline.segments import EngineWorker, SegmentWorker
from deforum_helpers.pipeline.sources import given_state, open_inputs, with_depth, with_videos
from deforum_helpers.settings import flat_settings
from deforum_helpers.settings.host_options import Options


@dataclass(frozen=True)
class WorkOrder:
    """A run whose segments another program renders.

    Args:
        settings: checked settings, the seed resolved.
        options: options of the host, with the job's overrides.
        digest: digest of the plan, which must be the same there.
        made_by: name of engine and model, for the resume state.
        outdir: folder of the run, where the frames of its videos are extracted.
        fetched: address, kind and path of each file that was fetched when the job was checked.
    """

    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    digest: str
    made_by: str
    outdir: str
    fetched: tuple[tuple[str, str, str], ...] = ()


# Opens workers for a run: takes the order, the device of the states that they return, and a function to call at each
# sign of life.
MoreWorkers = Callable[
    [WorkOrder, torch.device, Callable[[], None]], AbstractContextManager[Sequence[SegmentWorker]]
]


def work_order(prepared: Prepared, run: Run, made_by: str) -> WorkOrder:
    """Return the order for the segments of a run."""
    # The run is continued by the one that gives the order, and its videos are extracted already.
    settings = flat_settings(prepared.settings) | {"resume_from_timestring": False}
    fetched = prepared.inputs.downloads.fetched
    files = tuple((address, kind, str(path)) for (address, kind), path in fetched.items())
    options = asdict(prepared.options)
    return WorkOrder(settings, options, prepared.plan.digest, made_by, str(run.outdir), files)


def open_worker(
    order: WorkOrder, facts: HostFacts, engine: Engine, beat: Callable[[], None] = lambda: None
) -> EngineWorker:
    """Return a worker that renders segments of the ordered run.

    Args:
        order: the order.
        facts: facts about the program that renders.
        engine: generates the images.
        beat: called at each sign of life.

    Raises:
        WorkerUnusable: the settings mean another plan here, as of another version of the program.
        SettingsError: a file or a name is missing here.
        RenderError: an input cannot be opened.
    """
    known = {(address, kind): Path(path) for address, kind, path in order.fetched}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in order.options.items()
    }
    facts = replace(
        facts,
        options=Options(**values),
        fetcher=_FetchedBefore(known=known),
        free_disk=lambda folder: sys.maxsize,  # the coordinator writes the files
    )
    prepared = prepare(order.settings, facts)
    if prepared.plan.digest != order.digest:
        raise WorkerUnusable(messages.OTHER_PLAN())
    prepared = replace(prepared, settings=replace(prepared.settings, overwrite_extracted_frames=False))
    context = with_videos(open_inputs(prepared, engine, CancelToken()), prepared, Path(order.outdir))
    given = given_state(prepared, engine.device)
    return EngineWorker(with_depth(context, prepared), given, order.made_by, beat=beat)


@dataclass(frozen=True)
class _FetchedBefore(Fetcher):
    """Copies the files that were fetched when the job was checked; others are fetched anew.

    Args:
        known: address and kind -> local file.
    """

    known: Mapping[tuple[str, str], Path] = field(default_factory=dict)

    def fetch(self, url: str, kind: Kind, target: Path, *, setting: str) -> None:
        path = self.known.get((url, kind))
        if path is None or not path.is_file():
            super().fetch(url, kind, target, setting=setting)
            return
        with disk_errors(target.name):
            shutil.copyfile(path, target)
