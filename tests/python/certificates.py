"""Certificates that the tests make for themselves, with ``openssl``."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Identity", "make"]

_REQUEST = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"),
    *("-pkeyopt", "ec_paramgen_curve:P-256"),
)


@dataclass(frozen=True)
class Identity:
    """The files of a certificate, of its key, and of the authority that has made it."""

    chain: Path
    key: Path
    ca: Path

    @property
    def files(self) -> tuple[Path, Path]:
        return self.chain, self.key


def make(folder: Path, name: str, host: str = "IP:127.0.0.1") -> Identity:
    """A certificate for 127.0.0.1, or what is given as a subjectAltName."""
    ca, ca_key = folder / f"{name}-ca.pem", folder / f"{name}-ca.key"
    made = Identity(folder / f"{name}.pem", folder / f"{name}.key", ca)
    authority = [
        *("-subj", f"/CN=authority of {name}"),
        # Python 3.13 wants to read it.
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", str(ca_key), "-out", str(ca)),
    ]
    certificate = [
        *("-subj", f"/CN={name}", "-CA", str(ca), "-CAkey", str(ca_key)),
        *("-addext", "basicConstraints=critical,CA:FALSE"),
        *("-addext", f"subjectAltName={host}"),
        *("-keyout", str(made.key), "-out", str(made.chain)),
    ]
    for arguments in (authority, certificate):
        subprocess.run([*_REQUEST, *arguments], check=True, capture_output=True)
    return made
