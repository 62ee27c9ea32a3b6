"""Messages about a job as a whole: its files, its host, its plan, and how it is resumed."""

from __future__ import annotations

from deforum_helpers.core.messages import Message

# Images and masks
END_IMAGE_SIZE = Message(
    "end_image_size", "{setting}: the image has {found}; expected the size of the video, {allowed}."
)
MASK_IS_SCALED = Message(
    "mask_is_scaled",
    "{setting}: the mask is {found} pixels, the video {size}; the mask is scaled to fit. Supply it in the size of the "
    "video to avoid that.",
)
MASK_VIDEO_SHORT = Message(
    "mask_video_short",
    "The mask video has {count} frames, the video {frames}; the last frame of the mask video is repeated to the end.",
)

# Videos and sound
CONTROL_VIDEO_SHORT = Message(
    "control_video_short",
    "{setting} has {count}, the video {frames}; its last frame is repeated to the end.",
)
EXTRACT_TO_BEYOND_END = Message(
    "extract_to_beyond_end",
    "extract_to_frame is {last}, but {setting} has only {count} frames; they are used to the last one.",
)
SOUNDTRACK_UNNAMED = Message(
    "soundtrack_unnamed", "add_soundtrack is {source}, but {setting} is empty; the video has no sound."
)
VIDEO_WITHOUT_SOUND = Message(
    "video_without_sound",
    "add_soundtrack is Init Video, but the init video has no readable sound; the video has no sound.",
)
HEARD_SILENT = Message(
    "heard_silent", "{setting} names {name!r}, which is silent; expected a sound that schedules can follow."
)
HEARD_TOO_SHORT = Message(
    "heard_too_short", "{setting} names {name!r}, a sound of {seconds:.2f} s; expected {allowed}."
)
HEARD_TOO_LONG = Message(
    "heard_too_long", "{setting} names {name!r}, a sound of more than {hours:g} hours; expected {allowed}."
)
HEARD_UNREADABLE = Message(
    "heard_unreadable", "{setting} names {name!r}, whose sound cannot be decoded ({why}); expected {allowed}."
)
NO_BEATS = Message(
    "no_beats",
    "bpm is 0, and no beats were found in {name!r}, the file of {setting}; expected the beats per minute in bpm.",
)
LENGTH_WITHOUT_SOUND = Message(
    "length_without_sound",
    "max_frames is 0, which takes the length of the sound, but the settings name no sound; expected {allowed}.",
)
LENGTH_OF_LONG_SOUND = Message(
    "length_of_long_sound",
    "max_frames is 0, and the sound lasts {seconds:.6g} s, {frames} frames at {fps:g} fps; expected at most {allowed}.",
)
SOUND_RUNS_APART = Message(
    "sound_runs_apart",
    "add_soundtrack is Init Video, of which {used:.6g} frames per second are used, but fps is {fps:g}: the "
    "images run at {speed:.3g} times the speed of the sound, and at the end of the video they are {apart_s:.2f} "
    "s apart; {advice}.",
)

# What the host or the machine lacks
FEATURE_UNAVAILABLE = Message("feature_unavailable", "{setting}: {reason}.")
SWITCH_UNAVAILABLE = Message("switch_unavailable", "{setting} is true: {reason} Expected false here.")
UNKNOWN_HOST_NAME = Message(
    "unknown_host_name",
    "{place} is {found}, a {kind} that this host does not have; expected one of: {allowed}.",
)
DISK_TOO_SMALL = Message(
    "disk_too_small",
    "max_frames: {frames} frames of {width}x{height} need about {needed}{included}, but the disk of the output "
    "folder has {free} free; render fewer or smaller frames, or free some space.",
)
LORA_UNKNOWN = Message(
    "lora_unknown",
    "prompts, frame {frame}: found no LoRA {name!r}; expected one of: {allowed}. LoRAs belong in the folder {folder!r} "
    "beside the checkpoint or beside its folder; the built-in model takes none.",
)
LORA_TAG_MALFORMED = Message(
    "lora_tag_malformed",
    "prompts, frame {frame}: {tag!r} is not a LoRA tag and remains text of the prompt; expected a tag like "
    "<lora:name:0.8>.",
)
_WILDCARD = "{place}: expected {allowed}, found {found}."
WILDCARDS_OFF = Message(
    "wildcards_off",
    "{place}: the model gets {found} as text, since wildcards is off; turn it on to choose one by the seed.",
)
WILDCARD_MISSING = Message("wildcard_missing", _WILDCARD)
WILDCARD_UNREADABLE = Message("wildcard_unreadable", _WILDCARD)
WILDCARD_EMPTY = Message("wildcard_empty", _WILDCARD)
WILDCARD_RECURSION = Message("wildcard_recursion", _WILDCARD)
WILDCARDS_TOO_MANY = Message("wildcards_too_many", _WILDCARD)
MIDAS_WEIGHT_UNUSED = Message(
    "midas_weight_unused", "midas_weight has no effect: there is no second depth model here to mix in."
)

# ControlNet
UNIT_NAME_UNKNOWN = Message(
    "control_unit_name_unknown",
    "{setting} names the ControlNet {kind} {found!r}, which this host does not have; expected one of: {allowed}.",
)
UNIT_REFUSED = Message(
    "control_unit_refused",
    "{setting} is true, but {reason}; switch it off, or render with a Stable Diffusion checkpoint (--ckpt).",
)
UNIT_VALUE_REFUSED = Message("control_unit_value_refused", "{setting} is {found!r}: {reason}")
UNIT_NOTE = Message("control_unit_note", "{setting}: {note}.")
UNIT_WITHOUT_IMAGE = Message(
    "control_unit_without_image",
    "{setting} {state}, but frame {frame} is generated without an init image, so the unit has no image to "
    "follow; name an image or a video in cn_{unit}_vid_path, or start from an init image.",
)
UNIT_FOLLOWS_FRAMES = Message(
    "control_unit_follows_frames",
    "cn_{unit}_vid_path is empty; the unit follows the image from which each frame is generated, as with "
    "cn_{unit}_loopback_mode.",
)
UNIT_TOO_COARSE = Message(
    "control_unit_too_coarse",
    "cn_{unit}_processor_res is {side}, so {module} sees only {side} pixels; cn_{unit}_pixel_perfect, or a "
    "processor_res of 512 or -1, gives it more detail.",
)

