/*
 * libtalkws: WebSocket clients and servers (RFC 6455) for programs that block.
 *
 * Made from the sources in bindings/c; change it there.
 *
 *     ws_conn ws;
 *     ws_error err;
 *     if (ws_dial("ws://localhost:8080/talk-to-server", NULL, &ws, &err) != WS_OK)
 *         return fprintf(stderr, "%s\n", err.message), 1;
 *     ws_write(ws, WS_TEXT, "Hello from client!", 18, NULL);
 *
 *     ws_message msg = WS_MESSAGE_INIT;
 *     while (ws_read(ws, &msg, WS_FOREVER, &err) == WS_OK)
 *         printf("Received: %s\n", msg.data);
 *     ws_message_free(&msg);
 *     ws_close(ws, WS_CLOSE_NORMAL, "bye", NULL);
 *
 * HANDLES. A connection or listener is a number that is checked in every call. Zero is never one.
 * A number that was closed, is of the other kind, comes from another process or was made up gives
 * WS_BAD_HANDLE and does no harm; no number is given out twice. ws_close and ws_abort end a
 * connection's handle, ws_refuse does when it succeeds, and ws_listener_close ends a listener's.
 * Until then it is there, also when the connection has long been lost.
 *
 * THREADS. Every function may be called from any thread at any time, on the same handle too. A
 * connection is full duplex: reading never waits for writing, nor writing for reading. Closing a
 * handle ends whatever waits on it in other threads. The memory that you pass, such as a
 * ws_message, belongs to one call at a time. There is nothing to set up and nothing to tear down,
 * and the library sends no SIGPIPE. A child of fork() must leave its parent's handles alone.
 *
 * OWNERSHIP. What you pass is used during the call and not kept: the URL, the payload and the
 * texts may be freed right after it. Texts end with a NUL and are UTF-8; payloads have a length,
 * and may hold NULs. Results are written when a call succeeds, and only then; the ws_error, when
 * it fails. A ws_message owns memory that ws_message_free gives back; nothing else needs freeing,
 * and freeing nothing is harmless.
 *
 * TIMEOUTS are in milliseconds, counted from the start of a call, over all that the call does.
 * 0 does not wait, WS_FOREVER waits as long as it takes. Time running out damages nothing: what
 * has come of a message is kept, and the next call goes on with it.
 *
 * ERRORS. Every function that can fail returns a ws_status: WS_OK is 0, all else is negative and
 * listed with the function. The last argument may point to a ws_error, which then says in words
 * what was tried, on what, and why it failed. errno means nothing here. A connection that has
 * ended gives the error with which it ended to every later call.
 */


#ifndef TALKWS_H
#define TALKWS_H

#include <stddef.h>
#include <stdint.h>

/// What to begin a `ws_message` with.
#define WS_MESSAGE_INIT {NULL, 0, 0, 0, NULL, 0, {NULL, NULL}}

/// A timeout that never passes.
#define WS_FOREVER -1

/// A message of UTF-8 text.
#define WS_TEXT 1

/// A message of bytes without further meaning.
#define WS_BINARY 2

/// All is done.
#define WS_CLOSE_NORMAL 1000

/// A server shuts down, or a page is left.
#define WS_CLOSE_GOING_AWAY 1001

/// The peer broke the protocol.
#define WS_CLOSE_PROTOCOL_ERROR 1002

/// The peer sent a kind of message that this end does not take.
#define WS_CLOSE_UNSUPPORTED_DATA 1003

/// No code at all: give it to `ws_close` to send none, and see it when the peer sent none.
#define WS_CLOSE_NO_STATUS 1005

/// The connection was lost. Never sent, only seen.
#define WS_CLOSE_ABNORMAL 1006

/// A message's content is not what its type says, such as text that is not UTF-8.
#define WS_CLOSE_INVALID_DATA 1007

/// A message breaks a policy, which needs no more telling.
#define WS_CLOSE_POLICY_VIOLATION 1008

