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
 * A server listens, accepts, looks at the request, and upgrades or refuses it:
 *
 *     ws_listen("ws://localhost:8080/talk-to-server", NULL, &listener, &err);
 *     while (ws_accept(listener, &ws, WS_FOREVER, &err) == WS_OK)
 *         start_a_thread_for(ws);
 *
 * where the thread may look (`ws_request_header` and its like), answers with `ws_upgrade` or
 * `ws_refuse`, and reads, writes and closes as a client does. The first read or write upgrades by
 * itself.
 *
 * HANDLES. A connection or listener is a number that is checked in every call. Zero is never one.
 * A number that was closed, is of the other kind, comes from another process or was made up gives
 * WS_BAD_HANDLE and does no harm; no number is given out twice. ws_close and ws_abort end a
 * connection's handle, ws_refuse does when it succeeds, and ws_listener_close ends a listener's.
 * Until then it is there, also when the connection has long been lost. Pointers to options are
 * checked in the same way.
 *
 * THREADS. Every function may be called from any thread at any time, on the same handle too. A
 * connection is full duplex: reading never waits for writing, nor writing for reading. Closing a
 * handle ends whatever waits on it in other threads. The memory that you pass, such as a
 * ws_message, belongs to one call at a time. There is nothing to set up and nothing to tear down,
 * and the library sends no SIGPIPE. A thread must not be cancelled (pthread_cancel) inside a call: to
 * end one that waits, close its handle. To serve with threads, let one accept and give each
 * connection a thread of its own, or let many accept: each client goes to one of them. To serve
 * any number of connections with few threads, see `ws_serve`; with an event loop of your own,
 * `ws_fd` and `ws_pending`.
 *
 * OWNERSHIP. What you pass is used during the call and not kept: the URL, the payload, the options
 * and the texts may be freed right after it. Texts end with a NUL and are UTF-8; payloads have a
 * length, and may hold NULs. Results are written when a call succeeds, and only then; the ws_error,
 * when it fails. A ws_message owns memory that ws_message_free gives back, and options are freed
 * with ws_options_free; nothing else needs freeing, and freeing nothing is harmless.
 *
 * TIMEOUTS are in milliseconds, counted from the start of a call, over all that the call does.
 * 0 does not wait, WS_FOREVER waits as long as it takes. Time running out damages nothing: what
 * has come of a message is kept, and the next call goes on with it; a message of which a part was
 * sent is sent to its end. Calls without a timeout of their own have one in the options. Sizes are
 * in bytes.
 *
 * ERRORS. Every function that can fail returns a ws_status: WS_OK is 0, all else is negative and
 * listed with the function. The last argument may point to a ws_error, which then says in words
 * what was tried, on what, and why it failed. errno means nothing here. A connection that has
 * ended gives the error with which it ended to every later call. Any call may be WS_NO_MEMORY when
 * the system has none left: it has done nothing then, and may be made again.
 *
 * FORK. A child of fork() knows none of its parent's handles: they are WS_BAD_HANDLE there, and the
 * parent's connections go on undisturbed. The child may dial and listen for itself, unless another
 * thread of the parent was inside the library during the fork. It holds copies of the parent's
 * descriptors, as of all others, until it calls exec, which closes them, or ends; so a port on which
 * the parent listens stays taken as long as such a child runs. Options are good in both.
 */


#ifndef TALKWS_H
#define TALKWS_H

#include <stddef.h>
#include <stdint.h>

/// The version that this header belongs to. The library that the program runs with may be a newer
/// one: see `ws_version`.
#define TALKWS_VERSION "0.1.0"
/// The first number of the version.
#define TALKWS_VERSION_MAJOR 0
/// The second number of the version.
#define TALKWS_VERSION_MINOR 1
/// The third number of the version.
#define TALKWS_VERSION_PATCH 0
/// The version as one number to compare: 0xMMmmpp.
#define TALKWS_VERSION_NUMBER 0x000100

/// What to begin a `ws_message` with.
#define WS_MESSAGE_INIT {NULL, 0, 0, 0, NULL, 0, {NULL, NULL}}

/// A timeout that never passes.
#define WS_FOREVER -1

/// wss:// URLs (TLS).
#define WS_FEATURE_TLS 1

/// Compressed messages (permessage-deflate, RFC 7692).
#define WS_FEATURE_DEFLATE 2

/// Dialling through HTTP and SOCKS proxies.
#define WS_FEATURE_PROXY 3

/// Unix sockets: ws+unix:// URLs.
#define WS_FEATURE_UNIX_SOCKETS 4

/// Pings for silent peers: see `ws_options_set_keepalive`.
#define WS_FEATURE_KEEPALIVE 5

/// Serving by events: see `ws_serve`.
#define WS_FEATURE_EVENTS 6

/// Backlogs, prepared messages, broadcasts and topics: see `ws_options_set_write_backlog`,
/// `ws_broadcast`.
#define WS_FEATURE_BROADCAST 7

/// The client was accepted, and has no answer yet: see `ws_upgrade` and `ws_refuse`.
#define WS_STATE_REQUESTED 0

/// Messages go both ways.
#define WS_STATE_OPEN 1

/// One end has said goodbye, and the other has not answered yet.
#define WS_STATE_CLOSING 2

/// It has ended, in whatever way, or never opened.
#define WS_STATE_CLOSED 3

/// This end said goodbye first.
#define WS_CLOSED_BY_LOCAL 1

/// The other end said goodbye first.
#define WS_CLOSED_BY_PEER 2

/// Or-ed into the type of a message that is written: more follows soon, so that this one may wait
/// to leave together with what follows in one system call, as with MSG_MORE of send(2).
///
/// What waits leaves with the next write without this flag, `ws_flush`, `ws_ping` or `ws_close`,
/// when 64 KiB have come together, and while a call waits to read from the connection (one that
/// waits already does not see it).
#define WS_MORE 256

/// Or-ed into the type of a message that is written: do not wait for the peer to make room, as
/// with MSG_DONTWAIT of send(2). The write is `WS_TIMED_OUT` if not a byte of the message could be
/// sent. Once a part was, the message is accepted, which is `WS_OK`, and the rest leaves before
/// anything else does: see `ws_pending` and `ws_flush`.
#define WS_DONTWAIT 512

/// Or-ed into the type of a message that is written: do not compress it, such as a picture, which
/// becomes no smaller. Of a message in parts, the first one decides. Without the flag a message is
/// compressed if both ends agreed upon that and it is large enough: see `ws_deflate_parameters` and
/// `ws_options_set_deflate_threshold`.
#define WS_NO_COMPRESS 1024

/// A policy of a backlog: a write waits until the peer makes room, as long as it takes.
#define WS_BACKLOG_WAIT 0

/// A policy of a backlog: a message that does not fit is refused, which is `WS_WOULD_BLOCK`.
#define WS_BACKLOG_REFUSE 1

/// A policy of a backlog: the oldest messages that wait make room, each of them whole, and are counted
/// (`messages_dropped` of `ws_counters`).
#define WS_BACKLOG_DROP_OLDEST 2

/// A policy of a backlog: the connection is closed with 1013, Try Again Later.
#define WS_BACKLOG_CLOSE 3

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

/// Bytes were received that nobody has read, or the connection has ended: `ws_read` may have news
/// although the descriptor has none.
#define WS_PENDING_READ 1

/// Accepted bytes wait for the socket to take them: wait for POLLOUT too, then call `ws_flush`.
#define WS_PENDING_WRITE 2

/// A message of UTF-8 text.
#define WS_TEXT 1

/// A message of bytes without further meaning.
#define WS_BINARY 2

/// A proxy names its client in the header "Forwarded" (RFC 7239).
#define WS_FORWARDED 1

/// A proxy names its client in the header "X-Forwarded-For", and the host in "X-Forwarded-Host".
#define WS_X_FORWARDED_FOR 2

/// A proxy begins each connection with the PROXY protocol of HAProxy, version 1 or 2.
#define WS_PROXY_PROTOCOL 3

/// A server asks no client for a certificate.
#define WS_CLIENT_AUTH_NONE 0

/// It asks; who shows none is welcome too.
#define WS_CLIENT_AUTH_OPTIONAL 1

/// It asks, and turns away who shows none.
#define WS_CLIENT_AUTH_REQUIRED 2

/// TLS 1.2 (RFC 5246).
#define WS_TLS_1_2 2

/// TLS 1.3 (RFC 8446).
#define WS_TLS_1_3 3

/// Nothing at all.
#define WS_LOG_OFF 0

/// What the library cannot go on with.
#define WS_LOG_ERROR 1

/// What somebody should look into: peers that break rules, a system that is exhausted.
#define WS_LOG_WARN 2

/// What happens seldom: listeners, lost connections.
#define WS_LOG_INFO 3

/// What happens to each connection.
#define WS_LOG_DEBUG 4

/// Every step.
#define WS_LOG_TRACE 5

