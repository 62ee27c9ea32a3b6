"""Prompts: what a person may ask an assistant to do with Deforum, in one click."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field


def plan_film(
    idea: Annotated[str, Field(description="What the film shows.")],
    seconds: Annotated[str, Field(description="How long it lasts.")] = "8",
) -> str:
    """Turn an idea into a film: plan it, check it, and render it once I agree."""
    return (
        f"Make a film of about {seconds} seconds with Deforum: {idea}\n\n"
        "1. Ask server_health what the server can do, and list_settings with tab 'Keyframes > Motion' how it moves.\n"
        "2. Choose fps and max_frames for that length, prompts by frame, and schedules for a motion that suits it; "
        "a prompt should change every two to four seconds at most.\n"
        "3. Use check_settings, with values_of for the schedules that move, until there are no errors.\n"
        "4. Tell me the plan in a few lines, with the number of diffused frames, and wait for my consent.\n"
        "5. Then submit, watch, and show me the first, the middle and the last frame with show_frames."
    )


def mend_settings(
    settings: Annotated[str, Field(description="The settings as JSON, from a file of any year.")],
) -> str:
    """Find out what is wrong with settings and mend it without changing what the film shows."""
    return (
        "These Deforum settings do not do what they should. Use check_settings, read about every setting that it names "
        "with describe_settings, and change as little as possible until there are no errors and no warning that "
        f"matters. Tell me each change and why, and give me the whole object.\n\n{settings}"
    )


def review_film(job_id: Annotated[str, Field(description="Id of the job.")]) -> str:
    """Look at a finished film and say what would make it better."""
    return (
        f"Look at the Deforum job {job_id}: get_job with its settings, list_outputs, and show_frames for six frames "
        "spread evenly over the film. Say whether it shows what its prompts ask for, where it drifts, flickers or "
        "tears at the edges, and propose the three changes of settings that would help most, checked with "
        "check_settings."
    )
