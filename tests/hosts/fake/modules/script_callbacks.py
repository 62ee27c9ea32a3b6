"""Callbacks: an exception in one of them is printed, and the others go on."""

import sys
import traceback

_registered = {}


def _add(kind, callback):
    _registered.setdefault(kind, []).append(callback)


def on_app_started(callback, *, name=None):
    _add("app_started", callback)


def on_before_ui(callback, *, name=None):
    _add("before_ui", callback)


def on_ui_tabs(callback, *, name=None):
    _add("ui_tabs", callback)


def on_ui_settings(callback, *, name=None):
    _add("ui_settings", callback)


def on_before_reload(callback, *, name=None):
    _add("before_reload", callback)


def call(kind, *arguments):
    return [_call(kind, callback, arguments) for callback in list(_registered.get(kind, ()))]


def _call(kind, callback, arguments):
    try:
        return callback(*arguments)
    except Exception:
        sys.stderr.write(f"*** Error executing callback {kind}\n")
        traceback.print_exc()
        return None


def clear_callbacks():
    _registered.clear()
