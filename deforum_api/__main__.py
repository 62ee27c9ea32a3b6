"""`python -m deforum_api`: the program `deforum`."""

from __future__ import annotations

import sys

from deforum_api.cli import main

if __name__ == "__main__":
    sys.exit(main(prog="python -m deforum_api"))
