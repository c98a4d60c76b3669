/* Sends every message back: one thread serves all connections with poll(2), and waits for none.
 *
 *     make build-c && target/c/poll_server [URL]
 */

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "talkws.h"

#define MAX_CLIENTS 1000   /* the next one waits until one has gone */
#define MESSAGES_A_TURN 16 /* then the others have theirs */

struct client {
    ws_conn ws;
    ws_message msg; /* waits to be sent back, before another is read, unless its type is 0 */
    int has_news;   /* the library holds what poll(2) does not see */
};

static struct client clients[MAX_CLIENTS];
static int count;
static int pipe_ends[2]; /* brings connections to the loop, and ends when no more will come */

/* Runs in a thread of its own, because accepting waits. */
static void *accept_clients(void *listener) {
    ws_conn ws;
    ws_error err;

    while (ws_accept(*(ws_listener *)listener, &ws, WS_FOREVER, &err) == WS_OK)
        if (ws_upgrade(ws, NULL, NULL) != WS_OK || write(pipe_ends[1], &ws, sizeof ws) < 0)
            ws_abort(ws, NULL); /* a client that has gone again */
    fprintf(stderr, "%s\n", err.message);
    close(pipe_ends[1]);
    return NULL;
}

/* Does for a client what needs no waiting. One that reads slowly is not read from meanwhile. */
static ws_status serve(struct client *client) {
    ws_message *msg = &client->msg;
    ws_status status = WS_OK;

    for (int i = 0; i < MESSAGES_A_TURN && status == WS_OK; i++) {
        status = ws_flush(client->ws, 0, NULL);
        if (status == WS_OK && msg->type == 0)
            status = ws_read(client->ws, msg, 0, NULL);
        if (status == WS_OK)
            status = ws_write(client->ws, msg->type | WS_DONTWAIT, msg->data, msg->len, NULL);
        if (status == WS_OK)
            msg->type = 0;
    }
    return status == WS_TIMED_OUT ? WS_OK : status;
}

/* What to wait for: news of the client, or room for what is to be sent to it. */
static struct pollfd wait_for(struct client *client) {
    struct pollfd fd = {-1, POLLIN, 0};
    int32_t pending = WS_PENDING_READ;

    ws_fd(client->ws, &fd.fd, NULL);
    ws_pending(client->ws, &pending, NULL);
    if (client->msg.type != 0 || (pending & WS_PENDING_WRITE))
        fd.events = POLLOUT;
    client->has_news = fd.events == POLLIN && (pending & WS_PENDING_READ);
    return fd;
}

static void remove_client(struct client *client) {
    /* ws_close might wait for the peer. One that said goodbye was answered by ws_read already. */
    ws_abort(client->ws, NULL);
    ws_message_free(&client->msg);
    *client = clients[--count];
}

/* One round for all clients; 0 when no more will come. */
static int serve_all(void) {
    static struct pollfd fds[MAX_CLIENTS + 1];
    int timeout = -1, last = count;

    for (int i = 0; i < last; i++) {
        fds[i] = wait_for(&clients[i]);
        timeout = clients[i].has_news ? 0 : timeout;
    }
    fds[last] = (struct pollfd){last < MAX_CLIENTS ? pipe_ends[0] : -1, POLLIN, 0};
    if (poll(fds, (nfds_t)last + 1, timeout) < 0)
        return perror("poll"), 0;
    /* Backwards, because the last one takes the place of one that goes. */
    for (int i = last; i-- > 0;)
        if ((fds[i].revents || clients[i].has_news) && serve(&clients[i]) != WS_OK)
            remove_client(&clients[i]);
    if (fds[last].revents == 0)
        return 1;
    clients[count] = (struct client){0, WS_MESSAGE_INIT, 0};
    return read(pipe_ends[0], &clients[count].ws, sizeof(ws_conn)) > 0 && ++count;
}

int main(int argc, char **argv) {
    const char *url = argc > 1 ? argv[1] : "ws://localhost:8080/echo";
    ws_message name = WS_MESSAGE_INIT;
    ws_listener listener;
    pthread_t acceptor;
    ws_error err;

    if (ws_listen(url, NULL, &listener, &err) != WS_OK ||
        ws_listener_url(listener, &name, &err) != WS_OK)
        return fprintf(stderr, "%s\n", err.message), 1;
    if (pipe(pipe_ends) != 0 || pthread_create(&acceptor, NULL, accept_clients, &listener) != 0)
        return perror("pipe or thread"), 1;
    printf("Listening on %s\n", name.data);
    fflush(stdout);
    ws_message_free(&name);
    while (serve_all())
        ;
    while (count > 0)
        remove_client(clients);
    ws_listener_close(listener, NULL);
    return 1;
}
