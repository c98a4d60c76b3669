"""Programs for websockets.sync that talk. Run by test_drop_in.py."""

from __future__ import annotations

__all__ = ["PROGRAMS"]

PROGRAMS = {
    "echo": """
    def echo(websocket):
        for message in websocket:
            websocket.send(message)

    server, thread, uri = start(echo)
    with connect(uri) as websocket:
        for message in ("Hello world!", "", "\\u4e16\\u754c", b"", b"\\x00\\xff", "x" * 70000):
            websocket.send(message)
            answer = websocket.recv()
            print(type(answer).__name__, len(answer), answer == message)
        websocket.send(bytearray(b"array"))
        print(websocket.recv())
        websocket.send(memoryview(b"view"))
        print(websocket.recv())
    server.shutdown()
    thread.join()
    """,
    "chat": """
    from websockets.exceptions import ConnectionClosed

    members, lock = set(), threading.Lock()

    def chat(websocket):
        with lock:
            members.add(websocket)
        websocket.send("welcome")
        try:
            for message in websocket:
                with lock:
                    everybody = list(members)
                for member in everybody:
                    try:
                        member.send(message)
                    except ConnectionClosed:
                        pass
        finally:
            with lock:
                members.discard(websocket)

    with serve(chat, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        uri = "ws://127.0.0.1:%d" % server.socket.getsockname()[1]
        with connect(uri) as ann, connect(uri) as bob:
            print(ann.recv(), bob.recv())
            ann.send("hello, bob")
            print(ann.recv(), "|", bob.recv())
            bob.send(b"hello, ann")
            print(ann.recv(), "|", bob.recv())
    thread.join()
    print(len(members))
    """,
    "fragments": """
    def handler(websocket):
        while True:
            message = websocket.recv()
            if message == "stop":
                break
            websocket.send(repr(message))

    server, thread, uri = start(handler)
    with connect(uri) as websocket:
        websocket.send(["frag", "mented ", "text"])
        print(websocket.recv())
        websocket.send(part for part in (b"a", b"", b"b"))
        print(websocket.recv())
        websocket.send(b"bytes as text", text=True)
        print(websocket.recv())
        websocket.send("text as bytes", text=False)
        print(websocket.recv())
        for wrong in (1, None, {"a": 1}, ["a", b"b"]):
            try:
                websocket.send(wrong)
            except TypeError:
                print("TypeError", type(wrong).__name__)
    server.shutdown()
    thread.join()
    """,
    "latency": """
    server, thread, uri = start(lambda websocket: list(websocket))
    with connect(uri, ping_interval=None) as websocket:
        print(websocket.latency)
        pong = websocket.ping()
        print(pong.wait(timeout=30), websocket.latency > 0)
        first, second = websocket.ping("first"), websocket.ping(b"second")
        print(second.wait(30), first.is_set())
        websocket.pong()
        websocket.pong(b"alive")
    server.shutdown()
    thread.join()
    """,
    "iteration": """
    from websockets.exceptions import ConnectionClosedError

    def count(websocket):
        for number in range(3):
            websocket.send(str(number))
        if websocket.request.path == "/bad":
            websocket.close(1011, "bad")

    server, thread, uri = start(count)
    with connect(uri) as websocket:
        for message in websocket:
            print(message)
    print(websocket.close_code)
    with connect(uri + "/bad") as websocket:
        try:
            for message in websocket:
                print(message)
        except ConnectionClosedError as closed:
            print(closed.rcvd.reason)
    server.shutdown()
    thread.join()
    """,
    "timeouts": """
    def handler(websocket):
        websocket.recv()
        websocket.send("after all")

    server, thread, uri = start(handler)
    with connect(uri) as websocket:
        for timeout in (0.01, 0, -1):
            try:
                websocket.recv(timeout=timeout)
            except TimeoutError:
                print("nothing yet")
        websocket.send("go on")
        print(websocket.recv(timeout=30))
        print(websocket.wait_closed(timeout=30))
    server.shutdown()
    thread.join()
    """,
    "streaming": """
    def handler(websocket):
        text = "".join(websocket.recv_streaming())
        data = b"".join(websocket.recv_streaming())
        raw = b"".join(websocket.recv_streaming(decode=False))
        print(text, len(data), raw)
        websocket.send(str(len(data)))
        print(websocket.recv(decode=False), websocket.recv(decode=True))

    server, thread, uri = start(handler)
    with connect(uri) as websocket:
        websocket.send(["three ", "parts ", "\\u00e9"])
        websocket.send(bytes(1 << 18))
        websocket.send("as bytes")
        print(websocket.recv())
        websocket.send("bytes")
        websocket.send(b"text")
    server.shutdown()
    thread.join()
    """,
    "close_codes": """
    from websockets.exceptions import ConnectionClosed, ConnectionClosedError
    from websockets.frames import CloseCode

    def handler(websocket):
        code = int(websocket.recv())
        websocket.close(code, "as you say" if code != 1000 else "")

    server, thread, uri = start(handler)
    for code in (CloseCode.NORMAL_CLOSURE, 1001, 1011, 3000, 4999):
        with connect(uri) as websocket:
            websocket.send(str(int(code)))
            try:
                websocket.recv()
            except ConnectionClosed as closed:
                print(type(closed).__name__, closed.rcvd.code, closed.rcvd.reason)
                print(closed.sent.code, closed.rcvd_then_sent)
            try:
                websocket.send("too late")
            except ConnectionClosed as closed:
                print(type(closed).__name__)
            print(websocket.close_code, websocket.close_reason, websocket.state.name)
    websocket = connect(uri, legacy=True)
    websocket.close(4000, "mine")
    websocket.close()
    try:
        websocket.recv()
    except ConnectionClosedError as closed:
        print(closed.rcvd.code, closed.sent.reason, closed.rcvd_then_sent)
    server.shutdown()
    thread.join()
    """,
    "reconnect": """
    import itertools
    from websockets.sync.client import reconnect
    from websockets.exceptions import ConnectionClosed

    visits = itertools.count(1)

    def handler(websocket):
        websocket.send(str(next(visits)))
        if websocket.recv() == "again":
            websocket.close(1012)

    server, thread, uri = start(handler)
    for websocket in reconnect(uri):
        try:
            number = websocket.recv()
            print(number)
            websocket.send("again" if number != "3" else "enough")
            websocket.recv()
        except ConnectionClosed as closed:
            print(closed.rcvd.code)
            if number == "3":
                break
    server.shutdown()
    thread.join()
    """,
    "failing_handler": """
    import logging
    from websockets.exceptions import ConnectionClosedError

    logging.disable()

    def handler(websocket):
        raise LookupError("nothing here")

    server, thread, uri = start(handler)
    with connect(uri) as websocket:
        try:
            websocket.recv()
        except ConnectionClosedError as closed:
            print(closed.rcvd.code, repr(closed.rcvd.reason))
    server.shutdown()
    thread.join()
    """,
}