/// A message is too big.
#define WS_CLOSE_MESSAGE_TOO_BIG 1009

/// A client needed an extension that the server did not agree to.
#define WS_CLOSE_MANDATORY_EXTENSION 1010

/// A server met what it was not prepared for.
#define WS_CLOSE_INTERNAL_ERROR 1011

/// The server restarts: connect again, after a while.
#define WS_CLOSE_SERVICE_RESTART 1012

/// The server is overloaded: connect again later.
#define WS_CLOSE_TRY_AGAIN_LATER 1013

/// A gateway got a bad answer from the server behind it.
#define WS_CLOSE_BAD_GATEWAY 1014

/// Choices for a call, made apart from it. This version has none to offer: pass NULL, which means
/// the defaults, and always will. Anything else is `WS_INVALID_ARGUMENT`.
typedef struct ws_options ws_options;

/// What a call returns: `WS_OK`, or a negative number that says what went wrong. Numbers are only
/// ever added, so treat one that you do not know as an error. `ws_strerror` names them.
typedef int32_t ws_status;

/// A connection: a handle that `ws_dial` or `ws_accept` gave. Zero is none.
typedef uint64_t ws_conn;

/// What went wrong, in words and numbers. Yours, on your stack; its layout is frozen.
///
/// Every call that can fail takes a pointer to one as its last argument, which may be NULL. It is
/// written when the call fails, and left alone when it succeeds.
typedef struct ws_error {
    /// What the call returned.
    int32_t status;
    /// With `WS_REFUSED` the server's HTTP status, such as 404; else 0.
    int32_t http_status;
    /// The close code that belongs to the end of a connection: the peer's with `WS_CLOSED`, this
    /// end's with `WS_PROTOCOL`, `WS_INVALID_UTF8` and `WS_TOO_BIG`, `WS_CLOSE_ABNORMAL` with
    /// `WS_CONNECTION_LOST` and `WS_ABORTED`; else 0.
    int32_t close_code;
    /// What was tried, on what, and why it failed: UTF-8 in one line, always NUL-terminated.
    char message[244];
} ws_error;

/// A listening server: a handle that `ws_listen` gave. Zero is none.
typedef uint64_t ws_listener;

/// A message that was read. Yours, on your stack; its layout is frozen.
///
/// Begin with `ws_message msg = WS_MESSAGE_INIT;`, read into it as often as you like, and give its
/// memory back with one `ws_message_free`. What you do to `data`, `len` and `type` harms nothing:
/// a parser may move `data` along. The fields after them are the library's.
typedef struct ws_message {
    /// The payload, valid until the next read into this message. `data[len]` is always 0, after
    /// binary messages and failed reads too, so text without a NUL inside is a C string. NULL
    /// before the first read.
    const char *data;
    /// The size of the payload in bytes.
    size_t len;
    /// `WS_TEXT`, whose payload is valid UTF-8, or `WS_BINARY`; 0 when no message was read.
    int32_t type;
    /// Not in use.
    int32_t reserved;
    /// What the memory is.
    void *private_memory;
    /// How much of it there is.
    size_t private_capacity;
    /// Room for what future versions keep here.
    void *private_room[2];
} ws_message;

/// All is well.
#define WS_OK 0

/// An argument that no call could use, such as a NULL where something is needed. Nothing was
/// tried.
#define WS_INVALID_ARGUMENT -1

/// Not a handle of that kind, or not any more: it was closed, or it never was one.
#define WS_BAD_HANDLE -2

/// A URL that is not one, or that cannot be dialled or listened on.
#define WS_INVALID_URL -3

/// Something that this build cannot do.
#define WS_UNSUPPORTED -4

/// The name of the host could not be resolved.
#define WS_RESOLVE -5

/// The operating system refused something, such as to connect or to bind a port.
#define WS_IO -6

/// Time is up. Nothing is damaged: make the same call again, and it goes on.
#define WS_TIMED_OUT -7

