// A peer for the interoperability tests, made of the Node library ws.
// The contract that its command line and its routes keep is in README.md.
"use strict";

const http = require("node:http");
const { once } = require("node:events");
const WebSocket = require("ws");

const TIMEOUT = 1000 * Number(process.env.INTEROP_TIMEOUT || 10);
const NON_ASCII = "Grüße, 世界 🦀 مرحبا";
const FRAGMENTED = "é世🦀 in pieces of three bytes, which split 🦀世é";
const FRAGMENTED_BINARY = Buffer.from([0, 0xff, 0x80, 0xc3, 0x28, 0, 0xf0, 0x9f]);
const V1 = "talkws.v1";
const V2 = "talkws.v2";

// Exactly 1 MiB of text with characters of one to four bytes.
function mebibyte() {
  const text = "é世🦀.".repeat(Math.floor(2 ** 20 / 10));
  return text + "x".repeat(2 ** 20 - Buffer.byteLength(text));
}

// Fragments of three bytes, an empty one, and a ping after the first if there is one to send.
function sendFragments(socket, payload, binary, ping) {
  const bytes = Buffer.from(payload);
  socket.send(bytes.subarray(0, 3), { binary, fin: false });
  socket.send(Buffer.alloc(0), { binary, fin: false });
  if (ping !== undefined) socket.ping(ping);
  for (let start = 3; start < bytes.length; start += 3) {
    const fin = start + 3 >= bytes.length;
    socket.send(bytes.subarray(start, start + 3), { binary, fin });
  }
}

// Values that come one by one and are waited for one by one.
class Mailbox {
  values = [];
  waiting = [];

  put(value) {
    const next = this.waiting.shift();
    if (next) next(value);
    else this.values.push(value);
  }

