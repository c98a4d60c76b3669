// Sends every message back, compressed: ws, the library for Node.
"use strict";

const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  // By default it compresses nothing under 1 KiB, and no two messages at a time.
  perMessageDeflate: { threshold: 0 },
});
server.on("listening", () => {
  console.log(`Listening on ws://127.0.0.1:${server.address().port}`);
});
server.on("connection", (socket) => {
  socket.on("message", (data, binary) => socket.send(data, { binary }));
  socket.on("error", () => {});
});
