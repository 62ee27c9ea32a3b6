"""Messages about the files of a run: soundtrack, frames, video, settings inside files, folders, resumed runs."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Soundtrack, each with the setting or argument that names the file
SOUNDTRACK_UNKNOWN_FORMAT = Message(
    "soundtrack_unknown_format",
    "{setting} names {name!r}, which is neither a sound nor a video file; expected mp3, wav, flac, ogg, m4a, mp4, mov, "
    "mkv or another format that ffmpeg reads. Playlists are not read.",
)
SOUNDTRACK_UNUSABLE = Message(
    "soundtrack_unusable", "{setting} names {name!r}, which {why}; expected a local sound or video file."
)
SOUNDTRACK_DAMAGED = Message(
    "soundtrack_damaged",
    "{setting} names {name!r}, which is damaged or incomplete; expected a sound or video file.",
)
SOUNDTRACK_SILENT = Message(
    "soundtrack_silent", "{setting} names {name!r}, which has no sound; expected a file with a sound track."
)
SOUNDTRACK_UNDECODABLE = Message(
    "soundtrack_undecodable",
    "{setting} names {name!r}, whose sound cannot be decoded; expected a format that ffmpeg decodes.",
)

# Frames
STEP_DAMAGED = Message("step_damaged", "A step that another worker rendered is damaged.")
FRAME_UNUSABLE = Message(
    "frame_unusable", "The frame {name} {why}; restore the file, or render the run again."
)
FRAME_INCOMPLETE = Message(
    "frame_incomplete", "The frame {name} is not a complete image; delete it and resume the run."
)
FRAME_SIZE_DIFFERS = Message(
    "frame_size_differs",
    "The image {name} has {found} pixels, but the first image has {expected}; all images of a video need the same "
    "size.",
)

# Encoding
VIDEO_FORMAT = Message(
    "video_format",
    "A video needs a width, a height and a frame rate above 0; found {width} x {height} pixels at {fps} frames per "
    "second.",
)
VIDEO_ENDED = Message("video_ended", "{work} failed: the encoder had already ended after {frames} frames.")
VIDEO_WITHOUT_FRAMES = Message("video_without_frames", "{work} failed: no frame was written.")
VIDEO_FRAMES_LOST = Message(
    "video_frames_lost", "{work} failed: {written} frames were written, but the file has {counted}."
)
NVENC_UNUSABLE = Message(
    "nvenc_unusable",
    "x264 encodes the video, because deforum_ffmpeg_encoder nvenc does not work here ({reason}).",
)
VIDEO_HUNG = Message("video_hung", "{work} failed: ffmpeg did not respond within {seconds:g} seconds.")
VIDEO_ABORTED = Message("video_aborted", "{work} failed: the encoder was stopped.")

# Manifest
OUTPUT_EMPTY = Message(
    "output_empty", "{name} is empty: the file was damaged after it was written. Render the run again."
)
OUTPUTS_UNREADABLE = Message("outputs_unreadable", "The manifest {name} is missing or damaged.")
OUTPUTS_VERSION = Message(
    "outputs_version", "The manifest {name} has version {found}; this program reads version {expected}."
)

# Settings inside images and videos
_EXPECTED_FILE = "expected a settings file, or a frame or video of a run."
CARRIER_NOT_PNG = Message("carrier_not_png", f"The file {{name}} is not a PNG image; {_EXPECTED_FILE}")
CARRIER_WITHOUT_SETTINGS = Message(
    "carrier_without_settings", f"The file {{name}} contains no Deforum settings; {_EXPECTED_FILE}"
)
CARRIER_JSON_TOO_LARGE = Message(
    "carrier_json_too_large", f"The file {{name}} contains settings whose JSON {{why}}; {_EXPECTED_FILE}"
)
CARRIER_UNUSABLE = Message("carrier_unusable", f"The file {{name}} {{why}}; {_EXPECTED_FILE}")

# Folders of runs
TIMESTRING_INVALID = Message(
    "timestring_invalid",
    "resume_timestring is {found!r}; expected the 14 digits that the names of the run's files begin with.",
)
BATCH_FOLDER_IS_LINK = Message(
    "batch_folder_is_link",
    "batch_name {name!r} is a link, and nothing is written through links; choose another batch_name or remove the "
    "link.",
)
BATCH_FOLDER_LEADS_OUT = Message(
    "batch_folder_leads_out",
    "batch_name {name!r} is a link that leads out of the output folder; choose another batch_name or remove the link.",
)

# Resumed runs
RUN_FILE_UNUSABLE = Message(
    "run_file_unusable",
    "The run {run} cannot be resumed: its {part} is {state} ({name}). Restore the file, or render the run again.",
)
RUN_SIZE_DIFFERS = Message(
    "run_size_differs",
    "The run {run} cannot be resumed: its frames have {found} pixels, but W and H are now {wanted}. Restore W and H, "
    "or render the run again.",
)
RUN_HAS_MORE_FRAMES = Message(
    "run_has_more_frames",
    "The run {run} cannot be resumed: it has {found} frames, but max_frames is now {wanted}. Set max_frames to at "
    "least {found}, or render the run again.",
)
RUN_BEING_RENDERED = Message(
    "run_being_rendered",
    "The run {run} in {folder} is being rendered by process {pid}; wait until it ends, or park it (Ctrl+C there, or "
    "Pause in its tab), then resume.",
)
_NOT_FOUND = (
    "resume_timestring is {found!r}, but {folder} contains neither a resume state nor settings of that run"
)
RUN_IN_OTHER_FOLDER = Message(
    "run_in_other_folder", f"{_NOT_FOUND}; the run is in {{other}}: set batch_name to that folder's name."
)
RUN_NOT_FOUND = Message("run_not_found", f"{_NOT_FOUND}; the newest runs there are {{newest}}.")
RUN_NOT_IN_FOLDER = Message("run_not_in_folder", f"{_NOT_FOUND}; the newest runs elsewhere are {{newest}}.")
NO_RUNS = Message("no_runs", f"{_NOT_FOUND}, and no other run can be resumed.")
