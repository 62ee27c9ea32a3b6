"""Flags of the standalone host and of a WebUI."""

from __future__ import annotations

import argparse

import pytest

from deforum_api.hosts.flags import flag_problem, make_parser
from deforum_api.queue.logs import log_level
from deforum_api.queue.submission import HANG_AFTER_S
from preload import preload


def parse(*arguments: str) -> argparse.Namespace:
    return make_parser().parse_args(arguments)


def test_the_flags_of_a_webui_default_to_false_or_text() -> None:
    parser = argparse.ArgumentParser()
    preload(parser)
    assert vars(parser.parse_args([])) == {
        "deforum_api": False,
        "deforum_simple_api": False,
        "deforum_run_now": "",
        "deforum_terminate_after_run_now": False,
        "deforum_database": "",
        "deforum_webhook_allow": "",
        "deforum_webhook_key_file": "",
        "deforum_upload_to": "",
        "deforum_hang_after": HANG_AFTER_S,
        "deforum_lockstep": 1,
    }


def test_the_time_after_which_a_job_hangs_is_a_number_of_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("--deforum-hang-after", "0").deforum_hang_after == 0.0
    for text in ("-1", "nan", "inf", "soon"):
        with pytest.raises(SystemExit):
            parse("--deforum-hang-after", text)
        assert "0 or more" in capsys.readouterr().err


def test_the_number_of_jobs_in_lockstep_is_a_whole_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("--deforum-lockstep", "64").deforum_lockstep == 64
    for text in ("0", "-1", "2.5", "65", "many"):
        with pytest.raises(SystemExit):
            parse("--deforum-lockstep", text)
        assert "1 to 64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen"], "--api-auth"),
        (["--listen", "--api-auth", " , "], "--api-auth"),
        (["--api-auth", "nopassword"], "user:password"),
        (["--api-auth", "a:b,:c"], "user:password"),
        (["--deforum-engine", "diffusers"], "--ckpt"),
        (["--deforum-terminate-after-run-now"], "--deforum-run-now"),
        (["--deforum-lockstep", "2", "--deforum-ray", "local"], "--deforum-lockstep"),
    ],
)
def test_flags_that_do_not_fit_are_refused_in_one_sentence(arguments: list[str], words: str) -> None:
    assert words in (flag_problem(parse(*arguments)) or "")


@pytest.mark.parametrize(
    "arguments", [[], ["--listen", "--insecure"], ["--listen", "--api-auth", "a:b,c:d:e"], ["--port", "0"]]
)
def test_flags_that_fit(arguments: list[str]) -> None:
    assert flag_problem(parse(*arguments)) is None


@pytest.mark.parametrize("port", ["-1", "65536", "x", ""])
def test_a_port_is_a_number_of_the_right_size(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--port", port)
    assert "0 to 65535" in capsys.readouterr().err


def test_the_log_level_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEFORUM_API_LOG_LEVEL", raising=False)
    monkeypatch.delenv("SD_WEBUI_LOG_LEVEL", raising=False)
    assert log_level() == "INFO"
    monkeypatch.setenv("SD_WEBUI_LOG_LEVEL", "warning")
    assert log_level() == "WARNING"
    monkeypatch.setenv("DEFORUM_API_LOG_LEVEL", "Debug")
    assert log_level() == "DEBUG"
    monkeypatch.setenv("DEFORUM_API_LOG_LEVEL", "loud")
    assert log_level() == "INFO"