/// The wait was interrupted. Nothing is damaged. No call of this version returns it.
#define WS_INTERRUPTED -8

/// The server answered the dial with another HTTP status than 101; see `ws_error.http_status`.
#define WS_REFUSED -9

/// The peer's part of the opening handshake breaks the rules (RFC 6455, section 4).
#define WS_HANDSHAKE -10

/// A subprotocol was required, and the two ends have none in common.
#define WS_NO_SUBPROTOCOL -11

/// The connection was closed in due form: the usual end. `ws_error.close_code` has the peer's
/// code.
#define WS_CLOSED -12

/// The connection ended without a closing handshake: the peer has gone, or the network has.
#define WS_CONNECTION_LOST -13

/// The peer broke a rule of the protocol, and was told so with code 1002.
#define WS_PROTOCOL -14

/// The peer sent text that is not UTF-8, and was told so with code 1007.
#define WS_INVALID_UTF8 -15

/// The peer's message is larger than this end allows; it was told so with code 1009.
#define WS_TOO_BIG -16

/// This end ended it: `ws_abort` on a connection, `ws_listener_close` on a listener.
#define WS_ABORTED -17

/// The call does not fit what the connection is in the middle of.
#define WS_INVALID_STATE -18

/// There is no memory left, or no handle.
#define WS_NO_MEMORY -19

/// A bug of the library. The connection is dead; the process goes on.
#define WS_INTERNAL -20

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// Dials a WebSocket server: resolves its name, connects, and makes the opening handshake. Waits at
/// most 10 seconds for all of that together.
///
/// @param url      such as "ws://localhost:8080/talk-to-server".
/// @param options  NULL.
/// @param ws       where to put the connection, which you end with `ws_close` or `ws_abort`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`, `WS_INVALID_URL`, `WS_UNSUPPORTED` (wss://): nothing was
///                 tried;
///                 `WS_RESOLVE`: there is no such host;
///                 `WS_IO`: no connection to it, such as when nobody listens there;
///                 `WS_TIMED_OUT`: the 10 seconds passed;
///                 `WS_REFUSED`: the server answered, but not with an upgrade. `err` has its HTTP
///                 status;
///                 `WS_HANDSHAKE`: its answer breaks the rules;
///                 `WS_CONNECTION_LOST`: it went away before it answered;
///                 `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_dial(const char *url,
                  const struct ws_options *options,
                  ws_conn *ws,
                  struct ws_error *err);

/// Listens for WebSocket clients, at every address that the URL's host has.
///
/// @param url       such as "ws://localhost:8080/talk-to-server". Its path is the only one that is
///                  served, others get 404; without a path all are. Port 0 takes a free one, which
///                  `ws_port` tells.
/// @param options   NULL.
/// @param listener  where to put the listener, which you end with `ws_listener_close`.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_ARGUMENT`, `WS_INVALID_URL`, `WS_UNSUPPORTED` (wss://): nothing was
///                  tried;
///                  `WS_RESOLVE`: there is no such host;
///                  `WS_IO`: the system does not allow it, such as when the port is taken;
///                  `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_listen(const char *url,
                    const struct ws_options *options,
                    ws_listener *listener,
                    struct ws_error *err);

/// The port on which a listener listens.
///
/// @param listener  a listener.
/// @param port      where to put the port, in the order of this machine's bytes.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_port(ws_listener listener, uint16_t *port, struct ws_error *err);

