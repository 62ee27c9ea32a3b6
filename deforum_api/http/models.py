"""Request and response bodies, in the subset of pydantic that 1.10 and 2 share."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pydantic
from pydantic import Field

from deforum_api.queue.record import HIGHEST_PRIORITY
from deforum_helpers.output.kinds import KINDS

JsonObject = dict[str, Any]

if pydantic.VERSION.startswith("1."):

    def _mark_nullable(schema: JsonObject, model: Any) -> None:
        """Say in the schema which fields may be null, which pydantic 1 keeps to itself."""
        for field in model.__fields__.values():
            if field.allow_none:
                described = schema["properties"][field.alias]
                if "$ref" in described:
                    described["allOf"] = [{"$ref": described.pop("$ref")}]
                described["nullable"] = True

    class BaseModel(pydantic.BaseModel, schema_extra=_mark_nullable):  # type: ignore[call-arg]
        """What all our bodies are made of."""

else:
    BaseModel = pydantic.BaseModel  # type: ignore[assignment, misc]


class JobStatusCategory(str, Enum):
    """The status of a job."""

    ACCEPTED = "ACCEPTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class JobPhase(str, Enum):
    """The current phase of a job, or its phase when it ended."""

    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    GENERATING = "GENERATING"
    POST_PROCESSING = "POST_PROCESSING"
    DONE = "DONE"


class JobErrorType(str, Enum):
    """Whether the same job may succeed later."""

    NONE = "NONE"
    RETRYABLE = "RETRYABLE"
    TERMINAL = "TERMINAL"


class Batch(BaseModel):
    """One or more jobs to be rendered."""

    # The list comes first: pydantic 1.10 would otherwise read a list of pairs as an object.
    deforum_settings: list[JsonObject] | JsonObject = Field(
        ...,
        description="One settings object, or a list of them, one job each; omitted settings have their defaults.",
    )
    options_overrides: JsonObject | None = Field(
        None, description="Host options that apply to these jobs only."
    )
    priority: int | None = Field(
        None,
        ge=-HIGHEST_PRIORITY,
        le=HIGHEST_PRIORITY,
        description="Jobs of a higher priority are taken first; 0 by default.",
    )
    webhook_url: str | None = Field(
        None, max_length=2000, description="Address that is notified when a job of the batch has ended."
    )


class SettingProblem(BaseModel):
    """One problem of one setting."""

    job: int | None = Field(..., description="Number of the job in the batch, from 0.")
    setting: str | None = Field(..., description="Name of the setting.")
    frame: int | None = Field(..., description="Frame at which a schedule fails.")
    column: int | None = Field(..., description="Position in the setting's text, from 1.")
    found: str | None = Field(..., description="The text found there.")
    allowed: str | None = Field(..., description="The allowed values.")
    message: str = Field(..., description="The problem in one sentence.")
    code: str = Field("", description="Name of the message, which stays the same when its wording changes.")


class FieldProblem(BaseModel):
    """One wrong field of a request."""

    loc: list[str | int]
    msg: str
    type: str


class ErrorResponse(BaseModel):
    """The body of every error."""

    id: str | None = Field(..., description="Id of the job or batch concerned.")
    status: str = Field(..., description="Name of the HTTP status.")
    message: str = Field(..., description="What happened and what to do, in one sentence.")
    detail: str | list[FieldProblem] = Field(
        ..., description="The same sentence; for 422 the list of field errors."
    )
    errors: list[SettingProblem] = Field(..., description="Every wrong setting.")


class BatchSubmitResponse(BaseModel):
    """A batch was recorded and queued."""

    message: str
    batch_id: str
    job_ids: list[str]
    warnings: dict[str, list[str]] = Field(..., description="Warnings of each job, by its id.")


class BatchCancelResponse(BaseModel):
    """Which jobs of a batch were cancelled; older clients read the same message under "message:"."""

    ids: list[str]
    message: str
    message_: str = Field(..., alias="message:", description="The same message; read by older clients.")


class JobCancelResponse(BaseModel):
    """A job was cancelled."""

    id: str
    message: str


class DeliveryName(str, Enum):
    """What is sent after a job's end."""

    WEBHOOK = "webhook"
    UPLOAD = "upload"


class DeliveryStateName(str, Enum):
    """How far a delivery is."""

    WAITING = "WAITING"
    SENDING = "SENDING"
    RETRYING = "RETRYING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"


class DeliveryStatus(BaseModel):
    """What is sent after a job's end, and how far that is."""

    kind: DeliveryName
    state: DeliveryStateName
    tries: int = Field(..., description="Number of tries so far.")
    target: str | None = Field(
        ..., description="Host of the webhook, or folder of the uploaded files once they are complete."
    )
    message: str | None = Field(..., description="Why the last try failed, or null.")


