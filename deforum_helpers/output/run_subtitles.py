"""The subtitles of a run: what its plan says of each frame that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deforum_helpers.options import Options
from deforum_helpers.output.names import Run
from deforum_helpers.output.subtitles import Moment, Style, SubtitleWriter, spans
from deforum_helpers.render.plan import Plan


def write_subtitles(plan: Plan, options: Options, run: Run, shown: Sequence[int]) -> Path:
    """Write the subtitles of a run and return their file.

    Args:
        plan: gives what they say.
        options: how they say it.
        run: names the file.
        shown: numbers of the frames of the video, in order.
    """
    style = Style(
        params=options.deforum_save_gen_info_as_srt_params,
        simple=options.deforum_simple_subtitles,
        prompt_apart=options.deforum_own_line_for_prompt_srt,
    )
    written_always = options.deforum_always_write_keyframe_subtitle
    keys = {plan.shown(index) - shown[0] for index in plan.key_frames.indices if written_always and shown}
    with SubtitleWriter(run.srt_path, plan.fps, style) as writer:
        for span in spans(len(shown), plan.fps, options.deforum_subtitles_per_second, keys):
            frame = shown[span.first]
            label, seed = plan.subtitle_heads[plan.shown(frame)]
            values, prompt = plan.schedules.at(frame), plan.prompts.texts[frame]
            writer.write(Moment(frame, label, seed, values, prompt), span)
        return writer.finish()
