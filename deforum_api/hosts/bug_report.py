"""A zip file for a bug report: versions, health, the last jobs and the log, without the user's own words."""

from __future__ import annotations

import json
import platform
import re
import zipfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deforum_api.hosts.own_host import database_path, health
from deforum_api.queue.errors import StoreUnavailable
from deforum_api.queue.logs import LOG_NAME, PACKAGES
from deforum_api.queue.record import Job
from deforum_api.queue.sqlite import SqliteStore
from deforum_helpers.pipeline.host_facts import HostFacts
from deforum_helpers.settings import FIELDS

JOBS_TOLD = 20
LOG_BYTES = 2**20
LEFT_OUT = "[left out]"

# Values of these kinds are numbers and names that the program knows; the others are a person's own words and files.
_PLAIN_KINDS = frozenset({"bool", "int", "float", "enum", "schedule"})
_SECRET_FLAGS = frozenset({"api_auth"})
_PLACE = re.compile(r'File "[^"\n]*')
# A quote without a partner counts to the end of its line, as what it begins may be a person's own words.
_QUOTED = re.compile(r"(?<!\w)(?:'[^'\\\n]*(?:\\.[^'\\\n]*)*'?|\"[^\"\\\n]*(?:\\.[^\"\\\n]*)*\"?|`[^`\n]*`?)")
_PLAIN_QUOTED = re.compile(r"batch\(\d{1,9}\)(-\d+)?|[-+.\d]{1,20}")
_SHORTEST_WORDS = 3


def write_bug_report(path: Path, facts: HostFacts, flags: Namespace, *, with_prompts: bool = False) -> None:
    """Write the zip file.

    Args:
        path: of the file, which does not exist.
        facts: of the host whose output root has the job records and the log.
        flags: of the command line; logins are left out.
        with_prompts: whether prompts, names and paths of files stay in.

    Raises:
        FileExistsError: there is such a file.
        OSError: it cannot be written.
    """
    jobs, trouble = _last_jobs(database_path(flags, facts.output_root))
    words = [] if with_prompts else sorted({word for job in jobs for word in own_words(job)}, key=len)[::-1]
    about = {
        "flags": {
            name: LEFT_OUT if name in _SECRET_FLAGS and value else value
            for name, value in vars(flags).items()
        },
        "system": platform.platform(),
        "health": health(facts),
        "job_records": trouble or "readable",
    }
    log = _tail(facts.output_root / LOG_NAME)
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as report:
        report.writestr("about.json", _json(about).replace(str(Path.home()), "~"))
        report.writestr("jobs.json", _json([job_facts(job, words, with_prompts) for job in jobs]))
        report.writestr(LOG_NAME, log if with_prompts else without_words(log, words))


def own_words(job: Job) -> list[str]:
    """Return every text of the job that is a person's own: prompts, names, paths, whatever is no known setting."""
    submitted = [value for name, value in json.loads(job.settings_json).items() if not _is_plain(name)]
    found = [text for value in submitted for text in _texts(value)]
    return [text for text in [*found, job.outdir or ""] if len(text) >= _SHORTEST_WORDS]


def job_facts(job: Job, words: Sequence[str], with_prompts: bool) -> dict[str, Any]:
    """Return the record of a job for the report."""
    record = {**asdict(job), "deforum_settings": json.loads(job.settings_json)}
    record["options_overrides"] = json.loads(record.pop("overrides_json"))
    del record["settings_json"]
    if with_prompts:
        return record
    record["deforum_settings"] = {
        name: value if _is_plain(name) else LEFT_OUT for name, value in record["deforum_settings"].items()
    }
    record["options_overrides"] = sorted(record["options_overrides"] or ())
    record["outdir"] = LEFT_OUT if job.outdir else None
    record["webhook_url"] = LEFT_OUT if job.webhook_url else ""
    record["message"] = without_words(job.message, words) if job.message else None
    record["warnings"] = [without_words(warning, words) for warning in job.warnings]
    return record


def without_words(text: str, words: Sequence[str]) -> str:
    """Return `text` without `words`, longest first, and without anything in quotes but ids, numbers and settings."""
    for word in words:
        text = text.replace(word, LEFT_OUT)
    return _QUOTED.sub(_kept, _PLACE.sub(_file_and_folder, text))


def _kept(quoted: re.Match[str]) -> str:
    text, quote = quoted.string, quoted[0][0]
    inside = quoted[0][1:-1]
    is_place = text.endswith("  File ", 0, quoted.start()) and text.startswith(", line ", quoted.end())
    plain = is_place or inside in FIELDS or _PLAIN_QUOTED.fullmatch(inside)
    whole = len(quoted[0]) > 1 and quoted[0].endswith(quote)
    return quoted[0] if plain and whole else quote + LEFT_OUT + quote


def _file_and_folder(place: re.Match[str]) -> str:
    if not place.string.startswith('", line', place.end()):
        return place[0]
    begin = 'File "'
    parts = re.split(r"([/\\])", place[0].removeprefix(begin))
    ours = [number for number, part in enumerate(parts) if part in PACKAGES]
    return begin + "".join(parts[ours[-1] if ours else -3 :])


def _is_plain(setting: str) -> bool:
    info = FIELDS.get(setting)
    return info is not None and info.kind in _PLAIN_KINDS and not info.file_suffixes


def _texts(value: Any) -> list[str]:
    """Return every text inside a value, with and without the escapes that it has in JSON and in the log."""
    if isinstance(value, str):
        return [value, *value.splitlines(), json.dumps(value)[1:-1], repr(value)[1:-1]]
    inner = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return [text for one in inner for text in _texts(one)]


def _last_jobs(path: Path) -> tuple[list[Job], str | None]:
    """Return the last jobs on record in a database, and what is wrong with the records."""
    if not path.is_file():
        return [], "no job database"
    try:
        store = SqliteStore(path)
        try:
            last = store.next_order() - 1
            return list(store.page(after=last - JOBS_TOLD)), None
        finally:
            store.close()
    except StoreUnavailable as error:
        return [], error.message


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, default=str)
