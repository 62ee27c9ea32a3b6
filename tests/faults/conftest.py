"""The faults of one program at the hands of a Unix system."""

import os

collect_ignore = ["test_kill.py", "test_program.py", "test_ffmpeg.py"] if os.name == "nt" else []