/// Choices for a call, made apart from it and checked one by one. Make one with `ws_options_new`,
/// give it to as many calls as you like, and free it with `ws_options_free`, at once if you like: a
/// call keeps what it needs. Wherever one is taken, NULL means the defaults. A choice that does not
/// concern a call does not count for it.
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
    /// With `WS_REFUSED` the server's HTTP status, such as 404, and with `WS_PROXY` that of a proxy
    /// that speaks HTTP; else 0.
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

/// A message that was read, or a text that the library gives. Yours, on your stack; its layout is
/// frozen.
///
/// Begin with `ws_message msg = WS_MESSAGE_INIT;`, use it as often as you like, and give its memory
/// back with one `ws_message_free`. A call that fails leaves it empty. What you do to `data`, `len`
/// and `type` harms nothing: a parser may move `data` along. The fields after them are the
/// library's. A copy of it has the same memory: go on with one of the two, and forget the other.
typedef struct ws_message {
    /// The payload, valid until this message is used again. `data[len]` is always 0, after
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

/// What `ws_serve` calls. Begin with `ws_handlers handlers = {.size = sizeof handlers};`, set what you
/// want to be told of, and leave the rest NULL.
///
/// Each connection has one thread, which makes all calls for it, one after the other; while a call
/// lasts, the other connections of that thread wait. Nothing that a handler calls on them waits for a
/// peer. A handler must return, not leave by longjmp or an exception.
typedef struct ws_handlers {
    /// `sizeof(ws_handlers)`: a later version has more at the end.
    size_t size;
    /// Given to every call as it is.
    void *user;
    /// A client asks. Look at its request; say yes with `ws_upgrade`, no with `ws_refuse`, or with
    /// `ws_refuse` and status 200 give a page (see `ws_options_allow_plain_requests`). One that is not
    /// answered here is upgraded. NULL upgrades all.
    void (*on_request)(void *user, ws_conn ws);
    /// A connection is open. `*state` is NULL, and yours to set: it is given to the calls below.
    void (*on_open)(void *user, ws_conn ws, void **state);
    /// A message has come: `len` bytes at `data`, with a NUL after them, lent for the length of the
    /// call; `type` is `WS_TEXT` or `WS_BINARY`.
    void (*on_message)(void *user,
                       ws_conn ws,
                       void *state,
                       int32_t type,
                       const char *data,
                       size_t len);
    /// A connection has ended, with `end`, such as `WS_CLOSED`: once for each that was opened. The
    /// handle is gone afterwards; it is gone already if you closed it.
    void (*on_close)(void *user, ws_conn ws, void *state, const struct ws_error *end);
} ws_handlers;

/// What became of the connections when `ws_serve` was shut down. Yours, on your stack; its layout is
/// frozen.
typedef struct ws_serve_report {
    /// Connections that were closed in order.
    uint64_t closed;
    /// Connections whose peers did not answer in time, or were lost.
    uint64_t unanswered;
    /// Room for what future versions tell; 0.
    uint64_t private_room[6];
} ws_serve_report;

/// What `ws_read_some` has put into the caller's buffer. Its layout is frozen.
typedef struct ws_part {
    /// How many bytes were put at the start of the buffer; 0 only for the empty end of a message.
    size_t len;
    /// What the message is: `WS_TEXT` or `WS_BINARY`, the same for all its parts.
    int32_t type;
    /// 1 when the message ends here, else 0.
    int32_t is_last;
} ws_part;

/// A message that is framed once, and compressed once, for any number of connections. Made by
/// `ws_prepare`, ended by `ws_prepared_free`. 0 is never one.
typedef uint64_t ws_prepared;

/// What became of a message for many connections. Yours, on your stack; its layout is frozen.
typedef struct ws_report {
    /// Connections that have accepted it: it was sent, or waits in their backlog.
    uint64_t accepted;
    /// Connections that had no room for it.
    uint64_t refused;
    /// Connections that had ended, or were closed now since they had no room for it.
    uint64_t closed;
    /// Room for what future versions tell; 0.
    uint64_t private_room[5];
} ws_report;

/// Connections by what they want to hear of: a chat's rooms, a stock's prices. Made by `ws_topics_new`,
/// ended by `ws_topics_free`. A connection that has ended leaves by itself. 0 is never one.
typedef uint64_t ws_topics;

/// What a connection has done so far. Yours, on your stack; its layout is frozen.
typedef struct ws_counters {
    /// Messages that were read to their end.
    uint64_t messages_received;
    /// Messages that were accepted for sending.
    uint64_t messages_sent;
    /// Bytes of payload that were read.
    uint64_t bytes_received;
    /// Bytes of payload that were accepted for sending.
    uint64_t bytes_sent;
    /// Pings that came; the library answers them.
    uint64_t pings_received;
    /// Pings that were sent, those of keepalive included.
    uint64_t pings_sent;
    /// Pongs that came, asked for or not.
    uint64_t pongs_received;
    /// How long the newest answer to a Ping took, in microseconds, at least 1; 0 before the first.
    uint64_t round_trip_us;
    /// Messages that were accepted for sending and dropped, to make room for newer ones
    /// (`WS_BACKLOG_DROP_OLDEST`).
    uint64_t messages_dropped;
    /// Room for what future versions count; 0.
    uint64_t private_room[7];
} ws_counters;

/// Gets what the library logs, a line at a time, without a line break at its end.
///
/// `level` is `WS_LOG_ERROR` to `WS_LOG_TRACE`, `target` says which part speaks, such as
/// "talkws::server", `user` is what was given to `ws_set_log`. The texts are valid during the call.
/// It is called by whichever thread has something to say, by several at once; what it does itself
/// with the library is not logged. It must return.
///
/// It is called in the middle of what it hears of: there, to read from, write to or close that very
/// connection, or to accept on or close that listener, may wait for ever. Leave that to another
/// thread, or until the call has returned.
typedef void (*ws_log_callback)(int32_t level, const char *target, const char *message, void *user);

/// All is well.
#define WS_OK 0

/// An argument that no call could use, such as a NULL where something is needed. Nothing was
/// tried.
#define WS_INVALID_ARGUMENT -1

/// Not a handle of that kind, or not any more: it was closed, or it never was one. The same for a
/// pointer to options.
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

/// There is no memory left, or no handle. Nothing is lost: call again once there is.
#define WS_NO_MEMORY -19

/// A bug of the library. The connection is dead; the process goes on.
#define WS_INTERNAL -20

/// What was asked for is not there: no such header, no query, no subprotocol, no close yet.
#define WS_NOT_FOUND -21

/// A TLS session could not be made, such as with a server whose certificate is not trusted.
#define WS_TLS -22

/// The proxy does not connect to the server; see `ws_error.http_status` if it speaks HTTP.
#define WS_PROXY -23

/// The server redirects to where `ws_dial` does not go: to no WebSocket, from wss to ws, or on and
/// on.
#define WS_REDIRECT -24

/// The peer is slow, and the backlog of the connection is full; see `ws_options_set_write_backlog`.
/// Nothing of the message was sent, nor will be.
#define WS_WOULD_BLOCK -25

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/// The version of the library that the program runs with, such as "0.1.0". `TALKWS_VERSION` is that
/// of the header it was built with.
///
/// @return  a text that is never NULL and lives as long as the library. Do not free it.
///
/// Threads: any, at any time. Since 0.1.0.
const char *ws_version(void);

/// Whether this build of the library can do something that not every build or version can.
///
/// @param feature  `WS_FEATURE_TLS` or another of its kind.
/// @return         1: yes; 0: no, or nobody knows such a feature.
///
/// Threads: any, at any time. Since 0.1.0.
int32_t ws_has(int32_t feature);

/// Dials a WebSocket server: resolves its name, connects, through a proxy if one was chosen, makes
/// the opening handshake, and follows redirects. Waits as long as `ws_options_set_dial_timeout` says
/// (10 seconds) for all of that together; nothing else ends the wait, since there is no handle yet.
///
/// @param url      such as "ws://localhost:8080/talk-to-server", or for a Unix socket
///                 "ws+unix:///run/app.sock:/talk-to-server", "ws+unix:@name:/talk-to-server" for an
///                 abstract one. "ws://user:password@host/" sends them as basic authentication, and
///                 shows them nowhere.
/// @param options  what to choose, or NULL for the defaults.
/// @param ws       where to put the connection, which you end with `ws_close` or `ws_abort`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`, `WS_INVALID_URL`, `WS_UNSUPPORTED` (wss:// in a build
///                 without TLS): nothing was tried;
///                 `WS_RESOLVE`: there is no such host;
///                 `WS_IO`: no connection to it, such as when nobody listens there;
///                 `WS_TIMED_OUT`: the time passed;
///                 `WS_TLS`: no TLS session with it, such as when its certificate is not
///                 trusted; `err` says why;
///                 `WS_PROXY`: the proxy does not connect to it;
///                 `WS_REDIRECT`: it redirects to where this does not go;
///                 `WS_REFUSED`: the server answered, but not with an upgrade. `err` has its HTTP
///                 status;
///                 `WS_HANDSHAKE`: its answer breaks the rules;
///                 `WS_NO_SUBPROTOCOL`: one was required, and the server chose none;
///                 `WS_CONNECTION_LOST`: it went away before it answered;
///                 `WS_BAD_HANDLE`: the options are none; `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_dial(const char *url,
                  const struct ws_options *options,
                  ws_conn *ws,
                  struct ws_error *err);

