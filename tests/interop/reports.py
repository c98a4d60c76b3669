"""Reading what a program says of its checks: `ok NAME`, or `not ok NAME: why`."""

from __future__ import annotations

from collections.abc import Sequence


def failures_in(output: str, checks: Sequence[str]) -> dict[str, str]:
    """The checks that are reported as failed, or are not reported, and why."""
    reported: dict[str, str | None] = {}
    noise = []
    for line in output.splitlines():
        if line.startswith("ok "):
            reported.setdefault(line.removeprefix("ok "), None)
        elif line.startswith("not ok "):
            name, _, why = line.removeprefix("not ok ").partition(": ")
            reported[name] = why
        else:
            noise.append(line)
    missing = f"not reported; the program said: {' / '.join(noise)[-500:]}"
    failures = {name: reported.get(name, missing) for name in checks}
    for name in reported.keys() - failures.keys():
        failures[name] = "a check that nobody has heard of"
    return {name: why for name, why in failures.items() if why is not None}
