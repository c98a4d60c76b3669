"""Where things are: the checkout, what cargo and make build, the tests' Python environment."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
VENV = TARGET / "venv"
VENV_PYTHON = VENV / "bin" / "python"
