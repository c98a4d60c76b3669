"""Finding Python 2.7 and installing the Autobahn test suite, which runs on nothing newer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
# The last virtualenv that can make environments for Python 2.7.
VIRTUALENV = "virtualenv==20.21.1"
INSTALL_TIMEOUT = 900
IS_PYTHON27 = "import sys; assert sys.version_info[:2] == (2, 7)"


class NotAvailable(Exception):
    """The suite cannot be had here; the message says why, and how to get it."""


def suite_environment(folder: Path) -> Path:
    """The `bin` folder of an environment that has the suite; makes it if it is not there."""
    programs = folder / "env" / "bin"
    if not _runs([programs / "wstest", "--autobahnversion"]):
        python27 = _find_python27()
        print(f"autobahn: installing the suite for {python27}", flush=True)
        _install(python27, folder)
    return programs


def _install(python27: Path, folder: Path) -> None:
    # virtualenv gets a (Python 3) environment of its own: the user's Python stays untouched, and
    # Python 2.7 need not have pip.
    bootstrap = folder / "bootstrap"
    env = folder / "env"
    _run([sys.executable, "-m", "venv", "--clear", bootstrap])
    _run([bootstrap / "bin" / "pip", "install", "--quiet", VIRTUALENV])
    _run([bootstrap / "bin" / "virtualenv", "--clear", "--python", python27, env])
    _run([env / "bin" / "pip", "install", "--requirement", REQUIREMENTS])


def _find_python27() -> Path:
    for candidate in _candidates():
        # A version manager's shim exists even where it has no Python 2.7 to start.
        if _runs([candidate, "-c", IS_PYTHON27]):
            return candidate
    raise NotAvailable(
        "needs Python 2.7; install it (pyenv install 2.7.18, or your system's python2.7 package)"
    )


def _candidates() -> Iterator[Path]:
    for name in ("python2.7", "python2"):
        if found := shutil.which(name):
            yield Path(found)
    for root in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        if root:
            yield from sorted(Path(root).glob("versions/2.7*/bin/python2.7"))


def _runs(command: list[str | Path]) -> bool:
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _run(command: list[str | Path]) -> None:
    what = " ".join(str(part) for part in command)
    try:
        done = subprocess.run(
            command,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAvailable(f"cannot install the suite: {error}") from error
    if done.returncode != 0:
        print(done.stdout, flush=True)
        last = done.stdout.strip().rsplit("\n", 1)[-1]
        raise NotAvailable(
            f"cannot install the suite: `{what}` failed ({last}); "
            "it needs a package index to download from and a C compiler"
        )
