"""The program that checks what clients send: started by `checks`, killed when it takes too long or too much memory.

It reads questions from standard input and writes findings to its output, each as a line of JSON that says how many
bytes of which parts follow. Neither side opens more of the other's words than JSON, numbers and plain text.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import IO, Any

from deforum_api.queue import messages
from deforum_api.queue.checks.request import CheckRequest, CheckResult, prepared_job, run_check
from deforum_api.queue.errors import ApiError, TooLarge
from deforum_api.queue.logs import write_own_log
from deforum_api.queue.submission import BatchTerms, CheckedJob
from deforum_helpers.core.child_programs import Message, read_message, write_message
from deforum_helpers.core.net.cache import FetchCache
from deforum_helpers.core.net.fetch import Fetcher
from deforum_helpers.pipeline.host_facts import ControlNetFacts, HostFacts
from deforum_helpers.settings.host_options import Options

log = logging.getLogger(__name__)

# What a check may take beside what the program has when it begins; held on systems that can.
MOST_MEMORY_BYTES = 2**30
NICENESS = 5
_PLAIN_FACTS = ("name", "engine", "model", "device")
_NAMES = ("samplers", "schedulers", "checkpoints", "vaes")


def encode_request(request: CheckRequest, facts: HostFacts) -> tuple[dict[str, Any], list[bytes]]:
    """Return a question about a host as a message."""
    plain = {
        field.name: getattr(request, field.name) for field in fields(CheckRequest) if field.name != "body"
    }
    return {"request": plain, "facts": plain_facts(facts)}, [request.body]


def encode_result(result: CheckResult | ApiError) -> tuple[dict[str, Any], list[bytes]]:
    """Return what was found, or what is wrong, as a message."""
    if isinstance(result, ApiError):
        about = {
            "kind": type(result).__name__,
            "message_code": result.message_code,
            "code": result.code,
        }
        return {"error": {**about, "envelope": result.envelope(), "headers": result.headers}}, []
    names = ("frames", "warnings", "work", "kind")
    jobs = [{name: getattr(job, name) for name in names} for job in result.jobs]
    texts = [result.overrides_json, *(job.settings_json for job in result.jobs)]
    head = {"digest": result.digest, "jobs": jobs, "terms": asdict(result.terms)}
    return head, [result.answer, *(text.encode() for text in texts)]


def decode_result(message: Message) -> CheckResult:
    """Return the findings that a message without an error holds."""
    head, (answer, overrides, *settings) = message
    jobs = tuple(
        CheckedJob(text.decode(), **{**job, "warnings": tuple(job["warnings"])})
        for job, text in zip(head["jobs"], settings, strict=True)
    )
    return CheckResult(head["digest"], jobs, overrides.decode(), answer, BatchTerms(**head["terms"]))


def plain_facts(facts: HostFacts) -> dict[str, Any]:
    """Return what checks must know of a host as plain values; what it would look up is looked up now."""
    return {
        **{name: getattr(facts, name) for name in (*_PLAIN_FACTS, *_NAMES)},
        "output_root": str(facts.output_root),
        "wildcard_folders": [str(folder) for folder in facts.wildcard_folders],
        "options": asdict(facts.options),
        "controlnet": asdict(facts.controlnet),
        "lacks": dict(facts.lacks),
        "free_bytes": facts.free_disk(facts.output_root),
        "loras": None if facts.loras is None else sorted(facts.loras()),
        "fetched": str(facts.fetcher.cache.folder),
    }


def host_facts(plain: Mapping[str, Any]) -> HostFacts:
    """Return the facts that `plain_facts` has made plain; what was fetched is kept where the host keeps it."""
    loras, free_bytes = plain["loras"], plain["free_bytes"]
    known: dict[str, Any] = {name: plain[name] for name in _PLAIN_FACTS}
    known |= {name: tuple(plain[name]) for name in _NAMES}
    return HostFacts(
        **known,
        output_root=Path(plain["output_root"]),
        wildcard_folders=tuple(map(Path, plain["wildcard_folders"])),
        options=Options(**_with_tuples(plain["options"])),
        controlnet=ControlNetFacts(**_with_tuples(plain["controlnet"])),
        lacks=plain["lacks"],
        free_disk=lambda _: int(free_bytes),
        loras=None if loras is None else lambda: loras,
        fetcher=Fetcher(cache=FetchCache(folder=Path(plain["fetched"]))),
    )


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def answer(message: Message) -> tuple[dict[str, Any], list[bytes]]:
    """Return the answer to a message from `encode_request`."""
    head, (body,) = message
    check = partial(prepared_job, host_facts(head["facts"]))
    try:
        return encode_result(run_check(CheckRequest(body=body, **head["request"]), check))
    except ApiError as error:
        return encode_result(error)
    except MemoryError:
        return encode_result(TooLarge(messages.CHECK_TOO_LARGE()))
    except Exception as error:
        log.exception("A check failed unexpectedly")
        return encode_result(ApiError(messages.CHECK_FAILED(kind=type(error).__name__), code=500))


def main() -> None:
    """Answer until the other side ends, which ends this program in whatever it does."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    write_own_log()
    _limit_resources()
    requests: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, requests), daemon=True).start()
    while True:
        write_message(answers, *answer(requests.get()))


def _listen(stream: IO[bytes], requests: queue.SimpleQueue[Message]) -> None:
    while (message := read_message(stream)) is not None:
        requests.put(message)
    os._exit(0)


def _limit_resources() -> None:
    """Leave the processor to those who answer, and the memory to those who render."""
    with suppress(OSError, AttributeError):
        os.nice(NICENESS)
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])  # of data, which is what is bounded
        most = pages * resource.getpagesize() + MOST_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (most, resource.getrlimit(resource.RLIMIT_DATA)[1]))
