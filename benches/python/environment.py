#!/usr/bin/env python3
"""Makes target/bench-venv: this Python, the libraries of requirements.txt and a wheel of talkws.

    environment.py WHEEL

Each library is installed by itself, so that one that this Python cannot have leaves the others
alone. `make bench-python` runs this.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "run"))

from workspace import TARGET

VENV = TARGET / "bench-venv"
PYTHON = VENV / "bin" / "python"
REQUIREMENTS = HERE / "requirements.txt"
INSTALL_TIMEOUT = 600.0


def requirements() -> list[str]:
    lines = REQUIREMENTS.read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def fingerprint() -> str:
    """Of all that the environment depends on but the wheel, which is always installed anew."""
    made_of = f"{sys.version}\n{sys.base_prefix}\n{REQUIREMENTS.read_text()}"
    return hashlib.sha256(made_of.encode()).hexdigest()


def pip_install(*arguments: str) -> bool:
    command = [str(PYTHON), "-m", "pip", "install", "--quiet"]
    command += ["--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=False, timeout=INSTALL_TIMEOUT).returncode == 0


def make() -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        check=True,
        timeout=INSTALL_TIMEOUT,
    )
    for requirement in requirements():
        # Without a wheel for this Python it may be built, if that works.
        if not pip_install("--prefer-binary", requirement):
            print(f"cannot install {requirement} for this Python", flush=True)


def main(wheel: str) -> int:
    stamp = VENV / "made-of"
    if not stamp.exists() or stamp.read_text() != fingerprint():
        make()
        stamp.write_text(fingerprint())
    return 0 if pip_install("--no-deps", "--force-reinstall", wheel) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
