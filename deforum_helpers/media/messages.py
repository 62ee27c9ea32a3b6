"""Messages about input videos and image sequences, and about the program ffmpeg."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Input videos, each with the setting or argument that names the file
INPUT_UNUSABLE = Message("video_input_unusable", "{setting} names {name!r}, which {why}; expected {allowed}.")
INPUT_WITHOUT_IMAGES = Message(
    "video_input_without_images", "{setting} names {name!r}, which has no video stream; expected {allowed}."
)
INPUT_NOT_VIDEO = Message(
    "video_input_not_video",
    "{setting} names {name!r}, which is not a readable video; expected {allowed}. Playlists are not read.",
)
INPUT_UNDECODABLE = Message(
    "video_input_undecodable",
    "{setting} names {name!r}, which cannot be decoded: the file is damaged, or its codec or size is not supported; "
    "expected {allowed}.",
)
INPUT_UNREADABLE_NOW = Message(
    "video_input_unreadable_now",
    "{setting} names {name!r}, which cannot be read at present ({why}); expected {allowed}.",
)
SINGLE_IMAGE = Message(
    "video_input_single_image",
    "{setting} names {name!r}, which is a single image, not a video; expected {allowed}.",
)
SEQUENCE_LENGTH = Message("image_sequence_length", "{setting} names {found}; expected {allowed}.")
SELECTION_LENGTH = Message(
    "video_selection_length", "{setting}: {found} select {count} frames of the video; expected {allowed}."
)

# What is changed about an input video
MIXED_SIZES = Message(
    "image_sequence_mixed_sizes",
    "{subject} contains images of different sizes; all are scaled to the size of the first one, {size}.",
)
VARIABLE_RATE = Message(
    "video_variable_rate",
    "{subject} has a variable frame rate, {found} frames in {seconds:.2f} s; it is resampled to {fps:g} frames per "
    "second, which gives {frames} frames: each is shown until the next one or the end.",
)

# While a video is read
NO_VIDEO_STREAM = Message("no_video_stream", "The file has no video stream.")
NO_FRAME_DECODED = Message("no_frame_decoded", "No frame of the video can be decoded.")
CODEC_UNSUPPORTED = Message("codec_unsupported", "The codec of the video is not supported.")
MOSTLY_DAMAGED = Message("video_mostly_damaged", "Most of the video cannot be decoded.")
SOUND_UNDECODABLE = Message("sound_undecodable", "The file has no sound that can be decoded.")
SOUND_TOO_LONG = Message("sound_too_long", "The sound is longer than {hours:g} hours.")
READING_FAILED = Message("video_reading_failed", "{work} failed: {why}.")
READING_TOO_SLOW = Message(
    "video_reading_too_slow", "{work} failed: it did not end within {seconds:g} seconds."
)
EXTRACTED_COUNT = Message(
    "video_extracted_count",
    "The video {name!r} yielded {found} frames, but {expected} were counted; the file is damaged or was changed.",
)
INPUT_GONE = Message(
    "video_input_gone", "The video {name!r} {why}; restore the file, or choose another video."
)

# ffmpeg
FFMPEG_NOT_THERE = Message(
    "ffmpeg_not_there",
    "deforum_ffmpeg_location is {found!r}, but no program is there; clear the option, or install ffmpeg with: "
    "{install}",
)
FFMPEG_MISSING = Message(
    "ffmpeg_missing", "Encoding videos needs ffmpeg, which was not found; install it with: {install}"
)
FFMPEG_NOT_STARTED = Message(
    "ffmpeg_not_started",
    "The ffmpeg program {name!r} cannot be started ({why}); install another one with: {install}",
)
FFMPEG_TIMEOUT = Message("ffmpeg_timeout", "{work} failed: ffmpeg did not end within {seconds:g} seconds.")
FFMPEG_DISK_FULL = Message("ffmpeg_disk_full", "{work} failed: the disk is full; free some space and resume.")
FFMPEG_KILLED = Message(
    "ffmpeg_killed", "{work} failed: ffmpeg was killed ({by}); all frames are kept, so try again."
)
FFMPEG_FAILED = Message("ffmpeg_failed", "{work} failed: ffmpeg ended with status {status}: {said}")

# Camera files
CAMERA_FILE_UNUSABLE = Message(
    "camera_file_unusable", "{setting} names {name!r}, which {why}; expected {allowed}."
)
CAMERA_FILE_UNKNOWN = Message(
    "camera_file_unknown", "{setting} names {name!r}, which is not a camera file; expected {allowed}."
)
CAMERA_FILE_BROKEN = Message(
    "camera_file_broken", "{setting} names {name!r}, in which {part} cannot be read; expected {allowed}."
)
CAMERA_FILE_WITHOUT_CAMERA = Message(
    "camera_file_without_camera", "{setting} names {name!r}, which contains no camera; expected {allowed}."
)
CAMERA_FILE_ORTHOGRAPHIC = Message(
    "camera_file_orthographic",
    "{setting} names {name!r}, whose camera has no perspective; expected {allowed}, with a perspective camera.",
)
CAMERA_FILE_SEVERAL = Message(
    "camera_file_several",
    '{setting} names {name!r}, which has several {what}: {allowed}; choose one as in file({name!r}, {key}="...").',
)
CAMERA_FILE_NAME_UNKNOWN = Message(
    "camera_file_name_unknown",
    "{setting} names {name!r}, which has no {what} {found!r}; expected one of {allowed}.",
)
CAMERA_FILE_POSE = Message(
    "camera_file_pose", "{setting} names {name!r}, whose pose {number} {fault}; expected {allowed}."
)
CAMERA_FILE_FOV = Message(
    "camera_file_fov",
    "{setting} names {name!r}, whose field of view is {found} degrees at pose {number}; expected {allowed}.",
)
CAMERA_FILE_VALUE = Message(
    "camera_file_value", "{setting} names {name!r}, in which {part} is {found}; expected {allowed}."
)
CAMERA_FILE_LINE = Message(
    "camera_file_line",
    "{setting} names {name!r}, whose {file} has {found} in line {line}; expected {allowed}.",
)
CAMERA_FOLDER_INCOMPLETE = Message(
    "camera_folder_incomplete",
    "{setting} names the folder {name!r}, which has no {missing}; expected cameras.txt and images.txt, which COLMAP "
    "writes with model_converter --output_type TXT.",
)
CAMERA_BUFFER_OUTSIDE = Message(
    "camera_buffer_outside", "{setting} names {name!r}, whose data is in {found!r}; expected {allowed}."
)
