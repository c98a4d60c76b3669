"""An installed libtalkws, below a directory of its own, and programs built against it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
EXCHANGE = HERE / "install_exchange.c"
CC = os.environ.get("CC") or "cc"
CXX = os.environ.get("CXX") or "c++"
MAKE = os.environ.get("MAKE") or "make"
# Building the library may be part of it.
TIMEOUT = 900.0

# What would have us find another talkws, or would change where ours goes.
FOREIGN = re.compile(
    r"(PKG_CONFIG|CMAKE|LD_|DYLD_|MAKE|MFLAGS)"
    r"|(PREFIX|DESTDIR|(LIB|INCLUDE|MAN|PKGCONFIG)DIR|C(XX|PP)?FLAGS|LDFLAGS)$"
)

Command = Sequence[str | Path]


class Failed(Exception):
    """Something is not as it must be."""


class Skipped(Exception):
    """Something cannot be found out here: why, and what would help."""


def need(program: str, how_to_get: str) -> str:
    if not shutil.which(program):
        raise Skipped(f"no {program}; {how_to_get}")
    return program


def need_cxx() -> str:
    return need(CXX, "Debian, Ubuntu: apt install g++; or set CXX")


def expect(condition: object, otherwise: str) -> None:
    if not condition:
        raise Failed(otherwise)


def environment() -> dict[str, str]:
    """Ours, less what is about other libraries or other directories."""
    return {
        name: value for name, value in os.environ.items() if not FOREIGN.match(name)
    }


def attempt(
    command: Command,
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**environment(), **(env or {})},
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{command[0]}: {error}") from error


def run(
    command: Command,
    *,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    user: int | None = None,
) -> str:
    """What a command prints that must succeed."""
    done = attempt(command, cwd=cwd, env=env, user=user)
    if done.returncode != 0:
        said = " / ".join(done.stdout.strip().splitlines()[-30:])
        raise Failed(f"{Path(command[0]).name}: exit code {done.returncode}: {said}")
    return done.stdout


def version() -> str:
    manifest = (ROOT / "Cargo.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.*)"$', manifest, re.MULTILINE)
    return found[1] if found else "not in Cargo.toml"


IS_MACOS = sys.platform == "darwin"
MAJOR = version().split(".")[0]
REAL = f"libtalkws.{MAJOR}.dylib" if IS_MACOS else f"libtalkws.so.{version()}"
SONAME = f"libtalkws.{MAJOR}.dylib" if IS_MACOS else f"libtalkws.so.{MAJOR}"
LINKNAME = "libtalkws.dylib" if IS_MACOS else "libtalkws.so"


class Installation:
    """Where `make install` has put, or is to put, its files."""

    def __init__(self, destdir: Path, prefix: str, **directories: str) -> None:
        self.destdir = destdir
        self.prefix = prefix
        self._directories = directories
        self.libdir = self._below("LIBDIR", f"{prefix}/lib")
        self.includedir = self._below("INCLUDEDIR", f"{prefix}/include")
        self.mandir = self._below("MANDIR", f"{prefix}/share/man")

    def _below(self, name: str, default: str) -> Path:
        return self.destdir / self._directories.get(name, default).lstrip("/")

    def make(self, target: str, *options: str, user: int | None = None) -> str:
        places = {"PREFIX": self.prefix, **self._directories}
        arguments = [f"{name}={value}" for name, value in places.items()]
        where = f"DESTDIR={self.destdir}"
        command = [MAKE, "--no-print-directory", target, where, *arguments, *options]
        return run(command, user=user)

    def files(self) -> dict[str, Path]:
        """Everything that is there and no directory, by the path below DESTDIR."""
        everything = self.destdir.rglob("*")
        return {
            f"/{path.relative_to(self.destdir)}": path
            for path in everything
            if path.is_symlink() or not path.is_dir()
        }

    def pkg_config(self, *arguments: str, static: bool = False) -> list[str]:
        need("pkg-config", "Debian, Ubuntu: apt install pkg-config")
        env = {
            "PKG_CONFIG_LIBDIR": str(self.libdir / "pkgconfig"),
            "PKG_CONFIG_SYSROOT_DIR": str(self.destdir),
        }
        flags = ["--static"] if static else []
        return run(["pkg-config", *flags, *arguments, "talkws"], env=env).split()

    def rpath(self) -> str:
        return f"-Wl,-rpath,{self.libdir}"


def exchange_source(language: str, folder: Path) -> Path:
    """The program's source outside the tree, in a file of its language."""
    source = folder / ("exchange.c" if language == "C" else "exchange.cpp")
    shutil.copyfile(EXCHANGE, source)
    return source


def build(language: str, folder: Path, flags: Sequence[str]) -> Path:
    """Build the program in a folder outside the tree."""
    compiler = CC if language == "C" else need_cxx()
    standard = "-std=c11" if language == "C" else "-std=c++17"
    warnings = ("-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    source = exchange_source(language, folder)
    program = folder / "exchange"
    command: Command = [compiler, standard, *warnings, source, "-o", program]
    # The libraries stand after what uses them.
    run([*command, *flags, "-pthread"], cwd=folder)
    return program


def check_exchange(program: Path, env: Mapping[str, str] | None = None) -> None:
    """The program runs, and does what it is for."""
    output = run([program], cwd=program.parent, env=env).splitlines()
    expected = ["Hello from outside!", f"libtalkws {version()}"]
    expect(output == expected, f"{program.name} printed {output}")


def needed(binary: Path) -> set[str]:
    """The shared libraries that a program or library asks for by name."""
    if IS_MACOS:
        listed = run(["otool", "-L", binary]).splitlines()[1:]
        return {Path(line.split()[0]).name for line in listed if line.split()}
    need("readelf", "Debian, Ubuntu: apt install binutils")
    listing = run(["readelf", "-d", binary])
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", listing))
