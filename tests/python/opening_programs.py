"""Programs for websockets.sync about how connections are opened, and servers shut down. Run by
test_drop_in.py.
"""

from __future__ import annotations

__all__ = ["PROGRAMS"]

PROGRAMS = {
    "health_check": """
    import http
    import urllib.error
    import urllib.request
    from websockets.datastructures import Headers
    from websockets.http11 import Response

    def process_request(connection, request):
        if request.path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\\n")
        if request.path == "/page":
            return Response(200, "OK", Headers({"Content-Type": "text/html"}), b"<p>page")
        if request.path != "/":
            return connection.respond(http.HTTPStatus.NOT_FOUND, "no " + request.path)
        return None

    server, thread, uri = start(lambda websocket: websocket.send("in"),
                                process_request=process_request)
    page = uri.replace("ws", "http", 1)
    with urllib.request.urlopen(page + "/healthz") as response:
        print(response.status, response.read())
    with urllib.request.urlopen(page + "/page") as response:
        print(response.headers["Content-Type"], response.read())
    try:
        urllib.request.urlopen(page + "/nothing")
    except urllib.error.HTTPError as error:
        with error:
            print(error.code, error.read())
    with connect(uri + "/") as websocket:
        print(websocket.recv())
    server.shutdown()
    thread.join()
    """,
    "basic_auth": """
    import base64
    from websockets.exceptions import InvalidStatus
    from websockets.sync.server import basic_auth

    def whoami(websocket):
        websocket.send(websocket.username)

    def authorization(text):
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    check = basic_auth(realm="my server", credentials=("hello", "iloveyou"))
    server, thread, uri = start(whoami, process_request=check)
    with connect(uri, additional_headers=authorization("hello:iloveyou")) as websocket:
        print(websocket.recv())
    for headers in ({}, authorization("hello:wrong"), {"Authorization": "Bearer x"}):
        try:
            connect(uri, additional_headers=headers)
        except InvalidStatus as error:
            print(error.response.status_code, "Basic" in error.response.headers["WWW-Authenticate"])
    server.shutdown()
    thread.join()
    """,
    "subprotocols": """
    from websockets.exceptions import InvalidStatus, NegotiationError

    def handler(websocket):
        websocket.send(str(websocket.subprotocol))

    server, thread, uri = start(handler, subprotocols=["chat.v2", "chat.v1"])
    with connect(uri, subprotocols=["chat.v1", "chat.v2"]) as websocket:
        print(websocket.subprotocol, websocket.recv())
    try:
        connect(uri, subprotocols=["soap"])
    except InvalidStatus as error:
        print(error.response.status_code)
    server.shutdown()
    thread.join()

    def select(connection, subprotocols):
        if "b" in subprotocols:
            return "b"
        raise NegotiationError("b is needed")

    server, thread, uri = start(handler, select_subprotocol=select)
    with connect(uri, subprotocols=["a", "b"]) as websocket:
        print(websocket.subprotocol, websocket.recv())
    try:
        connect(uri, subprotocols=["a"])
    except InvalidStatus as error:
        print(error.response.status_code)
    server.shutdown()
    thread.join()
    """,
    "shutdown": """
    from websockets.exceptions import ConnectionClosedOK

    said = []

    def handler(websocket):
        try:
            websocket.recv()
        except ConnectionClosedOK as closed:
            said.append(("server", closed.sent.code, closed.sent.reason))

    server, thread, uri = start(handler)
    websocket = connect(uri, legacy=True)
    websocket.ping().wait(30)
    closing = threading.Thread(target=server.shutdown, kwargs={"code": 1001, "reason": "bye"})
    closing.start()
    try:
        websocket.recv()
    except ConnectionClosedOK as closed:
        said.append(("client", closed.rcvd.code, closed.rcvd.reason))
    closing.join()
    thread.join()
    print(sorted(said))
    print(len(server.connections), server.fileno())
    try:
        connect(uri)
    except OSError as error:
        print(type(error).__name__)
    """,
    "request_and_response": """
    def change(connection, request, response):
        response.headers["X-Answer"] = request.headers["X-Question"].upper()

    def handler(websocket):
        request = websocket.request
        print(request.path, request.headers["x-question"], request.headers.get("X-None"))
        print(request.headers.get_all("X-Twice"), "Origin" in request.headers)
        print(websocket.response.status_code, websocket.response.headers["x-answer"])
        print(websocket.remote_address[0], websocket.local_address[0])

    server, thread, uri = start(handler, process_response=change, server_header="me")
    headers = [("X-Question", "why?"), ("X-Twice", "1"), ("X-Twice", "2")]
    with connect(uri + "/path?query=1", additional_headers=headers) as websocket:
        print(list(websocket))
        print(websocket.response.status_code, websocket.response.reason_phrase)
        print(websocket.response.headers["X-Answer"], websocket.response.headers["Server"])
        print(websocket.request.path, websocket.state.name)
    server.shutdown()
    thread.join()
    """,
    "origins": """
    import re
    from websockets.exceptions import InvalidStatus

    allowed = ["https://a.example", re.compile(r"https://.*\\.b\\.example"), None]
    server, thread, uri = start(lambda websocket: None, origins=allowed)
    for origin in ("https://a.example", "https://x.b.example", None, "https://c.example"):
        try:
            connect(uri, origin=origin, legacy=True).close()
            print("in")
        except InvalidStatus as error:
            print(error.response.status_code)
    server.shutdown()
    thread.join()
    """,
}
