"""`plot`, `convert` and `camera`: files made from settings files without rendering.

They are schedules and prompts as SVG, settings with all keys in frames, seconds or beats, and the camera of a video as
glTF, JSON or COLMAP's text files.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from deforum_helpers.cli import messages
from deforum_helpers.cli.job_files import (
    DEFAULT_OUTPUT_ROOT,
    host_facts,
    prepare_file,
    print_problems,
    print_warnings,
)
from deforum_helpers.core.errors import RenderError, SettingsError
from deforum_helpers.core.files.atomic import write_whole
from deforum_helpers.media.camera_files import WRITERS
from deforum_helpers.media.camera_files.base import Shot
from deforum_helpers.media.camera_files.colmap import shot_colmap
from deforum_helpers.pipeline.camera_export import video_shot
from deforum_helpers.pipeline.plot import changing_schedules, plot_svg
from deforum_helpers.settings import load_settings
from deforum_helpers.settings.files import settings_text
from deforum_helpers.settings.keys import with_keys_in

ENDINGS = tuple(f".{name}" for name in WRITERS)


def plot(options: argparse.Namespace) -> int:
    """Plot each file beside it or to `--out`; return 0 if all were plotted, else 2."""
    facts = host_facts(options, DEFAULT_OUTPUT_ROOT)
    failed = False
    for path in options.files:
        prepared = prepare_file(path, options, facts)
        if prepared is None:
            failed = True
            continue
        names = options.schedules.split(",") if options.schedules else changing_schedules(prepared.plan)
        unknown = [name for name in names if name not in prepared.plan.schedules.values]
        if unknown:
            allowed = ", ".join(sorted(prepared.plan.schedules.values))
            print(messages.NOT_A_SCHEDULE(name=unknown[0], allowed=allowed), file=sys.stderr)
            return 2
        target = _plot_path(path, options.out)
        try:
            target.write_text(plot_svg(prepared.plan, names), encoding="utf-8")
        except OSError as error:
            print(messages.FILE_NOT_WRITTEN(path=target, reason=error.strerror), file=sys.stderr)
            return 2
        print(target)
    return 2 if failed else 0


def _plot_path(path: Path, out: Path | None) -> Path:
    if out is None:
        return path.with_suffix(".svg")
    return out / f"{path.stem}.svg" if out.is_dir() else out


def convert(options: argparse.Namespace) -> int:
    """Print each file with its keys in the unit `--keys`, or write it to `--out`.

    Returns 0 if all were converted, else 2.
    """
    facts = host_facts(options, DEFAULT_OUTPUT_ROOT)
    failed = False
    for path in options.files:
        prepared = prepare_file(path, options, facts)
        if prepared is None:
            failed = True
            continue
        try:
            # Not the settings of the plan, whose seed is drawn already.
            settings = load_settings(prepared.submitted).settings
            text = settings_text(with_keys_in(settings, prepared.plan.timeline, options.keys))
        except SettingsError as error:
            print_problems(path, error)
            failed = True
            continue
        if options.out is None:
            sys.stdout.write(text)
            continue
        target: Path = options.out / path.name if options.out.is_dir() else options.out
        try:
            target.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            print(messages.FILE_NOT_WRITTEN(path=target, reason=error.strerror), file=sys.stderr)
            return 2
        print(target)
    return 2 if failed else 0


def camera(options: argparse.Namespace) -> int:
    """Write the camera to `--to`; return 0 if it was written, else 2."""
    if len(options.files) != 1:
        print(messages.CAMERA_OF_ONE(count=len(options.files)), file=sys.stderr)
        return 2
    if not (math.isfinite(options.scale) and 1e-6 <= options.scale <= 1e6):
        print(messages.CAMERA_SCALE(found=f"{options.scale:g}"), file=sys.stderr)
        return 2
    target: Path = options.to
    if target.suffix.casefold() not in (*ENDINGS, "") and not target.is_dir():
        print(messages.CAMERA_FORMAT(found=target.suffix, allowed=", ".join(ENDINGS)), file=sys.stderr)
        return 2
    (path,) = options.files
    prepared = prepare_file(path, options, host_facts(options, options.out or DEFAULT_OUTPUT_ROOT))
    if prepared is None:
        return 2
    try:
        shot, warnings = video_shot(prepared.plan, options.scale)
    except SettingsError as error:
        print_problems(path, error)
        return 2
    print_warnings(warnings)
    try:
        _write_camera(target, shot)
    except (OSError, RenderError) as error:
        print(messages.CAMERA_NOT_WRITTEN(path=target, reason=error), file=sys.stderr)
        return 2
    print(target)
    return 0


def _write_camera(target: Path, shot: Shot) -> None:
    _, writer = WRITERS.get(target.suffix.casefold()[1:], ("", None))
    if writer is not None and not target.is_dir():
        write_whole(target, writer(shot))
        return
    target.mkdir(parents=True, exist_ok=True)
    for name, content in shot_colmap(shot).items():
        write_whole(target / name, content)
