"""The Pythons of this machine, and environments of them that have the package and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from artefacts import PIP, Wheel
from commands import Failed, Skipped, attempt, environment, expect, run
from counts import Counts, judge, read_pytest
from workspace import ROOT, TARGET

# The first is the oldest that the package supports; abi3 promises the others.
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
REQUIREMENTS = ROOT / "tests" / "python" / "requirements.txt"
SUITE = ROOT / "tests" / "python"
WHO = """
import platform, sys, sysconfig
print(platform.python_implementation(), "%d.%d" % sys.version_info[:2],
      "free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "")
"""


def find(version: str) -> Path:
    """The interpreter of a version of CPython that this machine has."""
    for candidate in _candidates(version):
        # Asked, because a version manager's shim exists without what it stands for.
        done = attempt([candidate, "-c", WHO])
        if done.returncode == 0 and done.stdout.split() == ["CPython", version]:
            return candidate
    raise Skipped(
        f"no CPython {version} on PATH or under pyenv; pyenv install {version}, "
        f"or your system's package python{version}"
    )


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    for name in (f"python{version}", "python3"):
        if found := shutil.which(name):
            yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for folder in sorted((pyenv / "versions").glob(f"{version}.*"), key=_patch_level):
        yield folder / "bin" / f"python{version}"


def _patch_level(folder: Path) -> int:
    """For sorting, the newest first; what is no release comes last."""
    release = re.fullmatch(r"\d+\.\d+\.(\d+)", folder.name)
    return -int(release[1]) if release else 1


class Environment:
    """A fresh environment with nothing but a wheel in it, not even pip."""

    def __init__(self, interpreter: Path, folder: Path, wheel: Wheel) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        run([interpreter, "-m", "venv", "--without-pip", folder])
        # Neither what the wheel needs nor a better one is looked for: it must do by itself.
        alone = ("--no-index", "--no-deps")
        run([*PIP, "--python", self.python, "install", *alone, wheel.path])

    def test(self, tools: Path) -> Counts:
        """Run tests/python, with pytest taken from `tools`."""
        where = run(
            [self.python, "-c", "import talkws; print(talkws.__file__)"],
            cwd=self.folder,
        )
        expect(
            Path(where.strip()).is_relative_to(self.folder),
            f"talkws comes from {where.strip()}, not from the wheel",
        )
        done = attempt(
            [
                *(self.python, "-m", "pytest", "-q", "-rfEsx"),
                *("-p", "no:cacheprovider", SUITE),
            ],
            env=environment(PYTHONPATH=tools, NO_COLOR="1"),
        )
        counts = judge(read_pytest, done.stdout, done.returncode)
        if counts.failed:
            print(done.stdout, flush=True)
        return counts


def tools_of(version: str, interpreter: Path) -> Path:
    """A folder with what the tests need under an interpreter, installed once and kept."""
    folder = TARGET / "packaging" / f"tools-{version}"
    stamp = folder / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        install = ("install", "--target", folder, "--requirement", REQUIREMENTS)
        try:
            run([*PIP, "--python", interpreter, *install])
        except Failed:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        stamp.write_text(wanted, encoding="utf-8")
    return folder