/// Dials over a stream socket that is connected already: to another address than the URL names, from
/// a certain one, or through something that the library does not know. Only the opening handshake is
/// made; no proxy is used, and no redirect followed.
///
/// @param fd       a connected stream socket of any family. With `WS_OK` it belongs to the library,
///                 which may have given it another number; with anything else it stays yours, and
///                 is of no use to anybody once the handshake has begun.
/// @param url      what the request asks for.
/// @param options  what to choose, or NULL for the defaults.
/// @param ws       where to put the connection, which you end with `ws_close` or `ws_abort`.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_dial`, and `WS_INVALID_ARGUMENT`: there is no such descriptor.
///
/// Threads: any. Since 0.1.0.
ws_status ws_dial_fd(int32_t fd,
                     const char *url,
                     const struct ws_options *options,
                     ws_conn *ws,
                     struct ws_error *err);

/// Listens for WebSocket clients, at every address that the URL's host has. To find those of a name
/// may take as long as the system's resolver does; an address is not waited for.
///
/// @param url       such as "ws://localhost:8080/talk-to-server". Its path is the only one that is
///                  served, others get 404; without a path all are. Port 0 takes a free one, which
///                  `ws_port` tells. "ws+unix:///run/app.sock:/talk-to-server" listens on a Unix
///                  socket: a file of that name is replaced when it is a socket on which nobody
///                  listens any more, and closing the listener removes its own.
/// @param options   what to choose, or NULL for the defaults.
/// @param listener  where to put the listener, which you end with `ws_listener_close`.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_ARGUMENT`, `WS_INVALID_URL` (also wss:// without a certificate, see
///                  `ws_options_add_certificate`), `WS_UNSUPPORTED` (wss:// in a build without
///                  TLS): nothing was tried;
///                  `WS_RESOLVE`: there is no such host;
///                  `WS_IO`: the system does not allow it, such as when the port is taken;
///                  `WS_BAD_HANDLE`: the options are none; `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_listen(const char *url,
                    const struct ws_options *options,
                    ws_listener *listener,
                    struct ws_error *err);

/// Listens with a stream socket that listens already, and serves all paths. A connected one is a client
/// that has come already, and the only one: inetd, or systemd with Accept=yes, starts a program for
/// each. The second `ws_accept` is `WS_ABORTED` then.
///
/// @param fd        a listening or connected stream socket of any family. With `WS_OK` it belongs to
///                  the library, which may have given it another number and puts it into
///                  non-blocking mode; with anything else it stays yours.
/// @param options   what to choose, or NULL for the defaults.
/// @param listener  where to put the listener, which you end with `ws_listener_close`.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_ARGUMENT`: there is no such descriptor, or it is neither;
///                  `WS_IO`: it is no socket;
///                  `WS_BAD_HANDLE`: the options are none; `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_listen_fd(int32_t fd,
                       const struct ws_options *options,
                       ws_listener *listener,
                       struct ws_error *err);

/// Listens on the sockets that systemd has opened for this process by a socket unit
/// (sd_listen_fds(3)), and serves all paths. Each can be taken once. With Accept=yes it is a client, see
/// `ws_listen_fd`.
///
/// @param name      only those of this name (FileDescriptorName=, which is that of the unit unless
///                  given), or NULL for all.
/// @param options   what to choose, or NULL for the defaults.
/// @param listener  where to put the listener, which you end with `ws_listener_close`.
/// @param err       where to tell a failure, or NULL.
/// @return          as `ws_listen_fd`, and `WS_IO`: there are none.
///
/// Threads: any. Since 0.1.0.
ws_status ws_listen_systemd(const char *name,
                            const struct ws_options *options,
                            ws_listener *listener,
                            struct ws_error *err);

/// The port on which a listener listens; 0 for a Unix socket, which has none.
///
/// @param listener  a listener.
/// @param port      where to put the port, in the order of this machine's bytes.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_port(ws_listener listener, uint16_t *port, struct ws_error *err);

/// The URL to dial a listener: that which it was given, with the port that it has. With an address
/// for a host that means "all", such as 0.0.0.0, clients elsewhere need another one.
///
/// @param listener  a listener.
/// @param url       where to put the URL, such as "ws://localhost:43210/talk-to-server".
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_listener_url(ws_listener listener, struct ws_message *url, struct ws_error *err);

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
///                    `WS_ABORTED`: another thread closed the listener meanwhile, or there are no
///                    more clients to come, see `ws_listen_fd`;
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
/// answer is sent, at most as long as `ws_options_set_handshake_timeout` says (10 seconds).
///
/// @param ws       a connection that `ws_accept` gave, not answered yet.
/// @param options  headers for the answer, and the subprotocol to choose, one alone; or NULL.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_STATE`: it is open already, which does it no harm;
///                 `WS_CONNECTION_LOST`: the client has gone. `ws` is yours to close;
///                 `WS_INVALID_ARGUMENT`: it cannot be upgraded with these options, such as a
///                 subprotocol that it did not offer, and still waits for an answer;
///                 `WS_BAD_HANDLE`, `WS_ABORTED`, `WS_REFUSED` (a dial that was refused), `WS_IO`,
///                 `WS_NO_MEMORY`, `WS_INTERNAL`.
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
/// @param options      headers for the answer, or NULL.
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

/// Serves any number of connections with few threads: calls the handlers until the listener is closed
/// and the last connection has ended, or after `ws_shutdown`. Meanwhile `ws_accept` is
/// `WS_INVALID_STATE`.
///
/// The connections are ordinary handles, but that nobody reads them: any thread may write to them, close
/// them or ask them, at any time, and so may a handler. What a handler writes leaves when it has dealt
/// with what was received, many answers together; what the peer does not take is kept up to the limit of
/// `ws_options_set_write_backlog` (1 MiB), where writes on these threads are `WS_WOULD_BLOCK`, writes on
/// others wait, and nothing more is read from the peer. `ws_close` in a handler only begins to close.
///
/// @param listener  a listener.
/// @param handlers  what to call; copied. The functions may be called until this returns.
/// @param threads   how many threads serve, of which the calling one is the first: 1 to 1024. Each client
///                  goes to the one that has the fewest.
/// @param report    where to tell what became of the connections, or NULL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_STATE`: it is served already, another thread accepts, or a handler calls
///                  this;
///                  `WS_INVALID_ARGUMENT`: handlers is NULL, its size is none, or threads is;
///                  `WS_ABORTED`: the listener is closed;
///                  `WS_IO`: the system cannot wait, or has no threads left;
///                  `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_serve(ws_listener listener,
                   const struct ws_handlers *handlers,
                   int32_t threads,
                   struct ws_serve_report *report,
                   struct ws_error *err);

/// Shuts down what `ws_serve` does: no more clients come, every connection is closed with `code` and
/// `reason`, and those that have not answered in time are ended. Waits for nothing: `ws_serve` returns
/// when all have ended. The handle of the listener stays.
///
/// @param listener    a listener that is served.
/// @param code        why, as for `ws_close`, such as `WS_CLOSE_GOING_AWAY`.
/// @param reason      a text for the peers' logs, at most 123 bytes, or NULL.
/// @param timeout_ms  how long the peers may take, in milliseconds.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`, `WS_INVALID_STATE` (nobody serves it), `WS_INVALID_ARGUMENT`,
///                    `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any, also those that serve. Since 0.1.0.
ws_status ws_shutdown(ws_listener listener,
                      int32_t code,
                      const char *reason,
                      int64_t timeout_ms,
                      struct ws_error *err);

/// How far a connection is.
///
/// @param ws     a connection.
/// @param state  where to put `WS_STATE_REQUESTED`, `WS_STATE_OPEN`, `WS_STATE_CLOSING` or
///               `WS_STATE_CLOSED`. That a peer has gone shows when somebody reads.
/// @param err    where to tell a failure, or NULL.
/// @return       `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_state(ws_conn ws, int32_t *state, struct ws_error *err);

/// The path that was asked for, percent-encoded as it came, such as "/chat/1". The same on both ends,
/// if no proxy between them changes it.
///
/// @param ws    a connection.
/// @param path  where to put it.
/// @param err   where to tell a failure, or NULL.
/// @return      `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`; for
///              a connection that never opened, why.
///
/// Threads: any. Since 0.1.0.
ws_status ws_request_path(ws_conn ws,
                          struct ws_message *path,
                          struct ws_error *err);

