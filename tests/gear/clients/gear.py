"""Finds what tests/gear/install put into the cache, outside the tree."""

import os
import pathlib
import sys

CACHE = (
    pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    / "tidegate-gear"
)


def use_venv():
    """Starts the program over under the cache's Python, which has the pinned packages."""
    venv = CACHE / "venv"
    # `websockets` reads its limit on fragments when it is imported, and has no option for it.
    # Cases 9.3.1 and 9.4.1 of the fuzzer cut 4 MiB into fragments of 64 bytes.
    os.environ.setdefault("WEBSOCKETS_MAX_FRAGMENTS", "100000")
    if pathlib.Path(sys.prefix) == venv:
        return
    python = venv / "bin" / "python"
    if not python.exists():
        sys.exit(f"{python} is missing: run tests/gear/install")
    os.execv(python, [str(python), *sys.argv])
