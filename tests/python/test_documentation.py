"""What the documentation shows is true: examples in docstrings, and the programs of the READMEs.

Where an example says `localhost:8080`, the tests have it meet a server on a port that is free.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import queue
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

import pytest
import talkws
from peers import PATIENCE, in_thread

ROOT = Path(__file__).parents[2]
PORT = 8080
HELLO, ANSWER = "Hello from client!", "Hello from server!"

MODULES = [
    "talkws",
    # Importing the program would be running it.
    *(
        module.name
        for module in pkgutil.walk_packages(talkws.__path__, "talkws.")
        if not module.name.endswith("__main__")
    ),
]


def answer(listener: talkws.Listener) -> None:
    """Serve one client after the other: answer the hello, and echo all else."""
    for pending in listener:
        with pending.upgrade() as ws:
            for message in ws:
                ws.send(ANSWER if message == HELLO else message)


@pytest.fixture
def answering() -> Iterator[int]:
    """The port of a server that answers."""
    with talkws.listen("ws://localhost:0") as listener:
        ended = in_thread(lambda: answer(listener))
        yield listener.port
    ended.result(PATIENCE)


def is_defined_in(owner: Any, member: str, value: Any) -> bool:
    if inspect.isclass(owner):
        # A class inside the class, not one that it mentions.
        name = f"{owner.__qualname__}.{member}"
        return not inspect.isclass(value) or value.__qualname__ == name
    # The native part's classes say that they belong to the package.
    module = getattr(value, "__module__", None)
    return owner is talkws._talkws or module == owner.__name__


def documented(owner: Any, name: str) -> Iterator[tuple[str, str]]:
    """What a module or class and all that it defines are called, and their docstrings."""
    yield name, inspect.cleandoc(owner.__doc__ or "")
    for member, value in vars(owner).items():
        is_class = inspect.isclass(value)
        is_other = inspect.isroutine(value) or inspect.isdatadescriptor(value)
        if not (is_class or is_other) or not is_defined_in(owner, member, value):
            continue
        if is_class:
            yield from documented(value, f"{name}.{member}")
        else:
            yield f"{name}.{member}", inspect.cleandoc(value.__doc__ or "")


def doctests(module: ModuleType, port: int) -> Iterator[doctest.DocTest]:
    for name, text in documented(module, module.__name__):
        names = {**vars(module), "talkws": talkws}
        text = text.replace(f":{PORT}", f":{port}")
        yield doctest.DocTestParser().get_doctest(text, names, name, None, 0)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name: str, answering: int) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    tests = list(doctests(importlib.import_module(name), answering))
    assert [test.name for test in tests if runner.run(test).failed] == []


def test_there_are_examples_in_docstrings() -> None:
    modules = [importlib.import_module(name) for name in MODULES]
    tests = [test for module in modules for test in doctests(module, PORT)]
    assert sum(bool(test.examples) for test in tests) > 0
    # Among what was looked through, that is, native or not.
    names = [test.name.rpartition("talkws.")[2] for test in tests]
    for name in ("connect", "Connection.recv", "Headers.get_all"):
        assert any(found.endswith(name) for found in names), name


def fenced(text: str) -> list[str]:
    """The blocks between lines of backticks that say they are Python."""
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def indented(text: str) -> list[str]:
    """The indented blocks that begin as Python programs do here."""
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", text + "\n", re.MULTILINE)
    programs = (textwrap.dedent(block).strip() + "\n" for block in blocks)
    return [program for program in programs if program.startswith("import talkws\n")]


def programs() -> Iterator[Any]:
    """The Python programs of the documentation."""
    texts = {
        name: (ROOT / name).read_text(encoding="utf-8")
        for name in ("README.md", "bindings/python/README.md")
    }
    texts["talkws"] = inspect.getdoc(talkws) or ""
    for name, text in texts.items():
        for number, program in enumerate(fenced(text) + indented(text), start=1):
            yield pytest.param(program, id=f"{name}-{number}")


def is_server(program: str) -> bool:
    return re.search(r"\b(listen|serve)\(", program) is not None


ALL = list(programs())
SERVERS = [p for p in ALL if str(PORT) in p.values[0] and is_server(p.values[0])]
CLIENTS = [p for p in ALL if str(PORT) in p.values[0] and not is_server(p.values[0])]


def execute(program: str) -> list[str]:
    """Run a program; what it prints."""
    said: list[str] = []

    def to_list(*words: object) -> None:
        said.append(" ".join(str(word) for word in words))

    names = {"__name__": "__main__", "talkws": talkws, "print": to_list}
    # It is our own.
    exec(compile(program, "<documentation>", "exec"), names)  # noqa: S102
    return said


@pytest.mark.parametrize("program", CLIENTS)
def test_a_client_of_the_documentation_says_hello(program: str, answering: int) -> None:
    assert execute(program.replace(f":{PORT}", f":{answering}")) == [
        f"Received: {ANSWER}"
    ]


@pytest.mark.parametrize("program", SERVERS)
def test_a_server_of_the_documentation_answers(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: queue.Queue[Any] = queue.Queue()

    def on_a_free_port(make: Callable[..., Any]) -> Callable[..., Any]:
        def free(value: object) -> object:
            if isinstance(value, str):
                return value.replace(f":{PORT}", ":0")
            return 0 if value == PORT else value

        def made(*arguments: object, **options: object) -> Any:
            options = {name: free(value) for name, value in options.items()}
            server = make(*map(free, arguments), **options)
            started.put(server)
            return server

        return made

    for name in ("listen", "serve"):
        if hasattr(talkws, name):
            monkeypatch.setattr(talkws, name, on_a_free_port(getattr(talkws, name)))

    ended = in_thread(lambda: execute(program))
    server = started.get(timeout=PATIENCE)
    try:
        url = f"ws://localhost:{server.port}/talk-to-server"
        with talkws.connect(url) as ws:
            ws.send(HELLO)
            assert ws.recv(PATIENCE) == ANSWER
    finally:
        (getattr(server, "shutdown", None) or server.close)()
    assert ended.result(PATIENCE) == [f"Message: {HELLO}"]


def test_the_documentation_has_clients_and_servers() -> None:
    assert len(CLIENTS) >= 3
    assert len(SERVERS) >= 2