/// The query that was asked for, percent-encoded as it came, without the question mark.
///
/// @param ws     a connection.
/// @param query  where to put it.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_request_path`, and `WS_NOT_FOUND`: there was none.
///
/// Threads: any. Since 0.1.0.
ws_status ws_request_query(ws_conn ws, struct ws_message *query, struct ws_error *err);

/// The value of a header of the request, without the white space around it. Of several with the same
/// name it is the first.
///
/// @param ws     a connection.
/// @param name   which header, in any case.
/// @param value  where to put its value; of type `WS_BINARY` when that is not UTF-8.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_request_path`, and `WS_NOT_FOUND`: there is none of that name.
///
/// Threads: any. Since 0.1.0.
ws_status ws_request_header(ws_conn ws,
                            const char *name,
                            struct ws_message *value,
                            struct ws_error *err);

/// A header of the request by its place.
///
/// @param ws     a connection.
/// @param index  which header: 0 is the first.
/// @param name   where to put its name, as it came.
/// @param value  where to put its value; of type `WS_BINARY` when that is not UTF-8.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_request_path`, and `WS_NOT_FOUND`: there are no more.
///
/// Threads: any. Since 0.1.0.
ws_status ws_request_header_at(ws_conn ws,
                               size_t index,
                               struct ws_message *name,
                               struct ws_message *value,
                               struct ws_error *err);

/// A subprotocol that the client offers (RFC 6455, 1.9).
///
/// @param ws     a connection.
/// @param index  which one: 0 is the one it likes best.
/// @param name   where to put its name.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_request_path`, and `WS_NOT_FOUND`: it offers no more.
///
/// Threads: any. Since 0.1.0.
ws_status ws_request_subprotocol(ws_conn ws,
                                 size_t index,
                                 struct ws_message *name,
                                 struct ws_error *err);

/// The HTTP status of the answer to a dial: 101, or that of a refusal that was kept (see
/// `ws_options_keep_refusal`).
///
/// @param ws           a connection that was dialled.
/// @param http_status  where to put the status.
/// @param err          where to tell a failure, or NULL.
/// @return             `WS_OK`, `WS_INVALID_STATE` (this end is the server), `WS_INVALID_ARGUMENT`,
///                     `WS_BAD_HANDLE`, `WS_INTERNAL`; for one that could not be upgraded, why.
///
/// Threads: any. Since 0.1.0.
ws_status ws_response_status(ws_conn ws, int32_t *http_status, struct ws_error *err);

/// The value of a header of the answer to a dial, such as "Set-Cookie". Of several with the same
/// name it is the first.
///
/// @param ws     a connection that was dialled.
/// @param name   which header, in any case.
/// @param value  where to put its value; of type `WS_BINARY` when that is not UTF-8.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_response_status`, and `WS_NOT_FOUND`: there is none of that name;
///               `WS_NO_MEMORY`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_response_header(ws_conn ws,
                             const char *name,
                             struct ws_message *value,
                             struct ws_error *err);

/// A header of the answer to a dial by its place.
///
/// @param ws     a connection that was dialled.
/// @param index  which header: 0 is the first.
/// @param name   where to put its name, as it came.
/// @param value  where to put its value; of type `WS_BINARY` when that is not UTF-8.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_response_status`, and `WS_NOT_FOUND`: there are no more; `WS_NO_MEMORY`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_response_header_at(ws_conn ws,
                                size_t index,
                                struct ws_message *name,
                                struct ws_message *value,
                                struct ws_error *err);

/// The beginning of the body of a refusal that was kept (see `ws_options_keep_refusal`): at most 64
/// KiB, as far as it came before the dial's timeout. Empty for an upgrade.
///
/// @param ws    a connection that was dialled.
/// @param body  where to put it; of type `WS_BINARY` when it is not UTF-8.
/// @param err   where to tell a failure, or NULL.
/// @return      as `ws_response_status`, and `WS_NO_MEMORY`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_response_body(ws_conn ws, struct ws_message *body, struct ws_error *err);

/// The subprotocol that the two ends agreed upon (RFC 6455, 1.9).
///
/// @param ws    a connection.
/// @param name  where to put its name.
/// @param err   where to tell a failure, or NULL.
/// @return      as `ws_request_path`, and `WS_NOT_FOUND`: there is none, or not yet.
///
/// Threads: any. Since 0.1.0.
ws_status ws_subprotocol(ws_conn ws, struct ws_message *name, struct ws_error *err);

/// What the two ends agreed upon for compressing messages (RFC 7692), such as
/// "permessage-deflate; server_no_context_takeover; client_max_window_bits=12".
///
/// @param ws          a connection.
/// @param parameters  where to put it.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_request_path`, and `WS_NOT_FOUND`: none are compressed, or the client
///                    waits for its answer yet.
///
/// Threads: any. Since 0.1.0.
ws_status ws_deflate_parameters(ws_conn ws, struct ws_message *parameters, struct ws_error *err);

/// The address of the other end, such as "192.0.2.1:50000" or "[2001:db8::1]:50000". On a server it is
/// the client's, also when a proxy named it that is believed (`ws_options_trust_proxy`); the port is 0
/// then if the proxy does not say.
///
/// @param ws       a connection.
/// @param address  where to put it.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_request_path`, and `WS_NOT_FOUND`: nobody knows it, as with a Unix socket.
///
/// Threads: any. Since 0.1.0.
ws_status ws_peer_address(ws_conn ws,
                          struct ws_message *address,
                          struct ws_error *err);

/// The address of who is at the other end of the stream: that of `ws_peer_address`, or of the proxy
/// before it, if that was believed (`ws_options_trust_proxy`).
///
/// @param ws       a connection.
/// @param address  where to put it.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_peer_address`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_direct_peer_address(ws_conn ws, struct ws_message *address, struct ws_error *err);

/// The address of this end.
///
/// @param ws       a connection.
/// @param address  where to put it.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_peer_address`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_local_address(ws_conn ws, struct ws_message *address, struct ws_error *err);

/// How a connection was closed, once both ends have said goodbye, as `ws_read` found or another
/// thread's `ws_close`. The handle must still be there: look before you close it.
///
/// @param ws         a connection.
/// @param code       where to put the peer's code, `WS_CLOSE_NO_STATUS` when it gave none; or NULL.
/// @param closed_by  where to put who began, `WS_CLOSED_BY_LOCAL` or `WS_CLOSED_BY_PEER`; or NULL.
/// @param reason     where to put the peer's reason, often empty; or NULL.
/// @param err        where to tell a failure, or NULL.
/// @return           `WS_OK`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///                   `WS_NOT_FOUND`: it is not closed, or ended in another way, which `ws_read`
///                   tells; for one that never opened, why.
///
/// Threads: any. Since 0.1.0.
ws_status ws_close_info(ws_conn ws,
                        int32_t *code,
                        int32_t *closed_by,
                        struct ws_message *reason,
                        struct ws_error *err);

/// The version of TLS that the two ends agreed upon.
///
/// @param ws       a connection.
/// @param version  where to put `WS_TLS_1_2` or `WS_TLS_1_3`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_NOT_FOUND` (it is not TLS), `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`,
///                 `WS_REFUSED` (a dial that was refused), `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_tls_version(ws_conn ws, int32_t *version, struct ws_error *err);

/// Whether an earlier TLS session was resumed.
///
/// @param ws       a connection.
/// @param resumed  where to put 1 or 0.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_tls_version`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_tls_resumed(ws_conn ws, int32_t *resumed, struct ws_error *err);

/// The cipher suite that the two ends agreed upon, such as "TLS13_AES_128_GCM_SHA256".
///
/// @param ws      a connection.
/// @param cipher  where to put its name.
/// @param err     where to tell a failure, or NULL.
/// @return        as `ws_tls_version`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_tls_cipher(ws_conn ws, struct ws_message *cipher, struct ws_error *err);

/// A certificate that the other end showed, in DER.
///
/// @param ws           a connection; also one that waits for `ws_upgrade`.
/// @param index        0 for its own, then those above it.
/// @param certificate  where to put it.
/// @param err          where to tell a failure, or NULL.
/// @return             as `ws_tls_version`, and `WS_NOT_FOUND` past the last one: a client may show
///                     none.
///
/// Threads: any. Since 0.1.0.
ws_status ws_peer_certificate(ws_conn ws,
                              size_t index,
                              struct ws_message *certificate,
                              struct ws_error *err);

/// Reads the files of certificates, keys, authorities and revocation lists anew, and uses them with
/// all clients that come from now on; connections live on with what they have.
///
/// @param listener  a listener at a wss:// URL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`; after anything else all is as before: `WS_IO`, `WS_INVALID_ARGUMENT`
///                  (what is in the files), `WS_INVALID_STATE` (it does not speak TLS),
///                  `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_listener_reload(ws_listener listener, struct ws_error *err);