class DeforumJobStatus(BaseModel):
    """The record of a job."""

    id: str
    kind: str = Field(
        ..., description="animation, or the name of a tool: interpolate, upscale, vid2depth or stitch."
    )
    status: JobStatusCategory
    phase: JobPhase
    error_type: JobErrorType
    phase_progress: float = Field(..., ge=0, le=1, description="Finished share of the phase.")
    started_at: float = Field(..., description="Unix time in seconds at which the job was recorded.")
    last_updated: float = Field(..., description="Unix time in seconds of the last update.")
    execution_time: float = Field(..., description="last_updated - started_at, in seconds.")
    update_interval_time: float = Field(..., description="Seconds between the last two updates.")
    updates: int = Field(..., description="Number of updates so far.")
    cancelling: bool = Field(
        ..., description="True while a cancelled job stops and its frames become a video."
    )
    message: str | None = Field(..., description="What happened and what to do, or null.")
    outdir: str | None = Field(..., description="Absolute folder of the outputs.")
    timestring: str | None = Field(..., description="First part of the names of the outputs.")
    deforum_settings: JsonObject = Field(
        {}, description="The submitted settings, or a tool's arguments; left out with summary=true."
    )
    options_overrides: JsonObject | None = Field(
        None, description="As submitted; left out with summary=true."
    )
    priority: int = Field(..., description="Jobs of a higher priority are taken first.")
    queue_position: int | None = Field(..., description="0 = next; null unless queued.")
    frame: int = Field(..., description="Frames written.")
    max_frames: int = Field(..., description="Frames of the whole video.")
    eta_seconds: float = Field(..., description="Seconds until the last frame; 0 where unknown.")
    warnings: list[str] = Field(..., description="Warnings of the job.")
    deliveries: list[DeliveryStatus] = Field(
        ..., description="The webhook and the upload that follow the job's end, where there are any."
    )


class WorkerState(str, Enum):
    """What a worker does."""

    IDLE = "idle"
    BUSY = "busy"
    DRAINING = "draining"
    DRAINED = "drained"
    LOST = "lost"


class WorkerMemory(BaseModel):
    """Memory of a worker's device; on a CPU, of its machine and of its process."""

    total_bytes: int = Field(..., description="0 = unknown.")
    used_bytes: int = Field(..., description="0 = unknown.")


class WorkerStatus(BaseModel):
    """One worker, which renders one job at a time."""

    id: str
    node: str = Field(..., description="Name of its machine.")
    device: str = Field(..., description="cpu, cuda:0, ...; empty before its first job.")
    memory: WorkerMemory
    model: str = Field(..., description="Checkpoint or engine of its newest job; empty before its first one.")
    job: str | None = Field(..., description="Id of the job that it renders.")
    state: WorkerState = Field(
        ...,
        description="draining: it finishes its job and takes no other; drained: it takes none; lost: it has ended.",
    )
    since: float = Field(..., description="Unix time in seconds of the last change of state.")


class VersionResponse(BaseModel):
    """A version."""

    version: str


class SimpleRunResponse(BaseModel):
    """The job succeeded."""

    outdir: str = Field(..., description="Absolute folder of the outputs.")
    job_id: str


class OutputFile(BaseModel):
    """One finished file of a job."""

    kind: str = Field(..., description=f"One of: {', '.join(KINDS)}.")
    name: str
    size: int = Field(..., description="Bytes.")
    link: str = Field(..., description="Path that sends the file.")
    url: str | None = Field(..., description="Address to which the file was uploaded, or null.")


class PlanSummary(BaseModel):
    """The expected cost of a job."""

    frames: int
    diffused_frames: int
    sampling_steps: int
    disk_bytes: int
    segments: int = Field(
        ...,
        description="Parts of the video that do not depend on each other; that many workers can share it.",
    )


class ValidatedJob(BaseModel):
    """The result of validating one job."""

    errors: list[SettingProblem]
    warnings: list[str]
    settings: JsonObject | None = Field(..., description="Every setting with its interpreted value.")
    plan: PlanSummary | None
    series: dict[str, list[Any]] | None = Field(
        None, description="With series=true: setting -> one value per frame."
    )
    prompts: list[str] | None = None
    negative_prompts: list[str] | None = None
    seeds: list[int] | None = None
    poses: list[list[float]] | None = Field(
        None, description="With series=true: per frame the 16 numbers of next_from_prev, row by row."
    )


class ValidateResponse(BaseModel):
    """The result of validating each job of a batch."""

    jobs: list[ValidatedJob]


class Unavailable(BaseModel):
    """A feature that this server cannot offer."""

    feature: str
    reason: str


class ModelMemory(BaseModel):
    """Where the parts of the loaded model are kept."""

    offload: str = Field(..., description="none, model or streamed: the parts that leave the device.")
    precision: str = Field(
        "native", description="native, fp8 or int8: how the weights of the model's blocks are kept."
    )
    tiled: bool = Field(..., description="Whether the VAE works on tiles.")
    peak_bytes: int = Field(..., description="Estimated memory of the device at the peak.")
    fits: bool = Field(..., description="Whether that was free when the model was loaded.")
    notes: list[str] = Field(..., description="What has happened to the memory, the newest last.")


class Health(BaseModel):
    """The state of the server."""

    host: str
    engine: str
    model: str
    model_draws: str = Field("", description="What the model can generate, if its range is limited.")
    model_words: list[str] = Field([], description="The words that such a model understands in prompts.")
    memory: ModelMemory | None = Field(
        None, description="The memory of this process's model; null before its first image."
    )
    versions: dict[str, str]
    queue_length: int
    running: str | None = Field(..., description="Id of the job that this server renders.")
    accepting: bool = Field(..., description="Whether new jobs are accepted.")
    free_disk_bytes: int
    unavailable: list[Unavailable]