/// Waits for the next client that asks to be upgraded, and gives a connection that is not answered
/// yet. `ws_upgrade` says yes, and so does the first read or write; `ws_refuse` says no, and so does
/// `ws_close`.
///
/// Clients that are slow to ask, or ask wrongly, are answered inside and hold nobody up. All
/// handshakes go on while any thread waits here; while none does, the system keeps the clients.
///
/// @param listener    a listener.
/// @param ws          where to put the connection, which you end with `ws_close`, `ws_abort` or
///                    `ws_refuse`. It lives on when the listener is closed.
/// @param timeout_ms  how long to wait, in milliseconds: 0 takes only what needs no waiting,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`;
///                    `WS_TIMED_OUT`: nobody came, and nobody was harmed, call again;
///                    `WS_ABORTED`: another thread closed the listener meanwhile;
///                    `WS_IO`: the system cannot wait;
///                    `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any, and many at once; each client goes to one of them. Give each connection a thread
/// of its own, and upgrade there. Since 0.1.0.
ws_status ws_accept(ws_listener listener,
                    ws_conn *ws,
                    int64_t timeout_ms,
                    struct ws_error *err);

/// Says yes to a client that was accepted: the connection is open from here on. Waits until the
/// answer is sent, at most 10 seconds.
///
/// @param ws       a connection that `ws_accept` gave, not answered yet.
/// @param options  NULL.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_STATE`: it is open already, which does it no harm;
///                 `WS_CONNECTION_LOST`: the client has gone. `ws` is yours to close;
///                 `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_ABORTED`, `WS_IO`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_upgrade(ws_conn ws, const struct ws_options *options, struct ws_error *err);

/// Says no to a client that was accepted, and ends the handle. Waits for nothing: what the client
/// does not take at once goes out while somebody accepts.
///
/// @param ws           a connection that `ws_accept` gave, not answered yet. It is gone after
///                     `WS_OK`, and as it was after anything else.
/// @param http_status  the HTTP status, from 200 to 599, such as 403.
/// @param body         a text for whoever reads the answer, or NULL.
/// @param options      NULL.
/// @param err          where to tell a failure, or NULL.
/// @return             `WS_OK`;
///                     `WS_INVALID_STATE`: it is open already, which does it no harm;
///                     `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_CONNECTION_LOST`, `WS_ABORTED`,
///                     `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_refuse(ws_conn ws,
                    int32_t http_status,
                    const char *body,
                    const struct ws_options *options,
                    struct ws_error *err);

/// Stops listening, and ends the handle. Clients that were not accepted are dropped; connections
/// that were, live on.
///
/// @param listener  a listener. It is gone afterwards.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_BAD_HANDLE` (also for whoever closes second), `WS_INTERNAL`.
///
/// Threads: any; every `ws_accept` that waits in another thread returns `WS_ABORTED`. Since 0.1.0.
ws_status ws_listener_close(ws_listener listener, struct ws_error *err);

/// Waits for the next message and puts it into `msg`, whose memory grows as needed and is used
/// again from read to read, as getline(3) does it.
///
/// Reading is what answers the peer's Pings and takes part in closing, so a program that wants to
/// notice the end of a connection reads from it. Messages come whole, at most 16 MiB large.
///
/// @param ws          a connection. One that was accepted and not answered yet is upgraded first.
/// @param msg         begun with `WS_MESSAGE_INIT` or by an earlier read. After a failure it is
///                    empty, and still yours to read into again or to free.
/// @param timeout_ms  how long to wait, in milliseconds: 0 takes only what needs no waiting,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`;
///                    `WS_TIMED_OUT`: what has come of a message is kept, call again;
///                    `WS_CLOSED`: the peer closed, or both ends did, and no message will come
///                    any more. `err` has the peer's code;
///                    `WS_CONNECTION_LOST`: it ended without a goodbye;
///                    `WS_PROTOCOL`, `WS_INVALID_UTF8`, `WS_TOO_BIG`: the peer broke a rule, and
///                    the connection has ended;
///                    `WS_ABORTED`: this end ended it;
///                    `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///                    and what `ws_upgrade` returns, where it upgrades.
///
/// After the connection has ended, every read says with what it ended; `ws` is yours to close.
///
/// Threads: any, also while others write to, read from or close the same connection; `msg` belongs
/// to one call at a time. Since 0.1.0.
ws_status ws_read(ws_conn ws, struct ws_message *msg, int64_t timeout_ms, struct ws_error *err);