/// Waits for the next message and puts it into `msg`, whose memory grows as needed and is used
/// again from read to read, as getline(3) does it.
///
/// Reading is what answers the peer's Pings and takes part in closing, so a program that wants to
/// notice the end of a connection reads from it. Messages come whole, at most as large
/// as `ws_options_set_max_message_size` says (16 MiB); `ws_read_some` reads larger ones in parts.
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
///                    `WS_ABORTED`: this end ended it; `WS_REFUSED`: it never opened;
///                    `WS_INVALID_STATE`: the message was begun with `ws_read_some`;
///                    `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///                    and what `ws_upgrade` returns, where it upgrades.
///
/// After the connection has ended, every read says with what it ended; `ws` is yours to close.
///
/// Threads: any, also while others write to, read from or close the same connection; `msg` belongs
/// to one call at a time. Since 0.1.0.
ws_status ws_read(ws_conn ws, struct ws_message *msg, int64_t timeout_ms, struct ws_error *err);

/// Reads what has come of the next message into a buffer of yours, as recv(2) does: at least one
/// byte, at most `size`, or the end of the message. So a message of any size is received in bounded
/// memory.
///
/// The parts have nothing to do with the frames in which the message came. The last one may be
/// empty. A part of a text may end inside a character. Until the last part was read, `ws_read` is
/// `WS_INVALID_STATE`. The limit of `ws_options_set_max_message_size` counts here too, and may well
/// be `SIZE_MAX`, since memory does not grow with it. The peer may break a rule, or go away, when
/// parts of its message were given already.
///
/// @param ws          a connection. One that was accepted and not answered yet is upgraded first.
/// @param buf         where to put the bytes. No NUL is put after them.
/// @param size        how many bytes have room there, at least 1; 4,096 and more are fast.
/// @param part        where to tell how many came, of what, and whether that was all.
/// @param timeout_ms  how long to wait for a byte, in milliseconds: 0 takes what is there,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`; else what `ws_read` returns, for the same reasons. Nothing was put
///                    into `buf` that counts then, and after `WS_TIMED_OUT` nothing is lost.
///
/// Threads: any; the parts of a message go to whoever asks next, so let one thread read it.
/// Since 0.1.0.
ws_status ws_read_some(ws_conn ws,
                       void *buf,
                       size_t size,
                       struct ws_part *part,
                       int64_t timeout_ms,
                       struct ws_error *err);

/// Writes a message, whole; waits as long as the peer takes to make room for it, at most for what
/// `ws_options_set_write_timeout` says. To give that up, close or abort the connection from another
/// thread.
///
/// @param ws    a connection. One that was accepted and not answered yet is upgraded first.
/// @param type  `WS_TEXT`, whose data must be UTF-8, or `WS_BINARY`; with any of `| WS_MORE`,
///              `| WS_DONTWAIT` and `| WS_NO_COMPRESS`.
/// @param data  the payload. It is not kept; NULL is fine when `len` is 0.
/// @param len   its size in bytes, without a NUL that may follow it.
/// @param err   where to tell a failure, or NULL.
/// @return      `WS_OK`: the system has taken the message, or the beginning of it, and the rest
///              follows; it does not mean that the peer has read it;
///              `WS_TIMED_OUT`: the write timeout passed, or `WS_DONTWAIT` found no room. Nothing
///              of the message was sent, nor will be;
///              `WS_WOULD_BLOCK`: the backlog is full (`WS_BACKLOG_REFUSE`); as for a timeout;
///              `WS_INVALID_ARGUMENT`: nothing was sent, and the connection is as good as before;
///              `WS_INVALID_STATE`: this thread has begun another message with `ws_write_part`;
///              `WS_CLOSED`, `WS_CONNECTION_LOST`, `WS_PROTOCOL`, `WS_INVALID_UTF8`,
///              `WS_TOO_BIG`, `WS_ABORTED`, `WS_REFUSED`: the connection has ended, or is about to;
///              `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///              and what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Messages of several threads go out whole, one after the other, and never wait for
/// a read. Since 0.1.0.
ws_status ws_write(ws_conn ws, int32_t type, const void *data, size_t len, struct ws_error *err);

/// Writes a part of a message, as a frame of its own (RFC 6455, 5.4), so that a message of any size
/// is sent in bounded memory. Waits as `ws_write` does.
///
/// One thread writes all parts of a message. What other threads write, parts of their own messages
/// too, waits until the last part was written; Pings and Pongs do not.
/// A character of a text may be divided between two parts.
///
/// @param ws       a connection. One that was accepted and not answered yet is upgraded first.
/// @param type     as for `ws_write`; the same for all parts of a message, but for the flags.
/// @param data     the part. It is not kept; NULL is fine when `len` is 0.
/// @param len      its size in bytes.
/// @param is_last  0: more parts follow; anything else: the message ends here.
/// @param err      where to tell a failure, or NULL.
/// @return         what `ws_write` returns. `WS_INVALID_STATE`: `type` is not that of the first part.
///                 `WS_INVALID_ARGUMENT`: nothing was sent, such as text that is not UTF-8 with the
///                 parts before it, and another part may be written instead.
///
/// Threads: any; the same for all parts of a message. Since 0.1.0.
ws_status ws_write_part(ws_conn ws,
                        int32_t type,
                        const void *data,
                        size_t len,
                        int32_t is_last,
                        struct ws_error *err);

/// Waits until all that was accepted for sending has been handed to the system: what waits because
/// of `WS_MORE`, and what a write without the time for it has left behind.
///
/// @param ws          an open connection.
/// @param timeout_ms  how long to wait, in milliseconds: 0 hands over what the system takes now,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`: nothing waits any more;
///                    `WS_TIMED_OUT`: something does. Nothing is lost, call again;
///                    `WS_CLOSED`, `WS_CONNECTION_LOST`, `WS_PROTOCOL`, `WS_INVALID_UTF8`,
///                    `WS_TOO_BIG`, `WS_ABORTED`, `WS_REFUSED`: the connection has ended, or is
///                    about to;
///                    `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///                    and what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Since 0.1.0.
ws_status ws_flush(ws_conn ws, int64_t timeout_ms, struct ws_error *err);

/// Sends a Ping (RFC 6455, 5.5.2). The peer's Pong arrives while somebody reads; `ws_count` has how
/// many came, and how long the newest took.
///
/// @param ws          a connection. One that was accepted and not answered yet is upgraded first.
/// @param data        what the peer is to send back, or NULL when `len` is 0.
/// @param len         its size in bytes, at most 125.
/// @param timeout_ms  how long to wait for the peer to make room, in milliseconds: 0 does not wait,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            what `ws_write` returns. It needs no memory, and fits between parts.
///
/// Threads: any. Since 0.1.0.
ws_status ws_ping(ws_conn ws,
                  const void *data,
                  size_t len,
                  int64_t timeout_ms,
                  struct ws_error *err);

/// How much may wait to be sent on connections from `ws_dial` or `ws_listen`, and what happens with a
/// message that does not fit. Default: 1 MiB and `WS_BACKLOG_WAIT`.
///
/// With any other policy no write ever waits: what the system does not take at once stays in the
/// backlog, and leaves in the background as the peer makes room. Pings, Pongs and Close always find
/// room.
///
/// @param options  options.
/// @param limit    the high-water mark, in bytes, with the headers of frames. When nothing waits, any
///                 message fits. With `WS_BACKLOG_WAIT` it counts for `ws_broadcast` and `ws_publish`
///                 only.
/// @param policy   one of `WS_BACKLOG_WAIT`, `WS_BACKLOG_REFUSE`, `WS_BACKLOG_DROP_OLDEST`,
///                 `WS_BACKLOG_CLOSE`.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_write_backlog(struct ws_options *options,
                                       size_t limit,
                                       int32_t policy,
                                       struct ws_error *err);

/// Chooses the same for one connection, from now on. A write that waits goes on waiting, and what was
/// accepted before is never dropped.
///
/// @param ws      a connection. One that was accepted and not answered yet is upgraded first.
/// @param limit   as for `ws_options_set_write_backlog`.
/// @param policy  as for `ws_options_set_write_backlog`.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`; and
///                what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Since 0.1.0.
ws_status ws_set_write_backlog(ws_conn ws,
                               size_t limit,
                               int32_t policy,
                               struct ws_error *err);

/// Tells how much waits to be sent: what was accepted and the system has not taken. Before the upgrade
/// that is nothing.
///
/// @param ws     a connection.
/// @param bytes  where to put how many bytes, with the headers of frames. Over TLS up to 48 KiB more
///               may be sealed already.
/// @param err    where to tell a failure, or NULL.
/// @return       `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`; for one that could
///               not be upgraded or was refused, why.
///
/// Threads: any. Waits for nothing. Since 0.1.0.
ws_status ws_backlog(ws_conn ws,
                     size_t *bytes,
                     struct ws_error *err);

