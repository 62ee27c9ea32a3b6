"""`camera`: writes the camera of a settings file's video as glTF, JSON or COLMAP's text files."""

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
from deforum_helpers.media.camera_files import WRITERS, Shot, shot_colmap
from deforum_helpers.pipeline.camera_export import video_shot

ENDINGS = tuple(f".{name}" for name in WRITERS)


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
        _write(target, shot)
    except (OSError, RenderError) as error:
        print(messages.CAMERA_NOT_WRITTEN(path=target, reason=error), file=sys.stderr)
        return 2
    print(target)
    return 0


def _write(target: Path, shot: Shot) -> None:
    _, writer = WRITERS.get(target.suffix.casefold()[1:], ("", None))
    if writer is not None and not target.is_dir():
        write_whole(target, writer(shot))
        return
    target.mkdir(parents=True, exist_ok=True)
    for name, content in shot_colmap(shot).items():
        write_whole(target / name, content)
