"""The kinds of output, one row each.

The writers, the manifest, the API and its documentation, the clients and the tab all read this table. A new kind is a
row here and a writer in `output/writer.py`. Importing this module needs only the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from string import Formatter

from deforum_helpers.core.registry import choose
from deforum_helpers.models import interpolation, upscaling

VIDEO = "video/mp4"
PNG = "image/png"
_FRAME_NUMBER = "[0-9]{9}"
# Upscaled frames are named like their frames; interpolated frames have a number, with a prefix in the case of FILM.
_IN_FOLDER = {"start": "(?:[0-9]{14}_|frame_)?"}


@dataclass(frozen=True)
class OutputKind:
    """One kind of output.

    Args:
        name: the kind in manifests and listings; for a kind with one file per run also the last part of its route.
        label: the file's name in the tab and in the API's documentation.
        media_type: media type of the HTTP response.
        suffix: the part of the file name after the timestring, with format fields; a field `frame` means one file per
            frame. For a kind with folders, the whole file name.
        about: one sentence for the API's documentation.
        downloadable: whether the tab offers the file and `--save` downloads it.
        fields: regular expression for each format field of `suffix` other than `frame`.
        folders: names of the subfolders that hold the files, with the field `timestring`.
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
        """A pattern that matches exactly the names that `suffix` can produce."""
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
        """The extension of the file name, such as ".mp4"."""
        return f".{self.suffix.rpartition('.')[2]}"

    def frame_of(self, found: re.Match[str]) -> int | None:
        """Return the frame number in a match of `pattern`, None for a kind with one file per run."""
        return int(found["frame"]) if self.numbered else None


# Frames come first: a run has up to a hundred thousand of them, and the first matching row is taken.
KINDS: dict[str, OutputKind] = {
    kind.name: kind
    for kind in (
        OutputKind("frame", "frame", PNG, "_{frame:09d}.png", "The frames, numbered from 0."),
        OutputKind("depth", "depth map", PNG, "_depth_{frame:09d}.png", "Depth maps, with save_depth_maps."),
        OutputKind("video", "video", VIDEO, ".mp4", "The job's video.", downloadable=True),
        OutputKind(
            "preview_video",
            "preview video",
            VIDEO,
            "_preview.mp4",
            "Video of the frames so far, as of the newest preview, with deforum_preview.",
        ),
        OutputKind(
            "upscaled_video",
            "upscaled video",
            VIDEO,
            upscaling.VIDEO_SUFFIX,
            "The job's video of upscaled frames.",
            downloadable=True,
            fields=upscaling.VIDEO_FIELDS,
        ),
        OutputKind(
            "interpolated_video",
            "interpolated video",
            VIDEO,
            interpolation.VIDEO_SUFFIX,
            "The job's video with interpolated frames.",
            downloadable=True,
            fields=interpolation.VIDEO_FIELDS,
        ),
        OutputKind("gif", "GIF", "image/gif", ".gif", "The job's animated GIF.", downloadable=True),
        OutputKind(
            "subtitles",
            "subtitles",
            "application/x-subrip",
            ".srt",
            "The job's subtitles in SubRip form.",
            downloadable=True,
        ),
        # The tab embeds the settings in its page, since they must not be served by their path.
        OutputKind(
            "settings",
            "settings file",
            "application/json",
            "_settings.txt",
            "The job's settings file.",
        ),
        OutputKind(
            "upscaled_frame",
            "upscaled frame",
            PNG,
            "{start}{frame:09d}.png",
            "Upscaled frames, with r_upscale_keep_imgs.",
            fields=_IN_FOLDER,
            folders=(upscaling.folder_name("{timestring}"),),
        ),
        OutputKind(
            "interpolated_frame",
            "interpolated frame",
            PNG,
            "{start}{frame:09d}.png",
            "Frames of the interpolated video, with frame_interpolation_keep_imgs.",
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
        UnknownName: the kind is unknown; the message lists the known kinds.
    """
    return choose(KINDS, name, "kind of output")


def kind_of(suffix: str) -> tuple[OutputKind, int | None] | None:
    """Return the kind and frame number of the file with `suffix` after the timestring, None for another file.

    Kinds with folders are found by their folders instead.

    >>> [kind_of(suffix) and kind_of(suffix)[0].name for suffix in ("_000000007.png", ".mp4", "_notes.txt")]
    ['frame', 'video', None]
    """
    for kind in KINDS.values():
        if not kind.folders and (found := kind.pattern.fullmatch(suffix)):
            return kind, kind.frame_of(found)
    return None


def frame_query(name: str) -> str:
    """Return the query string that makes the route `frames/{n}` send a file of this kind."""
    return {"frame": "", "depth": "?depth=true"}.get(name, f"?kind={name}")


def single_kinds() -> tuple[str, ...]:
    """Return the names of the kinds with one file per run."""
    return tuple(name for name, kind in KINDS.items() if not kind.numbered)


def numbered_kinds() -> tuple[str, ...]:
    """Return the names of the kinds with one file per frame."""
    return tuple(name for name, kind in KINDS.items() if kind.numbered)


INTRODUCTION = """\
# Outputs

This page is generated by `python -m deforum_helpers.settings`; edit `deforum_helpers/output/kinds.py`, not the page.

The kinds of files that a run writes into its folder. `{timestring}` stands for the 14 digits that identify the run;
`{slower}`, `{source}` and `{start}` may be empty. The [API](API.md) lists a job's files at
`/deforum_api/jobs/{id}/outputs` and sends each at its route below `/deforum_api/jobs/{id}`.
[Post-production](postprocessing.md) has examples.

| kind | file | content | media type | route |
|---|---|---|---|---|
"""


def kinds_page() -> str:
    """Return the content of docs/outputs.md."""
    return INTRODUCTION + "".join(map(_row, KINDS.values()))


def _row(kind: OutputKind) -> str:
    folders = [f"{folder}/{kind.suffix}" for folder in kind.folders]
    files = ", ".join(f"`{name}`" for name in folders or [f"{{timestring}}{kind.suffix}"])
    route = f"`/frames/{{n}}{frame_query(kind.name)}`" if kind.numbered else f"`/{kind.name}`"
    return f"| `{kind.name}` | {files} | {kind.about} | {kind.media_type} | {route} |\n"