/// Prepares a message for `ws_write_prepared`, `ws_broadcast` and `ws_publish`.
///
/// A server's frame is made here; it is compressed when the first connection wants that, once for all
/// that agreed upon the same window, by itself (RFC 7692, 7.2.3.2). A client masks each frame anew, and
/// writes the message as any other.
///
/// @param type      `WS_TEXT`, whose data must be UTF-8, or `WS_BINARY`.
/// @param data      the payload, of which a copy is kept; NULL is fine when `len` is 0.
/// @param len       its size in bytes.
/// @param prepared  where to put the message, which you end with `ws_prepared_free`.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_prepare(int32_t type,
                     const void *data,
                     size_t len,
                     ws_prepared *prepared,
                     struct ws_error *err);

/// Ends a prepared message. Where it waits to be sent, it is sent all the same.
///
/// @param prepared  a message, or 0, for which nothing is done.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_prepared_free(ws_prepared prepared, struct ws_error *err);

/// Writes a prepared message, as `ws_write` does.
///
/// @param ws        a connection. One that was accepted and not answered yet is upgraded first.
/// @param prepared  the message.
/// @param flags     0, or any of `WS_MORE`, `WS_DONTWAIT` and `WS_NO_COMPRESS`.
/// @param err       where to tell a failure, or NULL.
/// @return          what `ws_write` returns.
///
/// Threads: any. Since 0.1.0.
ws_status ws_write_prepared(ws_conn ws, ws_prepared prepared, int32_t flags, struct ws_error *err);

/// Writes a message to many connections, and waits for none of them, whatever their policy: on one
/// whose writes would wait (`WS_BACKLOG_WAIT`) it waits in the backlog, and is refused when that is
/// full. What waits leaves in the background. Where another thread is in the middle of a message in
/// parts, this one leaves after it.
///
/// @param conns     connections. One that is none any more, or was not upgraded yet, counts as closed.
/// @param count     how many they are.
/// @param prepared  the message.
/// @param report    where to put what became of it, or NULL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, also when no connection took it; `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`
///                  (`prepared` is none), `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Messages of one thread reach each connection in their order. Since 0.1.0.
ws_status ws_broadcast(const ws_conn *conns,
                       size_t count,
                       ws_prepared prepared,
                       struct ws_report *report,
                       struct ws_error *err);

/// Makes a set of topics.
///
/// @param topics  where to put it.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_topics_new(ws_topics *topics, struct ws_error *err);

/// Ends a set of topics; the connections go on.
///
/// @param topics  topics, or 0, for which nothing is done.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_topics_free(ws_topics topics, struct ws_error *err);

/// Lets a connection hear of a topic. One that does already, or that has ended, is left alone.
///
/// @param topics  topics.
/// @param topic   its name, UTF-8.
/// @param ws      a connection. One that was accepted and not answered yet is upgraded first.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`; and
///                what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Since 0.1.0.
ws_status ws_subscribe(ws_topics topics,
                       const char *topic,
                       ws_conn ws,
                       struct ws_error *err);

/// Lets a connection hear of a topic no more.
///
/// @param topics  topics.
/// @param topic   its name, UTF-8; NULL for all topics.
/// @param ws      a connection.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, also when it did not hear of it; `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`,
///                `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_unsubscribe(ws_topics topics, const char *topic, ws_conn ws, struct ws_error *err);

/// Writes a message to all who want to hear of a topic, and waits for none of them: see
/// `ws_broadcast`.
///
/// @param topics    topics.
/// @param topic     its name, UTF-8.
/// @param prepared  the message.
/// @param report    where to put what became of it, or NULL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, also when nobody wants to hear of it; `WS_INVALID_ARGUMENT`,
///                  `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Messages of one thread reach each connection in their order. Since 0.1.0.
ws_status ws_publish(ws_topics topics,
                     const char *topic,
                     ws_prepared prepared,
                     struct ws_report *report,
                     struct ws_error *err);

/// Closes a connection and ends its handle: tells the peer, waits for its answer as long as
/// `ws_options_set_close_timeout` says (5 seconds), and ends every call that waits on the
/// connection. Whatever this returns, `ws` is gone.
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

/// The descriptor of a connection, for poll(2), epoll(7) and the like. It belongs to the library: do
/// nothing with it but wait, and only as long as the handle is there. It stays the same when a
/// connection that was accepted is upgraded.
///
/// Wait for POLLIN, and for POLLOUT while `ws_pending` says so. Then read with a timeout of 0 until
/// that is `WS_TIMED_OUT`, and write with `WS_DONTWAIT`.
///
/// @param ws   a connection.
/// @param fd   where to put the descriptor.
/// @param err  where to tell a failure, or NULL.
/// @return     `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`; for one that could
///             not be upgraded or was refused, why.
///
/// Threads: any. Waits for nothing. Since 0.1.0.
ws_status ws_fd(ws_conn ws,
                int32_t *fd,
                struct ws_error *err);

/// What waits inside a connection, which an event loop must know before it waits for the
/// descriptor.
///
/// @param ws       a connection.
/// @param pending  where to put 0, `WS_PENDING_READ`, `WS_PENDING_WRITE`, or both or-ed together.
///                 Before the upgrade it is 0.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Waits for nothing. While another thread reads, what was received is its affair.
/// Since 0.1.0.
ws_status ws_pending(ws_conn ws, int32_t *pending, struct ws_error *err);

/// Tells what a connection has done so far. Before the upgrade that is nothing.
///
/// @param ws        a connection.
/// @param counters  where to put the counts.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`; for one that
///                  could not be upgraded or was refused, why.
///
/// Threads: any. Waits for nothing; others may be counting meanwhile. Since 0.1.0.
ws_status ws_count(ws_conn ws, struct ws_counters *counters, struct ws_error *err);

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

/// Makes options that choose nothing yet.
///
/// @return  options that you free with `ws_options_free`, or NULL when there is no memory.
///
/// Threads: any; several may use the same options. Since 0.1.0.
struct ws_options *ws_options_new(void);

/// Frees options. Freeing NULL, or what was freed already, is harmless.
///
/// @param options  options, or NULL.
///
/// Threads: any; a call that another thread has made with them goes on. Since 0.1.0.
void ws_options_free(struct ws_options *options);

/// Adds a header: to the request of `ws_dial`, to the answer of `ws_upgrade` or `ws_refuse`. May be
/// called again for more. In a dial, "Host" replaces the one made from the URL; in a refusal,
/// "Content-Type" replaces that of plain text. Default: none.
///
/// @param options  options.
/// @param name     the header's name. Those that make the handshake, such as "Upgrade" and all that
///                 begin with "Sec-WebSocket-", are the library's.
/// @param value    its value, without line breaks; it may hold bytes over 0x7F.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE` (not options, or freed already),
///                 `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_header(struct ws_options *options,
                                const char *name,
                                const char *value,
                                struct ws_error *err);

/// Adds a subprotocol (RFC 6455, 1.9). `ws_dial` offers them, the first added liked best;
/// `ws_listen` speaks them, and an upgrade chooses the first of them that the client offers;
/// `ws_upgrade` chooses it, which must be one alone. Default: none.
///
/// @param options  options.
/// @param name     the subprotocol, such as "chat": a token, without spaces or commas, not added
///                 before.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_subprotocol(struct ws_options *options,
                                     const char *name,
                                     struct ws_error *err);

/// Whether there must be a subprotocol: `ws_dial` gives `WS_NO_SUBPROTOCOL` when the server chooses
/// none of those offered, `ws_listen` answers 400 to clients that offer none of those spoken.
/// Default: 0.
///
/// @param options   options.
/// @param required  0: no; anything else: yes.
/// @param err       where to tell a failure, or NULL.
/// @return          as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_require_subprotocol(struct ws_options *options,
                                         int32_t required,
                                         struct ws_error *err);

/// Sets the "Origin" header of `ws_dial`, as a browser does (RFC 6455, 4.1). Default: none.
///
/// @param options  options.
/// @param origin   such as "https://example.org".
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_origin(struct ws_options *options,
                                const char *origin,
                                struct ws_error *err);

/// Lets browsers connect to `ws_listen` from pages of an origin (RFC 6455, 10.2). May be called
/// again for more. Default: only from pages of the same host and port; programs that send no
/// "Origin" are not concerned.
///
/// @param options  options.
/// @param origin   such as "https://example.org", or "*" for any.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_allow_origin(struct ws_options *options,
                                  const char *origin,
                                  struct ws_error *err);

/// Whether `ws_accept` and `ws_serve` also give clients that ask for no upgrade, such as a browser for
/// a page: they have no header "Upgrade" (see `ws_request_header`), and cannot be upgraded. Answer them
/// with `ws_refuse`, whose status may be 200. Default: 0, where they get 426.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_allow_plain_requests(struct ws_options *options,
                                          int32_t enabled,
                                          struct ws_error *err);