/// Writes a message, whole; waits for as long as the peer takes to make room for it. To give that
/// up, close or abort the connection from another thread.
///
/// @param ws    a connection. One that was accepted and not answered yet is upgraded first.
/// @param type  `WS_TEXT`, whose data must be UTF-8, or `WS_BINARY`.
/// @param data  the payload. It is not kept; NULL is fine when `len` is 0.
/// @param len   its size in bytes, without a NUL that may follow it.
/// @param err   where to tell a failure, or NULL.
/// @return      `WS_OK`: the system has taken the message, which does not mean that the peer has
///              read it;
///              `WS_INVALID_ARGUMENT`: nothing was sent, and the connection is as good as before;
///              `WS_CLOSED`, `WS_CONNECTION_LOST`, `WS_PROTOCOL`, `WS_INVALID_UTF8`,
///              `WS_TOO_BIG`, `WS_ABORTED`: the connection has ended, or is about to;
///              `WS_BAD_HANDLE`, `WS_INTERNAL`;
///              and what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Messages of several threads go out whole, one after the other, and never wait for
/// a read. Since 0.1.0.
ws_status ws_write(ws_conn ws, int32_t type, const void *data, size_t len, struct ws_error *err);

/// Closes a connection and ends its handle: tells the peer, waits at most 5 seconds for its answer,
/// and ends every call that waits on the connection. Whatever this returns, `ws` is gone.
///
/// One that was accepted and not answered yet is refused, with HTTP status 503.
///
/// @param ws      a connection.
/// @param code    why: `WS_CLOSE_NORMAL` or another code that may be sent (1000 to 1003, 1007 to
///                1014, 3000 to 4999), or `WS_CLOSE_NO_STATUS` for none.
/// @param reason  a text for the peer's log, at most 123 bytes, or NULL.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`: the peer has answered, or had closed before;
///                `WS_CONNECTION_LOST`: it did not, or was gone already;
///                `WS_PROTOCOL`, `WS_INVALID_UTF8`, `WS_TOO_BIG`, `WS_ABORTED`: with that it had
///                ended before;
///                `WS_INVALID_ARGUMENT`: a code or reason that cannot be sent; the connection was
///                aborted;
///                `WS_BAD_HANDLE`: also for whoever closes second; `WS_INTERNAL`.
///
/// Threads: any; that is how to end a read or a write that waits in another thread. It returns
/// `WS_CLOSED`, or whatever else the end was. Since 0.1.0.
ws_status ws_close(ws_conn ws, int32_t code, const char *reason, struct ws_error *err);

/// Ends a connection at once, and its handle: without a goodbye and without waiting. The peer sees
/// a lost connection.
///
/// One that was accepted and not answered yet is refused, with HTTP status 503.
///
/// @param ws   a connection. It is gone afterwards.
/// @param err  where to tell a failure, or NULL.
/// @return     `WS_OK`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. A call that waits in another thread returns `WS_ABORTED`. Since 0.1.0.
ws_status ws_abort(ws_conn ws, struct ws_error *err);

/// Gives a message's memory back, and leaves it as `WS_MESSAGE_INIT` does: it may be read into
/// again. Freeing one that holds nothing, or NULL, is harmless.
///
/// @param msg  a message that was begun with `WS_MESSAGE_INIT`, or NULL.
///
/// Threads: any, but no other call may be using `msg`. Since 0.1.0.
void ws_message_free(struct ws_message *msg);

/// Names a status: a short text in English, for a message when there is no `ws_error`, which says
/// more.
///
/// @param status  what a call returned; any other number gives "unknown status".
/// @return        a text that is never NULL and lives as long as the library. Do not free it.
///
/// Threads: any, at any time. Since 0.1.0.
const char *ws_strerror(ws_status status);

/// The version of the library that the program runs with, such as "0.1.0".
///
/// @return  a text that is never NULL and lives as long as the library. Do not free it.
///
/// Threads: any, at any time. Since 0.1.0.
const char *ws_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TALKWS_H */
