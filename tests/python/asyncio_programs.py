"""Programs for websockets.asyncio. Run by test_drop_in.py."""

from __future__ import annotations

__all__ = ["PROGRAMS"]

PROGRAMS = {
    "echo": """
    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                for message in ("Hello world!", "", "\\u4e16\\u754c", b"", b"\\x00\\xff", "x" * 70000):
                    await websocket.send(message)
                    answer = await websocket.recv()
                    print(type(answer).__name__, len(answer), answer == message)
                await websocket.send(bytearray(b"array"))
                print(await websocket.recv())
                await websocket.send(memoryview(b"view"))
                print(await websocket.recv())
    """,
    "chat": """
    from websockets.asyncio.server import broadcast

    members = set()

    async def chat(websocket):
        members.add(websocket)
        try:
            await websocket.send("welcome")
            async for message in websocket:
                broadcast(members, message)
        finally:
            members.remove(websocket)

    async def main():
        async with serve(chat, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as ann, connect(uri_of(server)) as bob:
                print(await ann.recv(), await bob.recv())
                await ann.send("hello, bob")
                print(await ann.recv(), "|", await bob.recv())
                await bob.send(b"hello, ann")
                print(await ann.recv(), "|", await bob.recv())
        print(len(members))
    """,
    "fragments": """
    async def handler(websocket):
        while True:
            message = await websocket.recv()
            if message == "stop":
                break
            await websocket.send(repr(message))

    async def parts():
        yield b"a"
        await asyncio.sleep(0)
        yield b"b"

    async def main():
        async with serve(handler, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                await websocket.send(["frag", "mented ", "text"])
                print(await websocket.recv())
                await websocket.send(part for part in (b"a", b"", b"b"))
                print(await websocket.recv())
                await websocket.send(parts())
                print(await websocket.recv())
                await websocket.send(b"bytes as text", text=True)
                print(await websocket.recv())
                await websocket.send("text as bytes", text=False)
                print(await websocket.recv())
                print(await websocket.send("bytes", text=False), await websocket.recv(decode=True))
                for wrong in (1, None, {"a": 1}):
                    try:
                        await websocket.send(wrong)
                    except TypeError:
                        print("TypeError", type(wrong).__name__)
                await websocket.send("stop")
                await websocket.wait_closed()
                print(websocket.close_code, repr(websocket.close_reason), websocket.state.name)
    """,
    "latency": """
    async def listen(websocket):
        async for message in websocket:
            print(message)

    async def main():
        async with serve(listen, "127.0.0.1", 0) as server:
            async with connect(uri_of(server), ping_interval=None) as websocket:
                print(websocket.latency)
                pong = await websocket.ping()
                latency = await pong
                print(latency > 0, websocket.latency > 0)
                first, second = await websocket.ping("first"), await websocket.ping(b"second")
                await second
                print(first.done())
                await websocket.pong()
                await websocket.pong(b"alive")
                await websocket.send("after")
    """,
    "iteration": """
    from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

    async def count(websocket):
        for number in range(3):
            await websocket.send(str(number))
        if websocket.request.path == "/bad":
            await websocket.close(1011, "bad")

    async def main():
        async with serve(count, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                async for message in websocket:
                    print(message)
            print(websocket.close_code)
            async with connect(uri_of(server) + "/bad") as websocket:
                try:
                    async for message in websocket:
                        print(message)
                except ConnectionClosedError as closed:
                    print(closed.rcvd.code, closed.rcvd.reason, closed.rcvd_then_sent)
            async with connect(uri_of(server)) as websocket:
                for _ in range(3):
                    await websocket.recv()
                try:
                    await websocket.recv()
                except ConnectionClosedOK as closed:
                    print(closed.rcvd.code, closed.rcvd_then_sent)
    """,
    "concurrency": """
    from websockets.exceptions import ConcurrencyError

    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    async def main():
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(uri_of(server)) as websocket:
                first = asyncio.create_task(websocket.recv())
                await asyncio.sleep(0)
                try:
                    await websocket.recv()
                except ConcurrencyError:
                    print("ConcurrencyError")
                first.cancel()
                try:
                    await first
                except asyncio.CancelledError:
                    print("cancelled")
                try:
                    async with asyncio.timeout(0.01):
                        await websocket.recv()
                except TimeoutError:
                    print("timeout")
                try:
                    await asyncio.wait_for(websocket.recv(), 0.01)
                except TimeoutError:
                    print("timeout")
                sent = [asyncio.create_task(websocket.send(str(n))) for n in range(5)]
                await asyncio.gather(*sent)
                print([await websocket.recv() for _ in range(5)])
    """,
    "health_check": """
    import http
    from websockets.datastructures import Headers
    from websockets.exceptions import InvalidStatus
    from websockets.http11 import Response

    def process_request(connection, request):
        if request.path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\\n")
        if request.path == "/page":
            return Response(200, "OK", Headers({"Content-Type": "text/html"}), b"<p>page")
        if request.path == "/gone":
            return connection.respond(http.HTTPStatus.GONE, "gone\\n")

    async def handler(websocket):
        await websocket.send("in")

    async def main():
        async with serve(handler, "127.0.0.1", 0, process_request=process_request) as server:
            for path in ("/healthz", "/page"):
                host, port = server.sockets[0].getsockname()
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(b"GET " + path.encode() + b" HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
                answer = await reader.read()
                print(answer.split(b"\\r\\n")[0], answer.split(b"\\r\\n\\r\\n")[1])
                writer.close()
            try:
                async with connect(uri_of(server) + "/gone"):
                    print("in?")
            except InvalidStatus as refused:
                print(refused.response.status_code, bytes(refused.response.body))
            async with connect(uri_of(server) + "/") as websocket:
                print(await websocket.recv())
    """,
    "basic_auth": """
    import base64
    from websockets.asyncio.server import basic_auth
    from websockets.exceptions import InvalidStatus

    async def whoami(websocket):
        await websocket.send(websocket.username)

    def authorization(text):
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    async def main():
        check = basic_auth(realm="my server", credentials=("hello", "iloveyou"))
        async with serve(whoami, "127.0.0.1", 0, process_request=check) as server:
            right = authorization("hello:iloveyou")
            async with connect(uri_of(server), additional_headers=right) as websocket:
                print(await websocket.recv())
            for headers in ({}, authorization("hello:wrong")):
                try:
                    await connect(uri_of(server), additional_headers=headers)
                except InvalidStatus as refused:
                    print(refused.response.status_code,
                          refused.response.headers["WWW-Authenticate"])
    """,
    "reconnect": """
    from websockets.exceptions import ConnectionClosed

    async def once(websocket):
        await websocket.send("hello")
        await websocket.close(1012, "restarting")

    async def main():
        async with serve(once, "127.0.0.1", 0) as server:
            count = 0
            async for websocket in connect(uri_of(server)):
                try:
                    async for message in websocket:
                        print(message)
                except ConnectionClosed as closed:
                    print(closed.rcvd.code, closed.rcvd.reason)
                count += 1
                if count == 3:
                    break
    """,
    "shutdown": """
    from websockets.exceptions import ConnectionClosed, ConnectionClosedOK

    async def handler(websocket):
        await websocket.send("up")
        try:
            await websocket.recv()
        except ConnectionClosedOK as closed:
            print("handler", closed.sent.code, repr(closed.sent.reason))

    async def main():
        server = await serve(handler, "127.0.0.1", 0)
        print(server.is_serving(), len(server.connections))
        async with connect(uri_of(server)) as websocket:
            print(await websocket.recv(), len(server.connections))
            server.close()
            await server.wait_closed()
            print(server.is_serving())
            try:
                await websocket.recv()
            except ConnectionClosed as closed:
                print(closed.rcvd.code)
        server = await serve(handler, "127.0.0.1", 0)
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("cancelled")
    """,
    "subprotocols": """
    from websockets.exceptions import InvalidStatus, NegotiationError

    async def handler(websocket):
        await websocket.send(str(websocket.subprotocol))

    def select(connection, subprotocols):
        if "forbidden" in subprotocols:
            raise NegotiationError("no")
        return subprotocols[-1] if subprotocols else None

    async def main():
        async with serve(handler, "127.0.0.1", 0, select_subprotocol=select) as server:
            async with connect(uri_of(server), subprotocols=["a", "b"]) as websocket:
                print(await websocket.recv(), websocket.subprotocol)
            try:
                await connect(uri_of(server), subprotocols=["forbidden"])
            except InvalidStatus as refused:
                print(refused.response.status_code)
    """,
}
