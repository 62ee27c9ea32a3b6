"""What the whole host shares."""

import argparse
import threading
import time

from modules import options
from modules.options import OptionInfo, Options  # noqa: F401


class State:
    skipped = False
    interrupted = False
    stopping_generation = False
    job = ""
    job_no = 0
    job_count = 0
    sampling_step = 0
    sampling_steps = 0
    time_start = None
    textinfo = None

    def __init__(self):
        self._command = None
        self._commanded = threading.Event()

    def begin(self, job="(unknown)"):
        self.skipped = self.interrupted = self.stopping_generation = False
        self.sampling_step = self.job_no = 0
        self.job_count = -1
        self.time_start = time.time()
        self.job = job

    def end(self):
        self.job = ""
        self.job_count = 0

    def interrupt(self):
        self.interrupted = True

    def skip(self):
        self.skipped = True

    def nextjob(self):
        self.job_no += 1
        self.sampling_step = 0

    def request_restart(self):
        self.interrupt()
        self._command = "restart"
        self._commanded.set()

    def wait_for_server_command(self, timeout=None):
        if not self._commanded.wait(timeout):
            return None
        self._commanded.clear()
        command, self._command = self._command, None
        return command


class Restorer:
    """Mends faces once its model is loaded, which fails in silence where `loads` is false."""

    loads = True
    net = None
    restored = 0

    def name(self):
        return "CodeFormer"

    def restore(self, picture):
        if self.loads:
            self.net = object()
            self.restored += 1
        return picture


cmd_opts = argparse.Namespace(
    api_auth=None, listen=False, server_name=None, cors_allow_origins=None, vae_dir=None, nowebui=False
)
opts = Options(options.host_labels())
state = State()
demo = None
sd_model = None
face_restorers = [Restorer()]
