"""The kinds of files that a run leaves, one row each.

Everything that names, lists, sends or offers outputs reads this table: the writers and the manifest, the API and its
documentation, the clients and the tab. A new kind is a row here and a writer in `output/film.py`. Only the standard
library is needed to import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from string import Formatter

from deforum_helpers.core.registry import choose
from deforum_helpers.models.interpolation import names as interpolation
from deforum_helpers.models.upscaling import names as upscaling

VIDEO = "video/mp4"
PNG = "image/png"
_FRAME_NUMBER = "[0-9]{9}"
# Upscaled images have the names of their frames; interpolated ones have a number, those of FILM with a word before it.
_IN_FOLDER = {"start": "(?:[0-9]{14}_|frame_)?"}


@dataclass(frozen=True)
class OutputKind:
    """One kind of output.

    Args:
        name: in manifests and listings; of a kind with one file per run also the last part of its route.
        label: what the tab and the API's documentation call the file.
        media_type: that it is sent with.
        suffix: what follows the timestring in the file's name, with format fields; one named `frame` makes it a kind
            with one file per frame. Of a kind with folders, the whole name.
        about: one sentence for the API's documentation.
        downloadable: whether the tab offers the file, and `--save` downloads it.
        fields: regular expression of each format field of `suffix` other than `frame`.
        folders: names of the folders inside the run's folder that hold the files, with the field `timestring`.
    """

    name: str
    label: str
    media_type: str
    suffix: str
    about: str = ""
    downloadable: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches exactly the names that `suffix` can give."""
        known = {"frame": _FRAME_NUMBER, **self.fields}
        parts = (
            re.escape(text) + (f"(?P<{name}>{known[name]})" if name else "")
            for text, name, _, _ in Formatter().parse(self.suffix)
        )
        return re.compile("".join(parts))

    @cached_property
    def numbered(self) -> bool:
        """Whether there is one file per frame."""
        return "frame" in self.pattern.groupindex

    @property
    def extension(self) -> str:
        """The last part of the file's name: ".mp4"."""
        return f".{self.suffix.rpartition('.')[2]}"

    def frame_of(self, found: re.Match[str]) -> int | None:
        """Return the frame number in a match of `pattern`, or None where there is one file per run."""
        return int(found["frame"]) if self.numbered else None


# Frames come first, as a run has a hundred thousand of them and the first row that fits a name decides.
KINDS: dict[str, OutputKind] = {
    kind.name: kind
    for kind in (
        OutputKind("frame", "frame", PNG, "_{frame:09d}.png", "The frames, numbered from 0."),
        OutputKind("depth", "depth map", PNG, "_depth_{frame:09d}.png", "Depth maps, with save_depth_maps."),
        OutputKind("video", "film", VIDEO, ".mp4", "The job's mp4.", downloadable=True),
        OutputKind(
            "preview_video",
            "preview film",
            VIDEO,
            "_preview.mp4",
            "What of the film was there at the newest preview, where deforum_preview is on.",
        ),
        OutputKind(
            "upscaled_video",
            "upscaled film",
            VIDEO,
            upscaling.VIDEO_SUFFIX,
            "The job's film of enlarged frames.",
            downloadable=True,
            fields=upscaling.VIDEO_FIELDS,
        ),
        OutputKind(
            "interpolated_video",
            "interpolated film",
            VIDEO,
            interpolation.VIDEO_SUFFIX,
            "The job's film with frames between the frames.",
            downloadable=True,
            fields=interpolation.VIDEO_FIELDS,
        ),
        OutputKind("gif", "GIF", "image/gif", ".gif", "The job's animated GIF.", downloadable=True),
        OutputKind(
            "subtitles",
            "subtitles",
            "application/x-subrip",
            ".srt",
            "The job's srt file.",
            downloadable=True,
        ),
        # The tab sends it inside its page: settings are no files that a server hands out by their paths.
        OutputKind(
            "settings",
            "settings file",
            "application/json",
            "_settings.txt",
            "The job's settings file, as it was saved.",
        ),
        OutputKind(
            "upscaled_frame",
            "upscaled frame",
            PNG,
            "{start}{frame:09d}.png",
            "Enlarged frames, with r_upscale_keep_imgs.",
            fields=_IN_FOLDER,
            folders=(upscaling.folder_name("{timestring}"),),
        ),
        OutputKind(
            "interpolated_frame",
            "interpolated frame",
            PNG,
            "{start}{frame:09d}.png",
            "Frames and those between them, with frame_interpolation_keep_imgs.",
            fields=_IN_FOLDER,
            folders=tuple(
                interpolation.folder_name("{timestring}", engine) for engine in interpolation.ENGINES.values()
            ),
        ),
    )
}


def output_kind(name: str) -> OutputKind:
    """Return the row of a kind.

    Raises:
        UnknownName: no such kind; the message lists the kinds there are.
    """
    return choose(KINDS, name, "kind of output")


def kind_of(suffix: str) -> tuple[OutputKind, int | None] | None:
    """Return the kind and the frame number of the file whose name ends with `suffix` after the run's timestring.

    Files of kinds with folders lie elsewhere, and are found by their folders.

    >>> [kind_of(suffix) and kind_of(suffix)[0].name for suffix in ("_000000007.png", ".mp4", "_notes.txt")]
    ['frame', 'video', None]
    """
    for kind in KINDS.values():
        if not kind.folders and (found := kind.pattern.fullmatch(suffix)):
            return kind, kind.frame_of(found)
    return None


def frame_query(name: str) -> str:
    """Return the query by which the route of one frame, `frames/{n}`, sends a file of a numbered kind."""
    return {"frame": "", "depth": "?depth=true"}.get(name, f"?kind={name}")


def single_kinds() -> tuple[str, ...]:
    """Return the names of the kinds with one file per run."""
    return tuple(name for name, kind in KINDS.items() if not kind.numbered)


def numbered_kinds() -> tuple[str, ...]:
    """Return the names of the kinds with one file per frame."""
    return tuple(name for name, kind in KINDS.items() if kind.numbered)


INTRODUCTION = """\
# Outputs

This page is made by `python -m deforum_helpers.settings`; edit `deforum_helpers/output/kinds.py`, not the page.

The kinds of files that a run leaves in its folder. `{timestring}` are the 14 digits that name the run. The
[API](API.md) lists the files of a job by these kinds at `/deforum_api/jobs/{id}/outputs`, and sends each at the
route below `/deforum_api/jobs/{id}`. `{slower}`, `{source}` and `{start}` may be empty;
[post-processing](postprocessing.md) has examples.

| kind | file | content | media type | route |
|---|---|---|---|---|
"""


def kinds_page() -> str:
    """Return docs/outputs.md."""
    return INTRODUCTION + "".join(map(_row, KINDS.values()))


def _row(kind: OutputKind) -> str:
    folders = [f"{folder}/{kind.suffix}" for folder in kind.folders]
    files = ", ".join(f"`{name}`" for name in folders or [f"{{timestring}}{kind.suffix}"])
    route = f"`/frames/{{n}}{frame_query(kind.name)}`" if kind.numbered else f"`/{kind.name}`"
    return f"| `{kind.name}` | {files} | {kind.about} | {kind.media_type} | {route} |\n"