/// Whether `ws_dial` keeps the answer of a server that refuses, to be looked at. It is `WS_OK`
/// then, and gives a connection in `WS_STATE_CLOSED`: see `ws_response_status`, `ws_response_header`
/// and `ws_response_body`. Reading and writing give `WS_REFUSED`; end it with `ws_close`. Default: 0,
/// where a refusal is `WS_REFUSED` and no connection.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_keep_refusal(struct ws_options *options,
                                  int32_t enabled,
                                  struct ws_error *err);

/// How long all of `ws_dial` may take: resolving, connecting and the handshake. Default: 10,000.
///
/// @param options     options.
/// @param timeout_ms  in milliseconds, or `WS_FOREVER`.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_dial_timeout(struct ws_options *options,
                                      int64_t timeout_ms,
                                      struct ws_error *err);

/// How long a client of `ws_listen` may take for its whole request, and to take the answer.
/// Default: 10,000.
///
/// @param options     options.
/// @param timeout_ms  in milliseconds, at least 1.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_handshake_timeout(struct ws_options *options,
                                           int64_t timeout_ms,
                                           struct ws_error *err);

/// How long `ws_write` and `ws_write_part` may wait for the peer to make room, on connections from
/// `ws_dial` or `ws_listen`. Default: `WS_FOREVER`.
///
/// @param options     options.
/// @param timeout_ms  in milliseconds, or `WS_FOREVER`.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_write_timeout(struct ws_options *options,
                                       int64_t timeout_ms,
                                       struct ws_error *err);

/// How long `ws_close` waits for the peer, on connections from `ws_dial` or `ws_listen`. Default:
/// 5,000.
///
/// @param options     options.
/// @param timeout_ms  in milliseconds, at least 0.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_close_timeout(struct ws_options *options,
                                       int64_t timeout_ms,
                                       struct ws_error *err);

/// The largest message that may come, on connections from `ws_dial` or `ws_listen`. A larger one is
/// `WS_TOO_BIG`, and ends the connection. Default: 16,777,216 (16 MiB).
///
/// @param options  options.
/// @param bytes    the size of its payload; `SIZE_MAX` for any.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_max_message_size(struct ws_options *options,
                                          size_t bytes,
                                          struct ws_error *err);

/// How many clients of `ws_listen` may be in the middle of their request at a time; past that the
/// one that has waited longest goes. Default: 1,024.
///
/// @param options  options.
/// @param count    at least 1.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_max_pending(struct ws_options *options,
                                     size_t count,
                                     struct ws_error *err);

/// Sends a Ping when nothing has come from the peer for a while, and ends the connection
/// (`WS_CONNECTION_LOST`) when nothing comes after that either, on connections from `ws_dial` or
/// `ws_listen`. Any byte is a sign of life, also one that the program has not read yet. Silence is
/// measured to a quarter of the shorter time. Default: off.
///
/// One thread of the library's serves all connections that want this.
///
/// @param options      options.
/// @param interval_ms  how long the peer may be silent before it gets a Ping, in milliseconds; 0
///                     turns keepalive off.
/// @param timeout_ms   how much longer it may be silent then, in milliseconds, at least 1.
/// @param err          where to tell a failure, or NULL.
/// @return             as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_keepalive(struct ws_options *options,
                                   int64_t interval_ms,
                                   int64_t timeout_ms,
                                   struct ws_error *err);

/// Whether messages are compressed (permessage-deflate, RFC 7692) on connections from `ws_dial` or
/// `ws_listen`, if the other end agrees. Default: 1, if `ws_has(WS_FEATURE_DEFLATE)`.
///
/// A connection whose messages refer to those before them needs memory, from the first one on that
/// is compressed: 46 KiB for those that come, and for those that go 371 KiB with the defaults, 161
/// KiB with a window of 12 bits and memory level 5. `ws_options_set_deflate_context_takeover` is a way
/// around that.
///
/// @param options  options.
/// @param enabled  0: it is neither offered nor accepted; anything else: it is.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`, and `WS_UNSUPPORTED`: this build cannot compress.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_deflate(struct ws_options *options,
                                 int32_t enabled,
                                 struct ws_error *err);

/// How hard to compress, and with how much memory.
///
/// @param options       options.
/// @param level         from 1, fast, to 9, small. Default: 6.
/// @param memory_level  from 1, least memory, to 9. Default: 8.
/// @param err           where to tell a failure, or NULL.
/// @return              as `ws_options_set_deflate`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_deflate_level(struct ws_options *options,
                                       int32_t level,
                                       int32_t memory_level,
                                       struct ws_error *err);

/// The smallest message that is compressed; of one that is written in parts it is the first part
/// that counts. Default: 256.
///
/// @param options  options.
/// @param bytes    the size of its payload; `SIZE_MAX` compresses nothing that goes, and takes what
///                 comes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_set_deflate`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_deflate_threshold(struct ws_options *options,
                                           size_t bytes,
                                           struct ws_error *err);

/// Whether messages refer to those before them (RFC 7692, 7.1.1): that makes them smaller, and a
/// connection that is idle needs the memory for it. Default: 1 and 1.
///
/// @param options  options.
/// @param own      for messages that this end sends. 0: each is compressed by itself.
/// @param peer     for messages that the other end sends. 0: it is asked not to; a server that does
///                 not agree makes `ws_dial` fail with `WS_HANDSHAKE`.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_set_deflate`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_deflate_context_takeover(struct ws_options *options,
                                                  int32_t own,
                                                  int32_t peer,
                                                  struct ws_error *err);

/// How far back a message may refer: 2 to the power of a number of bits, in bytes (RFC 7692, 7.1.2).
/// Default: 15 and 15.
///
/// @param options  options.
/// @param own      for messages that this end sends: 8 to 15. The other end may want less. With 8
///                 nothing is compressed that goes: no compressor there is works with so small a
///                 window.
/// @param peer     for messages that the other end sends: 8 to 15. A server that does not agree makes
///                 `ws_dial` fail with `WS_HANDSHAKE`; a client is asked only if it says that it can
///                 be.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_set_deflate`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_deflate_window_bits(struct ws_options *options,
                                             int32_t own,
                                             int32_t peer,
                                             struct ws_error *err);

/// Has `ws_dial` go through a proxy, for which its timeout holds too. The proxy gets nothing of what
/// is for the server, nor the server of what is for the proxy; a Unix socket needs none. Default:
/// no proxy.
///
/// @param options  options.
/// @param url      such as "http://user:password@proxy.example:3128". The scheme is "http" or "https"
///                 (CONNECT; RFC 9110, 9.3.6), "socks5" (RFC 1928), where this end resolves the
///                 server's name, or "socks5h", where the proxy does. NULL: no proxy.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`, and `WS_INVALID_URL`: no proxy has such a URL.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_proxy(struct ws_options *options,
                               const char *url,
                               struct ws_error *err);

/// Whom to trust as an https:// proxy, and who this end is to it: what other options say of TLS. Those
/// of `options` itself are for the server alone. Default: whom the system trusts.
///
/// @param options  options.
/// @param tls      other options, which may be freed right after the call; NULL for the default.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_proxy_tls(struct ws_options *options,
                                   const struct ws_options *tls,
                                   struct ws_error *err);

/// Has `ws_dial` go through the proxy that the environment names then: in "ws_proxy" for ws://,
/// "wss_proxy" for wss://, or else "socks_proxy", "https_proxy", for ws:// also "http_proxy", and
/// last "all_proxy". Hosts in "no_proxy" are dialled directly: names with all below them, addresses,
/// networks such as 10.0.0.0/8, each perhaps with a port, or "*" for all, with commas between them.
/// Names in upper case do too, but not "HTTP_PROXY", which a client of a CGI program can set. Do not
/// change the environment while a dial reads it (setenv(3)).
///
/// @param options  options.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_use_proxy_env(struct ws_options *options,
                                   struct ws_error *err);

/// How many redirects `ws_dial` follows (301, 302, 303, 307, 308; RFC 9110, 15.4), one after the
/// other; more are `WS_REDIRECT`, and so is one from wss to ws. To another origin (scheme, host, port)
/// go no user and password of the URL, and none of the headers "Authorization", "Cookie",
/// "Proxy-Authorization" and "Host"; all other headers do. Default: 10.
///
/// @param options  options.
/// @param count    how many; 0: none, a redirect is a refusal like others.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_max_redirects(struct ws_options *options,
                                       uint32_t count,
                                       struct ws_error *err);