# Additional outputs
UPSCALED_TOO_LARGE = Message(
    "upscaled_too_large", "r_upscale_factor {factor} makes frames of {size} pixels; expected {allowed}."
)
INTERPOLATED_TOO_LONG = Message(
    "interpolated_too_long",
    "frame_interpolation_x_amount {times} makes {count:,} frames of {frames:,}; expected {allowed}.",
)
EXTRA_VIDEO_INCOMPLETE = Message(
    "extra_video_incomplete", "The video {name} has {found} frames; expected {expected}."
)
PREVIEW_FRAME_LATE = Message(
    "preview_frame_late", "Frame {frame} was not written within {seconds:.0f} seconds."
)
PREVIEW_STOPPED = Message("preview_stopped", "The job is stopping.")
SCENE_MEMORY_FULL = Message(
    "scene_memory_full",
    "The scene memory has reached scene_memory_mb; the areas seen longest ago are forgotten.",
)

# Options, and what a video or a Parseq manifest decides
OUTPUT_FOLDER_OUTSIDE = Message(
    "output_folder_outside", "The option 'outdir_samples' is {found}; expected {allowed}."
)
LEFT_OUT = Message("left_out", "{problem} It is ignored.")
SCHEDULES_FROM_MANIFEST = Message(
    "schedules_from_manifest",
    "The Parseq manifest drives {driven}; the other {count} schedules come from the settings.",
)
MANIFEST_DELTAS_MISSING = Message(
    "manifest_deltas_missing",
    "The Parseq manifest lacks {names}, which parseq_use_deltas expects; the schedules of the settings are used "
    "instead.",
)
VALUES_FROM_MANIFEST = Message("values_from_manifest", "The Parseq manifest sets {values}.")
LENGTH_FROM_VIDEO = Message(
    "length_from_video",
    "max_frames is {asked}, but video_init_path has {found} frames, so the video has {planned}; {advice}.",
)
CADENCE_UNUSED = Message(
    "cadence_unused",
    "diffusion_cadence is {cadence}, but animation_mode {mode} generates every frame, so it has no effect.",
)

# Resumed runs
RUN_LOST = Message(
    "run_lost",
    "The run {run} cannot be resumed: the folder {folder!r} has no resume state of it. Render the run again.",
)
RUN_STATE_UNREADABLE = Message(
    "run_state_unreadable",
    "The run {run} cannot be resumed: its resume state {reason}. Render the run again.",
)
RUN_COMPLETE_WITHOUT_STATE = Message(
    "run_complete_without_state",
    "The run {run} has no resume state; all of its {frames} frames exist and are kept.",
)
RUN_WITHOUT_STATE = Message(
    "run_without_state",
    "The run {run} has no resume state: it continues at frame {frame}, the first one missing, with the settings "
    "as they are now.",
)
RUN_FRAME_MISSING = Message(
    "run_frame_missing",
    "Frame {frame} of the run {run} is missing: the run continues there, with the settings as they are now.",
)
RUN_SETTINGS_DIFFER = Message(
    "run_settings_differ",
    "The settings differ from those that the run {run} was started with; the new ones apply from frame {frame}.",
)
RUN_ENGINE_DIFFERS = Message(
    "run_engine_differs",
    "The run {run} was started with {found}; from frame {frame} on its frames are generated by {engine} and may look "
    "different. Cancel the job to keep the run as it is, and resume it where it was started.",
)
RUN_FILES_MOVED = Message(
    "run_files_moved",
    "The files of the run {run} beyond its first {frames} frames were moved to the folder {folder!r}.",
)

# Several workers
SEGMENT_WORKER_ENDED = Message("segment_worker_ended", "It ended without finishing its frames.")
SEGMENT_FAILED = Message(
    "segment_failed", "Another worker failed unexpectedly ({kind}); its log has the details."
)
OTHER_PLAN = Message(
    "worker_plans_otherwise",
    "The worker computed another plan from the settings; all workers need the same version of the program and the "
    "same files.",
)
SEGMENT_WORKER_LOST = Message(
    "segment_worker_lost", "{times} workers in a row ended while they rendered frame {frame}; see their logs."
)
SEGMENT_WORKERS_LOST = Message(
    "segment_workers_lost", "All workers ended before frame {frame} was rendered; see their logs."
)

# Plots
NO_PATH_IN_2D = Message(
    "no_camera_path_in_2d", "The camera path is plotted in 3D mode only; in 2D the image plane moves."
)
NO_PATH_WITHOUT_MOTION = Message(
    "no_camera_path", "The camera path is plotted in 3D mode only; this mode has no camera motion."
)

# Export of the camera
NO_CAMERA = Message(
    "export_without_camera", "animation_mode is {mode}, whose frames have no camera; expected 2D or 3D."
)
FLIP_NOT_EXPORTED = Message(
    "export_without_flip", "The perspective flip is not a camera move and is not part of the exported camera."
)
ZOOM_WITHOUT_CAMERA = Message(
    "export_zoom_zero",
    "zoom is 0 at frame {frame}: no camera shows an image as a point; expected a zoom other than 0.",
)
