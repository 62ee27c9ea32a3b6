"""The paths of a run's files: the folder that `batch_name` names, and the file names in it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.files.atomic import disk_errors
from deforum_helpers.core.files.no_links import Folder, make_folder
from deforum_helpers.output import messages
from deforum_helpers.output.kinds import KINDS, output_kind
from deforum_helpers.settings import Settings, flat_settings

IMAGES_FOLDER = "img2img-images"
TIMESTRING_FORMAT = "%Y%m%d%H%M%S"
MAX_NAME_BYTES = 255
MAX_VALUE_LENGTH = 50

LOCK_ENDING = ".lock"
MANIFEST_ENDING = "_manifest.json"
RESUME_STATE_ENDING = ".checkpoint"
SETTINGS_ENDING = KINDS["settings"].suffix
_PLACEHOLDER = re.compile(r"{(\w+)}")
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\s,\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_TIMESTRING = re.compile(r"[0-9]{14}")
_LONGEST_FILE = len("\\.00000000000000_depth_000000000.png.000000.part")
_WINDOWS_PATH = 259
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"}
)


@dataclass(frozen=True)
class Run:
    """The identity of a run, and the paths of its files.

    Args:
        outdir: absolute folder of its files, shared by all runs with the same batch name.
        timestring: 14 digits, local time; every file name begins with it.
    """

    outdir: Path
    timestring: str

    def path(self, kind: str, **fields: object) -> Path:
        """Return the path of an output of a kind; `fields` fill the format fields of its name."""
        return self.outdir / (self.timestring + output_kind(kind).suffix.format(**fields))

    def frame_path(self, frame: int) -> Path:
        return self.path("frame", frame=frame)

    def depth_path(self, frame: int) -> Path:
        return self.path("depth", frame=frame)

    @property
    def video_path(self) -> Path:
        return self.path("video")

    @property
    def preview_path(self) -> Path:
        return self.path("preview_video")

    @property
    def gif_path(self) -> Path:
        return self.path("gif")

    @property
    def srt_path(self) -> Path:
        return self.path("subtitles")

    @property
    def settings_path(self) -> Path:
        return self.path("settings")

    @property
    def manifest_path(self) -> Path:
        return self._own_path(MANIFEST_ENDING)

    @property
    def resume_state_path(self) -> Path:
        return self._own_path(RESUME_STATE_ENDING)

    @property
    def lock_path(self) -> Path:
        return self.outdir / f".{self.timestring}{LOCK_ENDING}"

    def _own_path(self, ending: str) -> Path:
        """Return the path of an internal file.

        Its name begins with a dot, since other programs collect the outputs of a run by `TIMESTRING*`. Earlier versions
        wrote it without the dot.
        """
        path = self.outdir / f".{self.timestring}{ending}"
        earlier = self.outdir / f"{self.timestring}{ending}"
        return earlier if os.path.lexists(earlier) and not os.path.lexists(path) else path

    def hide_own_files(self) -> None:
        """Rename internal files of an earlier version to their present names.

        Raises:
            DiskFull, RenderError: a file cannot be renamed.
        """
        for path in (self.manifest_path, self.resume_state_path):
            if not path.name.startswith("."):
                with disk_errors(path.name), Folder(self.outdir) as folder:
                    folder.rename(path.name, f".{path.name}")


def new_run(output_root: Path, settings: Settings, now: datetime, images_folder: str = IMAGES_FOLDER) -> Run:
    """Claim a new run: create its folder and reserve a timestring that is unique there.

    Of two runs that begin within the same second, the later one takes the next free second.

    Args:
        output_root: the output folder.
        settings: settings with a resolved seed, since `batch_name` may contain it.
        now: local time.
        images_folder: folder in `output_root` that holds the folders of runs.

    Raises:
        SettingsError: the folder of `batch_name` is a link.
        DiskFull, RenderError: the folder cannot be created.
    """
    values = flat_settings(settings)
    while True:
        run = _run_at(output_root, images_folder, settings.batch_name, values, now)
        if claim(run):
            return run
        now += timedelta(seconds=1)


def resumed_run(
    output_root: Path, settings: Settings, timestring: str, images_folder: str = IMAGES_FOLDER
) -> Run:
    """Return the run with this timestring, in the folder that `batch_name` stood for when the run began.

    Raises:
        SettingsError: `timestring` is not a date and time of 14 digits, or the folder is a link.
    """
    try:
        if not _TIMESTRING.fullmatch(timestring):
            raise ValueError
        begun = datetime.strptime(timestring, TIMESTRING_FORMAT)
    except ValueError:
        raise SettingsError(
            [
                Problem(
                    messages.TIMESTRING_INVALID(found=timestring[:40]),
                    setting="resume_timestring",
                    found=timestring[:40],
                    allowed="14 digits: year, month, day, hour, minute, second",
                )
            ]
        ) from None
    return _run_at(output_root, images_folder, settings.batch_name, flat_settings(settings), begun)


def resolved_batch_name(
    batch_name: str, values: Mapping[str, Any], now: datetime, max_length: int | None = None
) -> str:
    """Return the folder name that `batch_name` stands for: a single name, never a path.

    `{word}` is replaced by the value of the setting with that name (ignoring case), cut to 50 characters;
    `{timestring}`, `{date}` and `{time}` come from `now`. An unknown word stays without its braces. An empty, zero or
    false value becomes `_`, and so does every character that file names cannot have.

    Args:
        batch_name: the setting's text.
        values: setting name -> value.
        now: local time of the run.
        max_length: maximum number of characters, None = only the file system's limit of 255 bytes.

    Worked example: `"{Seed}_{missing} a/b"` with seed 7 is `"7_missing_a_b"`.
    """
    known = {name.lower(): value for name, value in values.items()}
    known |= {
        "timestring": now.strftime(TIMESTRING_FORMAT),
        "date": now.strftime("%Y%m%d"),
        "time": now.strftime("%H%M%S"),
    }
    name = _PLACEHOLDER.sub(lambda found: _placeholder_text(known, found[1].lower()), batch_name)
    return _safe_name(_FORBIDDEN.sub("_", name), max_length)


def _placeholder_text(known: Mapping[str, Any], word: str) -> str:
    value = known.get(word, word)
    if isinstance(value, Mapping):
        value = next(iter(value.values()), None)
    if isinstance(value, (list, tuple)):
        value = next(iter(value), None)
    return str(value)[:MAX_VALUE_LENGTH] if value else "_"


def _safe_name(name: str, max_length: int | None) -> str:
    if name.split(".", 1)[0].lower() in _RESERVED:
        name = f"_{name}"
    name = _cut(name, max_length)
    bare = name.rstrip(".")
    return bare + "_" * (len(name) - len(bare)) or "_"


def _cut(name: str, max_length: int | None) -> str:
    return name[:max_length].encode()[:MAX_NAME_BYTES].decode(errors="ignore")


def _run_at(
    output_root: Path, images_folder: str, batch_name: str, values: Mapping[str, Any], now: datetime
) -> Run:
    root = output_root.resolve()
    folder = root / images_folder
    room = max(1, _WINDOWS_PATH - len(str(folder)) - 1 - _LONGEST_FILE) if os.name == "nt" else None
    outdir = folder / resolved_batch_name(batch_name, values, now, room)
    if outdir.resolve() != outdir:
        inside = outdir.resolve().is_relative_to(root)
        message = messages.BATCH_FOLDER_IS_LINK if inside else messages.BATCH_FOLDER_LEADS_OUT
        raise SettingsError(
            [
                Problem(
                    message(name=outdir.name[:60]),
                    setting="batch_name",
                    found=batch_name[:60],
                    allowed="a name whose folder lies inside the output folder",
                )
            ]
        )
    return Run(outdir, now.strftime(TIMESTRING_FORMAT))


def claimed_run(outdir: Path, now: datetime) -> Run:
    """Claim a new run in a given folder, with a timestring that is unique there, by writing an empty manifest.

    Raises:
        DiskFull, RenderError: the folder cannot be written.
    """
    while not claim(run := Run(outdir, now.strftime(TIMESTRING_FORMAT))):
        now += timedelta(seconds=1)
    return run


def claim(run: Run) -> bool:
    """Claim the name of a run by writing an empty manifest; False if files of that name exist already.

    Raises:
        DiskFull, RenderError: the folder cannot be written.
    """
    with disk_errors(f"The folder {run.outdir.parent.name}/{run.outdir.name}"):
        make_folder(run.outdir)
        with os.scandir(run.outdir) as entries:
            if any(entry.name.lstrip(".").startswith(run.timestring) for entry in entries):
                return False
        try:
            with Folder(run.outdir) as folder, folder.create(run.manifest_path.name) as manifest:
                empty = {"version": 1, "timestring": run.timestring, "digest": "", "files": []}
                manifest.write(json.dumps(empty).encode())
        except FileExistsError:
            return False
    return True