/// Has `ws_listen` believe a proxy in front of it, such as nginx or HAProxy, who its client is:
/// `ws_peer_address` is the client's address then, and `ws_direct_peer_address` the proxy's. May be
/// called again for more proxies, all of which tell it in the same way. A list in a header is gone
/// through from its end, past the addresses of proxies that are believed themselves. For browsers the
/// host counts that the proxy says it was asked for. Choose what the proxy sets: it may let other
/// headers pass as the client has sent them. Default: nobody is believed.
///
/// @param options  options.
/// @param network  where the proxy is: an address, a network such as "10.0.0.0/8", or "unix" for
///                 whoever comes through a Unix socket.
/// @param tells    `WS_FORWARDED`, `WS_X_FORWARDED_FOR` or `WS_PROXY_PROTOCOL`, with which each of its
///                 connections must begin.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_trust_proxy(struct ws_options *options,
                                 const char *network,
                                 int32_t tells,
                                 struct ws_error *err);

/// How many connections of `ws_listen` the system holds while nobody accepts (listen(2)). Default:
/// 1,024.
///
/// @param options  options.
/// @param count    from 1 to 65,535; the system may hold fewer.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_backlog(struct ws_options *options, int32_t count, struct ws_error *err);

/// How much the system may hold of what has come and was not read, and of what was written and was
/// not sent (SO_RCVBUF, SO_SNDBUF), on connections from `ws_dial` or `ws_listen`. Default: what the
/// system thinks right.
///
/// @param options  options.
/// @param receive  in bytes; 0 leaves it to the system.
/// @param send     in bytes; 0 leaves it to the system.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_socket_buffers(struct ws_options *options,
                                        size_t receive,
                                        size_t send,
                                        struct ws_error *err);

/// The permissions of the file that `ws_listen` makes for a Unix socket: who may write to it may
/// connect. Nobody gets in with wider ones, not even for a moment. Default: what the umask leaves.
///
/// @param options  options.
/// @param mode     such as 0660, from 0 to 0777.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_unix_mode(struct ws_options *options, uint32_t mode, struct ws_error *err);

/// Whether `ws_listen` may take a port on which connections of an earlier server linger
/// (SO_REUSEADDR). Default: 1.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_reuse_address(struct ws_options *options,
                                       int32_t enabled,
                                       struct ws_error *err);

/// Whether several listeners, of this process or others, may share the port of `ws_listen`, each of
/// which gets a share of the clients (SO_REUSEPORT). All of them must want it. Default: 0.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_reuse_port(struct ws_options *options,
                                    int32_t enabled,
                                    struct ws_error *err);

/// Adds a certificate and its private key: `ws_listen` shows it to clients, which a wss:// URL needs;
/// `ws_dial` shows the one added last to a server that asks for one. With several, a client gets the
/// first that is valid for the name it asks for (SNI; RFC 6066, 3), or else the first of all. The
/// files are read now; `ws_listen` and `ws_listener_reload` read them again. Default: none.
///
/// @param options  options.
/// @param chain    a PEM file with the certificate and those above it, its own first.
/// @param key      a PEM file with the private key, not encrypted. It may be the same file.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`: there is none in it, it is broken, or the key is another;
///                 `WS_IO`: the file cannot be read; `WS_UNSUPPORTED`: this build has no TLS;
///                 `WS_BAD_HANDLE` (not options, or freed already), `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_certificate(struct ws_options *options,
                                     const char *chain,
                                     const char *key,
                                     struct ws_error *err);

/// Like `ws_options_add_certificate`, from memory.
///
/// @param options    options.
/// @param chain      PEM with the certificate and those above it, its own first.
/// @param chain_len  its length in bytes.
/// @param key        PEM with the private key, not encrypted.
/// @param key_len    its length in bytes.
/// @param err        where to tell a failure, or NULL.
/// @return           as `ws_options_add_certificate`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_certificate_pem(struct ws_options *options,
                                         const char *chain,
                                         size_t chain_len,
                                         const char *key,
                                         size_t key_len,
                                         struct ws_error *err);

/// Trusts certificate authorities: `ws_dial` to make certificates of servers, instead of those of
/// the system (see `ws_options_use_system_cas`); `ws_listen` to make certificates of clients (see
/// `ws_options_set_client_auth`). May be called again for more. Default: those of the system, for
/// `ws_dial`.
///
/// @param options  options.
/// @param path     a PEM file with their certificates.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`: there is none in it, or it is broken;
///                 `WS_IO`: the file cannot be read; `WS_UNSUPPORTED`: this build has no TLS;
///                 `WS_BAD_HANDLE` (not options, or freed already), `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_ca_file(struct ws_options *options,
                                 const char *path,
                                 struct ws_error *err);

/// Like `ws_options_add_ca_file`, from memory.
///
/// @param options  options.
/// @param pem      PEM with their certificates.
/// @param len      its length in bytes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_ca_file`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_ca_pem(struct ws_options *options,
                                const char *pem,
                                size_t len,
                                struct ws_error *err);

/// Whether `ws_dial` trusts the certificate authorities of the system. Default: yes, unless
/// `ws_options_add_ca_file` or `ws_options_add_ca_pem` named others.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_BAD_HANDLE` (not options, or freed already), `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_use_system_cas(struct ws_options *options,
                                    int32_t enabled,
                                    struct ws_error *err);

/// Turns away a peer whose certificate, or one of those above it, is revoked by a list
/// (RFC 5280, 5). Certificates of authorities without a list pass; a list that is out of date fails.
/// May be called again for more. Default: none.
///
/// @param options  options.
/// @param path     a PEM file with lists.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`: there is none in it, or it is broken;
///                 `WS_IO`: the file cannot be read; `WS_UNSUPPORTED`: this build has no TLS;
///                 `WS_BAD_HANDLE` (not options, or freed already), `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_crl_file(struct ws_options *options,
                                  const char *path,
                                  struct ws_error *err);

/// Like `ws_options_add_crl_file`, from memory.
///
/// @param options  options.
/// @param pem      PEM with lists.
/// @param len      its length in bytes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_crl_file`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_crl_pem(struct ws_options *options,
                                 const char *pem,
                                 size_t len,
                                 struct ws_error *err);

/// Sets the name, or IP address, that the server's certificate must be valid for, and that `ws_dial`
/// asks for (SNI; RFC 6066, 3). Default: the host of the URL.
///
/// @param options  options.
/// @param name     such as "chat.example.org".
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_UNSUPPORTED` (this build has no TLS),
///                 `WS_BAD_HANDLE` (not options, or freed already), `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_server_name(struct ws_options *options,
                                     const char *name,
                                     struct ws_error *err);

/// Sets the oldest version of TLS that is spoken. Default: `WS_TLS_1_2`.
///
/// @param options  options.
/// @param oldest   `WS_TLS_1_2` or `WS_TLS_1_3`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE` (not options, or freed already),
///                 `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_tls_min_version(struct ws_options *options,
                                         int32_t oldest,
                                         struct ws_error *err);

/// Lets `ws_dial` accept only a server whose own certificate has this key, besides all else that is
/// checked. May be called again for others, one of which must be met. Default: any key.
///
/// @param options  options.
/// @param pin      the SHA-256 of the certificate's SubjectPublicKeyInfo in base64, perhaps after
///                 "sha256//", as curl has it. The error for a wrong one tells the right one.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE` (not options, or freed already),
///                 `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_add_pin(struct ws_options *options, const char *pin, struct ws_error *err);

/// Lets `ws_dial` accept any certificate of the server, whoever made it and whatever its name and
/// date: then anybody on the way can read and change everything. For tests; or with
/// `ws_options_add_pin`, which still counts, for a server with a certificate of its own making.
/// Default: 0.
///
/// @param options   options.
/// @param accepted  0: no; anything else: yes.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_BAD_HANDLE` (not options, or freed already), `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_danger_accept_any_certificate(struct ws_options *options,
                                                   int32_t accepted,
                                                   struct ws_error *err);

/// Whether `ws_listen` asks clients for certificates, which the authorities of
/// `ws_options_add_ca_file` must have made; see `ws_peer_certificate`. Default:
/// `WS_CLIENT_AUTH_NONE`.
///
/// @param options  options.
/// @param auth     `WS_CLIENT_AUTH_NONE`, `WS_CLIENT_AUTH_OPTIONAL` or `WS_CLIENT_AUTH_REQUIRED`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE` (not options, or freed already),
///                 `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
ws_status ws_options_set_client_auth(struct ws_options *options,
                                     int32_t auth,
                                     struct ws_error *err);

/// Says who gets what the library logs: one callback for the process, in place of any before it,
/// which is not running any more when this returns. Without one the library is silent.
///
/// @param level     the most talkative level that is wanted, `WS_LOG_ERROR` to `WS_LOG_TRACE`, or
///                  `WS_LOG_OFF`.
/// @param callback  who gets it, or NULL for nobody.
/// @param user      handed to the callback as it is; may be NULL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_ARGUMENT`: there is no such level;
///                  `WS_INVALID_STATE`: called from inside the callback; `WS_INTERNAL`.
///
/// Threads: any; waits for callbacks that are running. Since 0.1.0.
ws_status ws_set_log(int32_t level, ws_log_callback callback, void *user, struct ws_error *err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TALKWS_H */
