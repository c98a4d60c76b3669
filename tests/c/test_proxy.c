/* The way to a server: proxies and redirects. */

#include "check.h"
#include "peer.h"

/* The URL of a raw server as that of a proxy; it has room for 64 bytes. */
static void as_proxy(char *proxy, const char *scheme, const char *url) {
    snprintf(proxy, 64, "%s://user:secret@%s", scheme, strstr(url, "://") + 3);
}

/* Dials through a proxy that gives this answer. */
static ws_error through(const char *scheme, const char *answer) {
    ws_options *options = ws_options_new();
    char url[64], proxy[64];
    raw_server *server = raw_server_start(answer, url);
    ws_conn ws = 7;
    ws_error err;

    as_proxy(proxy, scheme, url);
    CHECK_STATUS(WS_OK, ws_options_set_proxy(options, proxy, NULL));
    CHECK_STATUS(WS_PROXY, ws_dial("ws://target.invalid/", options, &ws, &err));
    CHECK(ws == 7);
    CHECK_NUMBER(WS_PROXY, err.status);
    CHECK(strstr(err.message, "secret") == NULL);
    raw_server_end(server);
    ws_options_free(options);
    return err;
}

static void a_proxy_that_refuses_is_told(void) {
    ws_error err = through("http", "HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n");

    CHECK_NUMBER(407, err.http_status);
    CHECK(strstr(err.message, "through proxy http://127.0.0.1:") != NULL);
    CHECK(strstr(err.message, "407 Who: it does not take this user") != NULL);
    err = through("http", "");
    CHECK_NUMBER(0, err.http_status);
    CHECK_NUMBER(1, ws_has(WS_FEATURE_PROXY));
}

static void what_is_no_proxy_is_refused(void) {
    ws_options *options = ws_options_new();
    ws_error err;

    CHECK_STATUS(WS_INVALID_URL, ws_options_set_proxy(options, "ftp://u:secret@h", &err));
    CHECK(strstr(err.message, "secret") == NULL && strstr(err.message, "socks5h") != NULL);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_set_proxy(options, "\xFF", NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_options_set_proxy((ws_options *)(void *)&err, NULL, NULL));
    ws_options_free(options);
}

/* A dial with these options comes to a server without a proxy, or does not. */
static void dials(ws_status expected, const ws_options *options) {
    char url[64];
    ws_listener listener = peer_listen(url);
    peer_dial *dial;
    ws_conn client, server;

    if (expected != WS_OK) {
        CHECK_STATUS(expected, ws_dial(url, options, &client, NULL));
    } else {
        dial = peer_dial_start_with(url, options);
        CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
        CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
        CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
        CHECK_STATUS(WS_OK, ws_abort(client, NULL));
        CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    }
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void the_environment_counts_for_who_asks_for_it(void) {
    ws_options *options = ws_options_new();

    /* Those who run the tests may have excepted everything. */
    CHECK(unsetenv("no_proxy") == 0 && unsetenv("NO_PROXY") == 0);
    CHECK(setenv("all_proxy", "ftp://nowhere", 1) == 0);
    dials(WS_OK, options);
    CHECK_STATUS(WS_OK, ws_options_use_proxy_env(options, NULL));
    dials(WS_PROXY, options);
    CHECK(setenv("no_proxy", "127.0.0.0/8", 1) == 0);
    dials(WS_OK, options);
    CHECK(unsetenv("no_proxy") == 0);
    CHECK_STATUS(WS_OK, ws_options_set_proxy(options, NULL, NULL));
    dials(WS_OK, options);
    CHECK(unsetenv("all_proxy") == 0);
    ws_options_free(options);
}

static void a_redirect_is_followed(void) {
    char url[64], first[64], answer[256];
    ws_listener listener = peer_listen(url);
    raw_server *redirecting;
    peer_dial *dial;
    ws_conn client, server;
    ws_message query = WS_MESSAGE_INIT;

    snprintf(answer, sizeof answer,
             "HTTP/1.1 302 Found\r\nLocation: %s/?x=1#top\r\nContent-Length: 0\r\n\r\n", url);
    redirecting = raw_server_start(answer, first);
    dial = peer_dial_start(first);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    CHECK_STATUS(WS_OK, ws_request_query(client, &query, NULL));
    CHECK_TEXT("x=1", query.data);
    ws_message_free(&query);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    raw_server_end(redirecting);
}

static void redirected(ws_status expected, const char *location, const ws_options *options) {
    char url[64], answer[256];
    raw_server *server;
    ws_conn ws;
    ws_error err;

    snprintf(answer, sizeof answer,
             "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", location);
    server = raw_server_start(answer, url);
    CHECK_STATUS(expected, ws_dial(url, options, &ws, &err));
    if (expected == WS_REFUSED)
        CHECK_NUMBER(302, err.http_status);
    else
        CHECK(strstr(err.message, location) != NULL);
    raw_server_end(server);
}

static void a_redirect_that_leads_astray_is_not_followed(void) {
    ws_options *options = ws_options_new();

    redirected(WS_REDIRECT, "ftp://nowhere/", NULL);
    redirected(WS_REDIRECT, "ws+unix:/run/secret.sock", NULL);
    CHECK_STATUS(WS_OK, ws_options_set_max_redirects(options, 0, NULL));
    redirected(WS_REFUSED, "/again", options);
    ws_options_free(options);
}

int main(void) {
    const check_case cases[] = {
        TEST(a_proxy_that_refuses_is_told),
        TEST(what_is_no_proxy_is_refused),
        TEST(the_environment_counts_for_who_asks_for_it),
        TEST(a_redirect_is_followed),
        TEST(a_redirect_that_leads_astray_is_not_followed),
    };
    return RUN(cases);
}