  take(what) {
    if (this.values.length > 0) return Promise.resolve(this.values.shift());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what}`)), TIMEOUT);
      this.waiting.push((value) => {
        clearTimeout(timer);
        resolve(value);
      });
    });
  }
}

// The server

const outcomes = new Map();

function outcomeOf(id) {
  if (!outcomes.has(id)) outcomes.set(id, new Mailbox());
  return outcomes.get(id);
}

function recordOutcome(socket, id) {
  socket.on("close", (code, reason) => outcomeOf(id).put(`${code} ${reason}`));
}

const routes = {
  "/": (socket, query) => {
    recordOutcome(socket, query.get("id"));
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  },
  "/close": (socket, query) => {
    recordOutcome(socket, query.get("id"));
    if (query.has("code")) socket.close(Number(query.get("code")), query.get("reason"));
    else socket.close();
  },
  "/outcome": async (socket, query) => {
    const outcome = outcomeOf(query.get("id")).take("end of the connection");
    socket.send(await outcome.catch((error) => `0 ${error.message}`));
  },
  "/ping": (socket, query) => {
    socket.on("pong", (payload) => socket.send(`pong ${payload}`));
    socket.ping(query.get("payload"));
  },
  "/fragments": (socket) => {
    socket.on("pong", (payload) => socket.send(`pong ${payload}`));
    sendFragments(socket, FRAGMENTED, false, "between");
    sendFragments(socket, FRAGMENTED_BINARY, true);
  },
  "/subprotocol": (socket, _query, request) => {
    const offered = request.headers["sec-websocket-protocol"] || "";
    socket.send(offered.split(/\s*,\s*/).join(","));
  },
  "/talk-to-server": (socket) => {
    socket.on("message", (message) => {
      console.log(`Message: ${message}`);
      socket.send("Hello from server!");
    });
  },
};

// How messages are to be compressed, if that was said: INTEROP_DEFLATE has the parameters of RFC
// 7692 that both ends are given.
function perMessageDeflate(otherwise) {
  const parameters = process.env.INTEROP_DEFLATE;
  if (parameters === undefined) {
    return otherwise;
  }
  const options = { threshold: 0 };
  for (const parameter of parameters.split(",").filter(Boolean)) {
    const [name, bits] = parameter.split("=");
    const camel = name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
    options[camel] = bits === undefined ? true : Number(bits);
  }
  return options;
}

async function serve() {
  const server = http.createServer((_request, response) => response.writeHead(426).end());
  const upgrader = new WebSocket.Server({
    noServer: true,
    perMessageDeflate: perMessageDeflate(false),
    handleProtocols: (offered, request) =>
      request.url.startsWith("/subprotocol") && offered.has(V2) && V2,
  });
  server.on("upgrade", (request, stream, head) => {
    const url = new URL(request.url, "http://localhost");
    const route = routes[url.pathname];
    if (!route) {
      const status = url.pathname === "/refuse" ? "403 Forbidden" : "404 Not Found";
      stream.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno`);
      return;
    }
    upgrader.handleUpgrade(request, stream, head, (socket) => {
      socket.on("error", () => {});
      route(socket, url.searchParams, request);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  console.log(`Listening on ws://127.0.0.1:${server.address().port}`);
  process.stdin.on("end", () => process.exit()).resume();
}

// The client

// A connection that remembers what came.
class Session {
  messages = new Mailbox();
  pings = new Mailbox();
  pongs = new Mailbox();
  ends = new Mailbox();

  static async dial(url, subprotocols = []) {
    const session = new Session();
    const socket = new WebSocket(url, subprotocols, {
      handshakeTimeout: TIMEOUT,
      perMessageDeflate: perMessageDeflate(true),
    });
    session.socket = socket;
    socket.on("message", (data, isBinary) => session.messages.put({ data, isBinary }));
    socket.on("ping", (payload) => session.pings.put(payload));
    socket.on("pong", (payload) => session.pongs.put(payload));
    socket.on("close", (code, reason) => {
      session.messages.put(undefined);
      session.ends.put({ code, reason: reason.toString() });
    });
    await once(socket, "open");
    socket.on("error", () => {}); // "close" follows, with 1006
    return session;
  }

  async expect(want) {
    const got = await this.messages.take("message");
    if (got === undefined) throw new Error("closed instead of a message");
    if (got.isBinary !== Buffer.isBuffer(want)) throw new Error("message of the wrong type");
    if (!got.data.equals(Buffer.from(want))) {
      throw new Error(`wrong payload: ${brief(got.data)}, not ${brief(want)}`);
    }
  }

  async expectControl(name, mailbox, want) {
    const got = await mailbox.take(name);
    if (!got.equals(Buffer.from(want))) throw new Error(`${name} with "${got}", not "${want}"`);
  }

  async expectEnd(code, reason) {
    const end = await this.ends.take("close");
    if (end.code !== code) throw new Error(`closed with ${end.code}, not ${code}`);
    if (reason !== undefined && end.reason !== reason) {
      throw new Error(`closed with the reason "${end.reason}", not "${reason}"`);
    }
  }

  async leave() {
    this.socket.close(1000);
    await this.expectEnd(1000);
  }
}

function brief(payload) {
  return JSON.stringify(payload.toString().slice(0, 60));
}

// Runs `talk` on a connection of its own and closes that in good order.
async function withSession(url, talk, subprotocols) {
  const session = await Session.dial(url, subprotocols);
  try {
    await talk(session);
    await session.leave();
  } finally {
    session.socket.terminate();
  }
}

function checks(base) {
  let lastId = 0;
  const newId = () => `ws-${++lastId}`;

  const echo = (...payloads) =>
    withSession(base, async (session) => {
      for (const payload of payloads) session.socket.send(payload);
      for (const payload of payloads) await session.expect(payload);
    });

  const echoFragments = (payload, ping) =>
    withSession(base, async (session) => {
      sendFragments(session.socket, payload, Buffer.isBuffer(payload), ping);
      await session.expect(payload);
      if (ping !== undefined) await session.expectControl("pong", session.pongs, ping);
    });

  const fragmentsFromServer = () =>
    withSession(`${base}/fragments`, async (session) => {
      await session.expect(FRAGMENTED);
      await session.expectControl("ping", session.pings, "between");
      await session.expect(FRAGMENTED_BINARY);
      await session.expect("pong between");
    });

  const ping = () =>
    withSession(base, async (session) => {
      for (const payload of ["ping", "", "p".repeat(125)]) {
        session.socket.ping(payload);
        await session.expectControl("pong", session.pongs, payload);
      }
    });

  const pingFromServer = () =>
    withSession(`${base}/ping?payload=are+you+there`, async (session) => {
      await session.expectControl("ping", session.pings, "are you there");
      await session.expect("pong are you there");
    });

  // Asks the server how the connection with that id ended.
  const expectOutcome = (id, code, reason) =>
    withSession(`${base}/outcome?id=${id}`, async (session) => {
      const got = await session.messages.take("outcome");
      if (!got || got.isBinary) throw new Error("the outcome is not text");
      const [gotCode, gotReason] = got.data.toString().split(/ (.*)/);
      if (gotCode !== String(code) || (reason !== undefined && gotReason !== reason)) {
        throw new Error(`the server saw ${gotCode} "${gotReason}", not ${code} "${reason}"`);
      }
    });

  const close = async (code, reason = "") => {
    const id = newId();
    const session = await Session.dial(`${base}/?id=${id}`);
    if (code === 1005) session.socket.close();
    else session.socket.close(code, reason);
    await session.expectEnd(code);
    await expectOutcome(id, code, reason);
  };

  const closed = async (code, reason = "") => {
    const id = newId();
    const query = new URLSearchParams(code === 1005 ? { id } : { id, code, reason });
    const session = await Session.dial(`${base}/close?${query}`);
    await session.expectEnd(code, reason);
    await expectOutcome(id, code);
  };

  const subprotocol = (offered, chosen) =>
    withSession(
      `${base}/subprotocol`,
      async (session) => {
        if (session.socket.protocol !== chosen) {
          throw new Error(`the server chose "${session.socket.protocol}", not "${chosen}"`);
        }
        await session.expect(offered.join(","));
      },
      offered,
    );

  // ws does not go on without a subprotocol once it has offered some.
  const subprotocolDeclined = () =>
    expectError(Session.dial(`${base}/subprotocol`, [V1]), "Server sent no subprotocol");

  const refused = (path, status) =>
    expectError(Session.dial(base + path), `Unexpected server response: ${status}`);

  return {
    "text": () => echo("Hello"),
    "empty text": () => echo(""),
    "non-ASCII text": () => echo(NON_ASCII),
    "1 MiB text": () => echo(mebibyte()),
    "binary": () => echo(Buffer.from([0, 1, 0x80, 0xfe, 0xff])),
    "empty binary": () => echo(Buffer.alloc(0)),
    "1 MiB binary": () => echo(Buffer.alloc(2 ** 20, Buffer.from([0xff, 0, 0x80, 7]))),
    "frame length boundaries": () =>
      echo(...[1, 125, 126, 127, 65535, 65536].map((length) => Buffer.alloc(length, "l"))),
    "many messages in order": () =>
      echo(...Array.from({ length: 100 }, (_, index) => `message ${index}`)),
    "fragmented text": () => echoFragments(FRAGMENTED),
    "fragmented binary": () => echoFragments(FRAGMENTED_BINARY),
    "ping between fragments": () => echoFragments(FRAGMENTED, "between"),
    "fragments from the server": fragmentsFromServer,
    "ping": ping,
    "ping from the server": pingFromServer,
    "close with 1000": () => close(1000),
    "close with 4001": () => close(4001, "some reason ✓"),
    "close without a code": () => close(1005),
    "closed by the server with 1000": () => closed(1000),
    "closed by the server with 4001": () => closed(4001, "some reason ✓"),
    "closed by the server without a code": () => closed(1005),
    "subprotocol chosen": () => subprotocol([V1, V2], V2),
    "subprotocol declined": subprotocolDeclined,
    "no subprotocol offered": () => subprotocol([], ""),
    "refused with 403": () => refused("/refuse", 403),
    "refused with 404": () => refused("/nothing-here", 404),
  };
}

async function expectError(promise, message) {
  const session = await promise.catch((error) => {
    if (error.message !== message) throw new Error(`"${error.message}", not "${message}"`);
  });
  if (session) {
    session.socket.terminate();
    throw new Error(`connected, instead of "${message}"`);
  }
}

async function runChecks(base) {
  for (const [name, check] of Object.entries(checks(base))) {
    try {
      await check();
      console.log(`ok ${name}`);
    } catch (error) {
      console.log(`not ok ${name}: ${error.message}`);
      process.exitCode = 1;
    }
  }
}

// The exchange that this library was born from.
async function hello(url) {
  const session = await Session.dial(url);
  session.socket.send("Hello from client!");
  const { data } = await session.messages.take("answer");
  console.log(`Received: ${data}`);
  await session.leave();
}

const [command, url] = process.argv.slice(2);
if (command === "server") serve();
else if (command === "client" && url) runChecks(url);
else if (command === "hello" && url) hello(url);
else {
  console.error("usage: ws_peer.js server | client URL | hello URL");
  process.exitCode = 2;
}
