"""The command line, ``python -m talkws``: a WebSocket to talk through by hand or in a pipe."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

import talkws

from .console import Console, Pipes, complain
from .display import printable
from .talk import ClientTalk, ServerTalk
from .terminal import Terminal

__all__ = ["main"]

_DESCRIPTION = """\
Talk to a WebSocket server. Each line that you type is sent as a text message; each message that
arrives is shown after "< ". Ctrl-D closes the connection, and so does Ctrl-C.
"""

_EXAMPLES = """\
examples:
  python -m talkws ws://localhost:8080/talk-to-server
      a conversation in the terminal
  echo hi | python -m talkws ws://localhost:8080/
      send a line; show what comes until a second passes in silence
  python -m talkws --wait inf ws://localhost:8080/ < /dev/null
      show messages until the server closes the connection
  python -m talkws --listen
      serve at ws://localhost:8080; lines go to all clients that are connected

In a pipe, stdout gets the messages, one on a line, and stderr gets the rest. The connection is
closed after the end of the input, once no message has come for the seconds of --wait; what
arrives after that is not shown. Characters that would control a terminal are shown as escapes,
binary messages in hexadecimal. With --listen, lines from a pipe wait for the first client.

exit status:
  0    the connection ended in order (1000, 1001, or without a code)
  1    it could not be opened, ended otherwise, or something was not sent
  2    the command line makes no sense
  130  Ctrl-C
"""

_LISTEN_URL = "ws://localhost:8080"


class _BadUsage(Exception):
    """What was asked for cannot be."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.uri is None) == (options.listen is None):
        parser.error("expected either a URI or --listen")
    if options.uri is not None and len(options.origin) > 1:
        parser.error("a client has one --origin")
    is_terminal = _is_terminal()
    if options.raw and sys.stdout is not None and sys.stdout.isatty():
        parser.error("--raw is not for a terminal, which the other end could control")
    console = Terminal() if is_terminal else Pipes(options.raw)
    try:
        with console:
            if options.listen is None:
                return _connect(options, console, is_terminal)
            return _listen(options, console, is_terminal)
    except _BadUsage as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        # Too early for a conversation, or for the second time.
        return 130


def _connect(options: argparse.Namespace, console: Console, is_terminal: bool) -> int:
    uri: str = options.uri
    try:
        ws = talkws.connect(
            uri,
            origin=options.origin[0] if options.origin else None,
            subprotocols=options.subprotocol,
            additional_headers=options.header,
            open_timeout=options.timeout,
        )
    except (talkws.InvalidURI, ValueError, OverflowError) as error:
        raise _BadUsage(error) from None
    except (talkws.WebSocketException, OSError, NotImplementedError) as error:
        complain(f"Failed to connect to {uri}: {_reason(error, f'dial {uri}: ')}.")
        return 1
    wait = 1.0 if options.wait is None else options.wait
    # Who ends the input by hand wants to go.
    talk = ClientTalk(console, ws, options.binary)
    return talk.run(f"Connected to {uri}.", 0.0 if is_terminal else wait)


def _listen(options: argparse.Namespace, console: Console, is_terminal: bool) -> int:
    url: str = options.listen
    try:
        listener = talkws.listen(
            url,
            origins=options.origin or "same-host",
            subprotocols=options.subprotocol,
            open_timeout=options.timeout,
        )
    except (talkws.InvalidURI, ValueError, OverflowError) as error:
        raise _BadUsage(error) from None
    except (talkws.WebSocketException, OSError, NotImplementedError) as error:
        complain(f"Failed to listen on {url}: {_reason(error, f'listen on {url} ')}.")
        return 1
    wait = math.inf if options.wait is None else options.wait
    talk = ServerTalk(
        console, listener, options.binary, options.header, is_patient=not is_terminal
    )
    return talk.run(f"Listening on {listener.url}.", 0.0 if is_terminal else wait)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m talkws",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "uri", metavar="URI", nargs="?", help="where to connect: ws://host:port/path"
    )
    parser.add_argument(
        "--version", action="version", version=f"talkws {talkws.__version__}"
    )
    parser.add_argument(
        "--listen",
        metavar="URL",
        nargs="?",
        const=_LISTEN_URL,
        help=f"be the server instead, at URL ({_LISTEN_URL}); port 0 takes a free one, "
        "and without a path all paths are served",
    )
    parser.add_argument(
        "--subprotocol",
        metavar="NAME",
        action="append",
        default=[],
        help="offer a subprotocol, or agree to it as the server; the preferred one first",
    )
    parser.add_argument(
        "--origin",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="say that a page of this origin connects, as browsers do; as the server, take "
        "browsers from there only",
    )
    parser.add_argument(
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        type=_header,
        default=[],
        help="add a header to the request, or as the server to the response",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=_seconds,
        default=10.0,
        help="for the opening of the connection, name and handshake included (10); or inf",
    )
    parser.add_argument(
        "--wait",
        metavar="SECONDS",
        type=_seconds,
        help="how long no message may come, after the end of an input from a pipe, before "
        "the connection is closed (1; with --listen inf)",
    )
    parser.add_argument(
        "--binary", action="store_true", help="send each line as a binary message"
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help='for another program: messages as they are, text without "< " and with a newline '
        "after it, binary without anything",
    )
    return parser


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"expected 'Name: value', not {text!r}")
    return name.strip(), value.strip()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"expected seconds or inf, not {text!r}")
    return seconds


def _is_terminal() -> bool:
    """Whether a person sits at both ends, so that a prompt makes sense."""
    return (
        sys.stdin is not None
        and sys.stdout is not None
        and sys.stdin.isatty()
        and sys.stdout.isatty()
    )


def _reason(error: Exception, attempt: str) -> str:
    """What went wrong, without what was tried, which is told already."""
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    reason = reason.removeprefix(attempt)
    return printable(reason).rstrip(".")
