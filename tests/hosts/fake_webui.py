"""Starts the fake host as a program: flags, scripts, settings, tabs, server, app, and all of it again on a reload.

python tests/hosts/fake_webui.py --extension FOLDER --folder FOLDER [--kind forge|a1111] [--nowebui] [our flags]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--extension", type=Path, required=True)
    first.add_argument("--folder", required=True)
    first.add_argument("--kind", choices=("forge", "a1111"), default="forge")
    first.add_argument("--step-seconds", type=float, default=0.0)
    known, rest = first.parse_known_args()
    os.environ["FAKE_HOST_FOLDER"] = known.folder
    sys.path[0] = str(HERE / "fake")
    if known.kind == "forge":
        sys.path.insert(0, str(HERE / "fake_forge"))

    from modules import processing, script_callbacks, sd_models, shared

    vars(shared.cmd_opts).update(vars(_flags(known.extension).parse_args(rest)))
    processing.behaviour.step_s = known.step_seconds
    sys.path.insert(0, str(known.extension))
    if not shared.cmd_opts.nowebui:
        _serve_scripts_and_styles(known.extension)
    while True:
        _load_script(known.extension)
        script_callbacks.call("before_ui")
        script_callbacks.call("ui_settings")
        server = (
            _PlainServer() if shared.cmd_opts.nowebui else _GradioServer(script_callbacks.call("ui_tabs"))
        )
        shared.demo = server.demo
        if server.demo is not None:
            sys.stdout.write(f"Before app_started a job is answered {_status(server.port)}\n")
        _add_routes(server.app)
        script_callbacks.call("app_started", server.demo, server.app)
        sys.stdout.write(f"Running on http://127.0.0.1:{server.port}\n")
        sys.stdout.flush()
        command = None
        while command is None:
            command = shared.state.wait_for_server_command(timeout=1.0)
        server.close()
        if command == "stop":
            return
        script_callbacks.call("before_reload")
        script_callbacks.clear_callbacks()
        sd_models.list_models()


def _flags(extension: Path) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--nowebui", action="store_true")
    parser.add_argument("--listen", action="store_true")
    parser.add_argument("--api-auth", default=None)
    parser.add_argument("--cors-allow-origins", default=None)
    _run(extension / "preload.py", "preload").preload(parser)
    return parser


def _load_script(extension: Path) -> None:
    """An error in a script is printed, and the host goes on."""
    try:
        _run(extension / "scripts" / "deforum.py", "deforum.py")
    except Exception as error:
        sys.stderr.write(f"*** Error loading script: {error!r}\n")


def _run(path: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _serve_scripts_and_styles(extension: Path) -> None:
    """Put an extension's scripts and style into the head of each page, as hosts do.

    What gradio's own page would fetch from elsewhere is taken out, so that a browser test can tell what ours does.
    """
    import gradio.routes

    scripts = [path.read_text(encoding="utf-8") for path in sorted((extension / "javascript").glob("*.js"))]
    style = (extension / "style.css").read_text(encoding="utf-8")
    head = "".join(f"<script>{script}</script>" for script in scripts) + f"<style>{style}</style></head>"
    plain = gradio.routes.templates.TemplateResponse

    def page(*arguments: Any, **named: Any) -> Any:
        answer = plain(*arguments, **named)
        body = re.sub(rb'<script[^>]*src="https://[^>]*>\s*</script>', b"", answer.body)
        answer.body = body.replace(b"</head>", head.encode())
        answer.init_headers()
        return answer

    gradio.routes.templates.TemplateResponse = page


def _status(port: int) -> int:
    """Ask for our jobs while the port is open and the extensions have not been told."""
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/deforum_api/jobs", timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


class _GradioServer:
    """The host's pages with the extensions' tabs in them."""

    def __init__(self, tabs: list[list[tuple[Any, str, str]]]) -> None:
        import gradio as gr
        from modules import paths, shared

        theme = gr.themes.Default(font=["sans-serif"], font_mono=["monospace"])
        with (
            gr.Blocks(analytics_enabled=False, title="Fake WebUI", theme=theme) as demo,
            gr.Tabs(elem_id="tabs"),
        ):
            with gr.TabItem("txt2img"):
                gr.Textbox(label="Prompt")
            for blocks, title, name in (tab for found in tabs for tab in found or ()):
                with gr.TabItem(title, elem_id=f"tab_{name}"):
                    blocks.render()
        demo.queue(64)
        self.demo: Any = demo
        self.app, url, _ = demo.launch(
            server_port=shared.cmd_opts.port or None,
            prevent_thread_lock=True,
            quiet=True,
            show_api=False,
            allowed_paths=[paths.data_path],
        )
        self.port = int(url.rstrip("/").rpartition(":")[2])
        shared.cmd_opts.port = self.port

    def close(self) -> None:
        self.demo.close()


class _PlainServer:
    """The host without pages: an app of its own."""

    demo = None

    def __init__(self) -> None:
        import socket

        import uvicorn
        from fastapi import FastAPI
        from modules import shared

        self.app = FastAPI()
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", shared.cmd_opts.port or 0))
        self.port = shared.cmd_opts.port = listening.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listening]}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(60)


def _add_routes(app: Any) -> None:
    from modules import call_queue, processing, shared

    def txt2img() -> dict[str, Any]:
        with call_queue.queue_lock:
            shared.state.begin("theirs")
            made = processing.StableDiffusionProcessingTxt2Img(prompt="theirs", steps=2, width=64, height=64)
            images = processing.process_images(made).images
            shared.state.end()
        return {"images": len(images), "checkpoint": processing.calls[-1]["checkpoint"]}

    def seen() -> dict[str, Any]:
        prompts = [call["prompt"] for call in processing.calls]
        return {"options": shared.opts.data, "prompts": prompts, "job": shared.state.job, "time": time.time()}

    def stop() -> None:
        shared.state._command = "stop"
        shared.state._commanded.set()

    for path, answer in (
        ("/sdapi/v1/txt2img", txt2img),
        ("/sdapi/v1/interrupt", lambda: shared.state.interrupt()),
        ("/sdapi/v1/skip", lambda: shared.state.skip()),
        ("/sdapi/v1/server-restart", lambda: shared.state.request_restart()),
        ("/sdapi/v1/server-stop", stop),
        ("/fake/seen", seen),
    ):
        app.add_api_route(path, answer, methods=["GET", "POST"], response_model=None)


if __name__ == "__main__":
    main()
