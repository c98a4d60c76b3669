"""Running what builds and installs the package: never for ever, and its output told on failure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from program import Command
from workspace import ROOT, TARGET, VENV

TIMEOUT = 900.0
# What would have Python, pip or the build tool find or do something else than for a user.
FOREIGN = ("PYTHON", "PIP_", "VIRTUAL_ENV", "MATURIN_", "PYO3_", "PYTEST_")
# But how pip reaches what it installs is the machine's affair.
NETWORK = {"PIP_CERT", "PIP_CONFIG_FILE", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL"}
NETWORK |= {"PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_NO_INDEX", "PIP_PROXY"}


class Failed(Exception):
    """Something is not as it must be."""


class Skipped(Exception):
    """Something cannot be found out here: why, and what would help."""


def expect(condition: object, otherwise: str) -> None:
    if not condition:
        raise Failed(otherwise)


def environment(**others: str | Path) -> dict[str, str]:
    """Ours, less what misleads; the build tool is found, and the network is not used to build."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FOREIGN) or name in NETWORK
    }
    env["PATH"] = os.pathsep.join([str(VENV / "bin"), env.get("PATH", os.defpath)])
    env["CARGO_TARGET_DIR"] = str(TARGET)
    env["CARGO_NET_OFFLINE"] = "true"
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return {**env, **{name: str(value) for name, value in others.items()}}


def attempt(
    command: Command, *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=environment() if env is None else env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Failed(f"{command[0]}: {error}") from error


def run(
    command: Command, *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> str:
    """What a command prints that must succeed."""
    done = attempt(command, cwd=cwd, env=env)
    if done.returncode != 0:
        said = " / ".join(done.stdout.strip().splitlines()[-30:])
        raise Failed(f"{Path(command[0]).name}: exit code {done.returncode}: {said}")
    return done.stdout
