/* Looks at every request before it answers: refuses it, or upgrades it and sends back what comes.
 *
 *     make build-c && target/c/inspect_server [URL]
 *
 * `/chat` wants a token (`Authorization: Bearer secret`, or `?token=secret`) and one of two
 * subprotocols, and lets pages of https://example.org in. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talkws.h"

static const char *const subprotocols[] = {"v2.chat", "v1.chat"};

/* What a look has found is in `text`, or it was not there. */
static int is(ws_status status, const ws_message *text, const char *wanted) {
    return status == WS_OK && strcmp(text->data, wanted) == 0;
}

static int has_token(ws_conn ws, ws_message *text) {
    return is(ws_request_header(ws, "Authorization", text, NULL), text, "Bearer secret") ||
           is(ws_request_query(ws, text, NULL), text, "token=secret");
}

/* The one that this server likes best of those that the client offers, or NULL. */
static const char *choose(ws_conn ws, ws_message *text) {
    for (size_t i = 0; i < sizeof subprotocols / sizeof subprotocols[0]; i++)
        for (size_t n = 0; ws_request_subprotocol(ws, n, text, NULL) == WS_OK; n++)
            if (strcmp(text->data, subprotocols[i]) == 0)
                return subprotocols[i];
    return NULL;
}

static ws_status refuse_unauthorized(ws_conn ws, ws_error *err) {
    ws_options *options = ws_options_new();
    ws_status status = ws_options_add_header(options, "WWW-Authenticate", "Bearer", err);

    if (status == WS_OK)
        status = ws_refuse(ws, 401, "Bring the token.\n", options, err);
    ws_options_free(options);
    return status;
}

static ws_status upgrade(ws_conn ws, const char *subprotocol, ws_error *err) {
    ws_options *options = ws_options_new();
    ws_status status = ws_options_add_subprotocol(options, subprotocol, err);

    if (status == WS_OK)
        status = ws_options_add_header(options, "X-Served-By", "inspect_server", err);
    if (status == WS_OK)
        status = ws_upgrade(ws, options, err);
    ws_options_free(options);
    return status;
}

static ws_status answer(ws_conn ws, ws_message *text, ws_error *err) {
    const char *subprotocol;
    ws_status status;

    printf("%s asks for ", ws_request_header(ws, "Origin", text, NULL) == WS_OK ? text->data : "-");
    if ((status = ws_request_path(ws, text, err)) != WS_OK)
        return status;
    printf("%s\n", text->data), fflush(stdout);
    if (strcmp(text->data, "/chat") != 0)
        return ws_refuse(ws, 404, "There is only /chat.\n", NULL, err);
    if (!has_token(ws, text))
        return refuse_unauthorized(ws, err);
    if ((subprotocol = choose(ws, text)) == NULL)
        return ws_refuse(ws, 400, "This server speaks v2.chat and v1.chat.\n", NULL, err);
    status = upgrade(ws, subprotocol, err);
    while (status == WS_OK && (status = ws_read(ws, text, WS_FOREVER, err)) == WS_OK)
        status = ws_write(ws, text->type, text->data, text->len, err);
    return status;
}

static void *serve_client(void *handle) {
    ws_conn ws = *(ws_conn *)handle;
    ws_message text = WS_MESSAGE_INIT;
    ws_error err;

    if (answer(ws, &text, &err) != WS_OK)
        printf("%s\n", err.message), fflush(stdout);
    ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL); /* unless ws_refuse has */
    ws_message_free(&text);
    free(handle);
    return NULL;
}

int main(int argc, char **argv) {
    const char *url = argc > 1 ? argv[1] : "ws://localhost:8080";
    ws_options *options = ws_options_new();
    ws_message name = WS_MESSAGE_INIT;
    ws_listener listener = 0;
    ws_conn *handle;
    pthread_t thread;
    ws_error err;
    /* Pages of other origins get 403 from the listener. */
    ws_status status = ws_options_allow_origin(options, "https://example.org", &err);

    if (status == WS_OK)
        status = ws_listen(url, options, &listener, &err);
    ws_options_free(options);
    if (status == WS_OK)
        status = ws_listener_url(listener, &name, &err);
    if (status != WS_OK)
        return fprintf(stderr, "%s\n", err.message), 1;
    printf("Listening on %s\n", name.data), fflush(stdout);
    ws_message_free(&name);
    while (status == WS_OK && (handle = malloc(sizeof *handle)) != NULL &&
           (status = ws_accept(listener, handle, WS_FOREVER, &err)) == WS_OK)
        if (pthread_create(&thread, NULL, serve_client, handle) == 0)
            pthread_detach(thread);
        else
            ws_refuse(*handle, 503, "Too many clients.\n", NULL, NULL), free(handle);
    fprintf(stderr, "%s\n", status == WS_OK ? "no memory" : err.message);
    return ws_listener_close(listener, NULL), 1;
}
