"""What is sent: always the same, and never twice the same in a row."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence

COUNT = 32
NAMES = ("amelie", "björn", "chiara", "dmitri", "esra", "fatou", "gökçe", "hana")
WORDS = (
    *("deploy", "rollback", "latency", "meeting", "lunch", "build", "green", "red"),
    *("ticket", "merge", "branch", "weekend", "release", "coffee", "retry", "why"),
)
SIZES = (1024, 16 * 1024, 256 * 1024)


def json_like(size: int) -> Sequence[bytes]:
    """Chat and prices, as JSON, of about `size` bytes each."""
    chance = random.Random(size)

    def entry() -> dict[str, object]:
        return {
            "id": chance.getrandbits(40),
            "user": chance.choice(NAMES),
            "room": f"room-{chance.randrange(12)}",
            "text": " ".join(chance.choices(WORDS, k=chance.randint(3, 14))),
            "price": round(chance.uniform(1, 900), 2),
            "at": 1764100000 + chance.randrange(10**6),
            "unread": chance.random() < 0.5,
        }

    messages = []
    for _ in range(COUNT):
        entries = [entry()]
        while len(text := json.dumps(entries, ensure_ascii=False).encode()) < size:
            entries.append(entry())
        messages.append(text)
    return messages


def incompressible(size: int) -> Sequence[bytes]:
    """Random bytes in Base64, since all are texts: a quarter is still to be saved."""
    chance = random.Random(size)
    return [base64.b64encode(chance.randbytes(size * 3 // 4)) for _ in range(COUNT)]


KINDS = {"JSON": json_like, "random": incompressible}
