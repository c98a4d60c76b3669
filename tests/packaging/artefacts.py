"""What is given to users: the source distribution and the wheel, and how they are made."""

from __future__ import annotations

import os
import re
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

from commands import Failed, environment, run
from workspace import ROOT, TARGET, VENV, VENV_PYTHON

CARGO = os.environ.get("CARGO", "cargo")
BINDING = ROOT / "bindings" / "python"
# What was compiled for earlier source distributions, and need not be again for the next.
BUILD = TARGET / "packaging" / "build"
# Those of the workspace are compiled anew wherever a source distribution is unpacked.
OUR_CRATES = ("talkws", "talkws-python")

PIP = (VENV_PYTHON, "-m", "pip", "--quiet")
# Without isolation, because the tests' environment has the build tool already.
ALONE = ("--no-build-isolation", "--no-deps")


class Sdist:
    """A source distribution."""

    def __init__(self, project: Path, out: Path) -> None:
        run([VENV / "bin" / "maturin", "sdist", "--out", out], cwd=project)
        self.path = _only(out, "*.tar.gz")

    def files(self) -> set[str]:
        """The paths of its files, below the folder that holds them all."""
        with tarfile.open(self.path) as archive:
            return {name.partition("/")[2] for name in archive.getnames()}

    def read(self, name: str) -> str:
        with tarfile.open(self.path) as archive:
            for member in archive:
                if member.name.partition("/")[2] == name:
                    content = archive.extractfile(member)
                    assert content is not None
                    return content.read().decode()
        raise Failed(f"no {name} in {self.path.name}")

    def unpack(self, folder: Path) -> Path:
        with tarfile.open(self.path) as archive:
            archive.extractall(folder)
        return _only(folder, "*")


class Wheel:
    """A wheel."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> set[str]:
        with zipfile.ZipFile(self.path) as archive:
            return set(archive.namelist())

    def read(self, name: str) -> str:
        """One of its files; `*.dist-info/` stands for the folder of its metadata."""
        folder = "-".join(self.path.name.split("-")[:2]) + ".dist-info/"
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(name.replace("*.dist-info/", folder)).decode()

    def metadata(self) -> Message:
        return Parser().parsestr(self.read("*.dist-info/METADATA"))

    def size(self) -> int:
        return self.path.stat().st_size


def build_wheel(source: Path, out: Path) -> Wheel:
    """Build a wheel of an unpacked source distribution, as pip does when there is no other."""
    env = environment(CARGO_TARGET_DIR=BUILD)
    run([*PIP, "wheel", *ALONE, "--wheel-dir", out, source], cwd=source, env=env)
    return Wheel(_only(out, "*.whl"))


def forget_build(source: Path) -> None:
    """Drop what was compiled of `source`, lest every run leave as much behind."""
    packages = [word for crate in OUR_CRATES for word in ("--package", crate)]
    env = environment(CARGO_TARGET_DIR=BUILD)
    run([CARGO, "clean", "--quiet", "--release", *packages], cwd=source, env=env)


def version() -> str:
    """The version that all of the workspace has."""
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.*)"$', manifest, re.MULTILINE)
    if not found:
        raise Failed("no version in Cargo.toml")
    return found[1]


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise Failed(f"one {pattern} expected, found: {names}")
    return found[0]
