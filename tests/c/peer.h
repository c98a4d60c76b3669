/* Other ends to talk to: connections of the library in pairs, and raw sockets that do as they are
 * told, rules or not. */

#ifndef PEER_H
#define PEER_H

#include <stddef.h>
#include <stdint.h>

#include "talkws.h"

/* Listens on a free port; `url` has room for 64 bytes. */
ws_listener peer_listen(char *url);
ws_listener peer_listen_with(char *url, const ws_options *options);

/* The descriptor of the socket behind a listener. */
int peer_descriptor(ws_listener listener);

/* Two ends of one connection. */
void peer_pair(ws_conn *client, ws_conn *server);
/* The same, with options for each of them, or NULL. */
void peer_pair_with(ws_conn *client, const ws_options *dial, ws_conn *server,
                    const ws_options *listen);

/* Dials in a thread of its own. */
typedef struct peer_dial peer_dial;
peer_dial *peer_dial_start(const char *url);
/* The options must live until the dial has ended. */
peer_dial *peer_dial_start_with(const char *url, const ws_options *options);
/* What the dial came to; `err` may be NULL. */
ws_status peer_dial_end(peer_dial *dial, ws_conn *ws, ws_error *err);

/* A socket that is connected to a listener, and has said nothing yet. */
int raw_connect(ws_listener listener);
/* The same, upgraded: the raw client's socket, and the connection of the server. */
int raw_client(ws_conn *server);
int raw_client_with(ws_conn *server, const ws_options *options);
/* The end of both. */
void raw_end(ws_conn server, int fd);
/* A client's request for an upgrade. */
void raw_request(int fd);
/* The same for another target, with more headers, each of which ends with CR LF. */
void raw_request_with(int fd, const char *target, const char *headers);

void raw_send(int fd, const void *data, size_t len);
/* Waits for exactly that many bytes. */
void raw_receive(int fd, void *data, size_t len);
/* Waits for an HTTP head, and gives its status. */
int raw_receive_status(int fd);
/* Whether the other end has closed, or reset, the socket. */
int raw_at_end(int fd);

/* Sends a client's frame, masked with zeros. `first` is its first byte: FIN, RSV and opcode. */
void raw_send_frame(int fd, int first, const void *payload, size_t len);
/* Sends the header alone, of a frame that claims `len` bytes. */
void raw_send_header(int fd, int first, uint64_t len);
/* Waits for a server's frame of at most 125 bytes: its first byte. */
int raw_receive_frame(int fd, void *payload, size_t *len);
/* Waits for a frame that is exactly this. */
void raw_frame_is(int fd, int first, const char *expected, size_t len);
/* Gives a Ping and waits for its Pong: the other end is reading. */
void raw_ping(int fd);

enum { FIN = 0x80, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };

/* A socket that listens, and does nothing of its own accord. `url` has room for 64 bytes. */
int raw_listen(char *url);
/* Waits for an HTTP head; `head` has room for 4,096 bytes. */
void raw_receive_head(int fd, char *head);

/* A TCP server that answers the first client's request with `answer`, and closes. It stays until
 * raw_server_end. `url` has room for 64 bytes. */
typedef struct raw_server raw_server;
raw_server *raw_server_start(const char *answer, char *url);
void raw_server_end(raw_server *server);

#endif
