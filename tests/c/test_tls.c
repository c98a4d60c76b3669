/* wss: certificates that the test makes with openssl(1), and what the two ends see of them. */

#include <pthread.h>

#include "check.h"
#include "peer.h"

static char directory[] = "/tmp/talkws-tls-XXXXXX";

static const char *in(const char *name) {
    static char paths[4][64];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

/* Makes NAME.pem and NAME.key, a certificate for 127.0.0.1 that vouches for itself. */
static void make(const char *name) {
    char command[512];

    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 "
             "-subj /CN=%s -addext basicConstraints=critical,CA:FALSE "
             "-addext subjectAltName=IP:127.0.0.1 -keyout %s/%s.key -out %s/%s.pem 2>/dev/null",
             name, directory, name, directory, name);
    CHECK(system(command) == 0);
}

static void copy(const char *from, const char *to) {
    char command[256];

    snprintf(command, sizeof command, "cp %s/%s.pem %s/%s.pem && cp %s/%s.key %s/%s.key", directory,
             from, directory, to, directory, from, directory, to);
    CHECK(system(command) == 0);
}

static size_t read_file(const char *name, char *into, size_t size) {
    FILE *file = fopen(in(name), "r");
    size_t len;

    CHECK(file != NULL);
    len = fread(into, 1, size, file);
    fclose(file);
    return len;
}

static ws_options *showing(const char *name) {
    ws_options *options = ws_options_new();
    char chain[64], key[64];

    snprintf(chain, sizeof chain, "%s/%s.pem", directory, name);
    snprintf(key, sizeof key, "%s/%s.key", directory, name);
    CHECK_STATUS(WS_OK, ws_options_add_certificate(options, chain, key, NULL));
    return options;
}

static ws_options *trusting(const char *name) {
    ws_options *options = ws_options_new();
    char path[64];

    snprintf(path, sizeof path, "%s/%s.pem", directory, name);
    CHECK_STATUS(WS_OK, ws_options_add_ca_file(options, path, NULL));
    return options;
}

static ws_listener listen_secure(const ws_options *options, char *url) {
    ws_listener listener;
    uint16_t port;

    CHECK_STATUS(WS_OK, ws_listen("wss://127.0.0.1:0", options, &listener, NULL));
    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    snprintf(url, 64, "wss://127.0.0.1:%d", port);
    return listener;
}

/* Dials, and gives both ends. */
static void meet(ws_listener listener, const char *url, const ws_options *options, ws_conn *client,
                 ws_conn *server) {
    peer_dial *dial = peer_dial_start_with(url, options);

    CHECK_STATUS(WS_OK, ws_accept(listener, server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(*server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, client, NULL));
}

static void part(ws_conn client, ws_conn server) {
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

/* Accepts until the listener is closed. Nobody gets through. */
static void *accept_nobody(void *listener) {
    ws_conn ws;

    CHECK_STATUS(WS_ABORTED, ws_accept(*(ws_listener *)listener, &ws, WS_FOREVER, NULL));
    return NULL;
}

/* Dials a server that shows its certificate in vain, and gives why. */
static ws_error turned_away(const ws_options *show, const ws_options *dial) {
    char url[64];
    ws_listener listener = listen_secure(show, url);
    pthread_t thread;
    ws_conn ws;
    ws_error err;

    CHECK(pthread_create(&thread, NULL, accept_nobody, &listener) == 0);
    CHECK_STATUS(WS_TLS, ws_dial(url, dial, &ws, &err));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    return err;
}

static void messages_go_both_ways(void) {
    static char data[300000];
    char url[64];
    ws_options *show = showing("server"), *trust = trusting("server");
    ws_listener listener = listen_secure(show, url);
    ws_conn client, server;
    ws_message message = WS_MESSAGE_INIT;
    int32_t version = 0;

    memset(data, 'x', sizeof data);
    meet(listener, url, trust, &client, &server);
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, data, 100, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &message, WS_FOREVER, NULL));
    CHECK_NUMBER(100, message.len);
    CHECK_STATUS(WS_OK, ws_write(server, WS_TEXT, data, 50000, NULL));
    CHECK_STATUS(WS_OK, ws_read(client, &message, WS_FOREVER, NULL));
    CHECK_NUMBER(50000, message.len);
    CHECK_STATUS(WS_OK, ws_tls_version(client, &version, NULL));
    CHECK_NUMBER(WS_TLS_1_3, version);
    CHECK_STATUS(WS_OK, ws_tls_cipher(server, &message, NULL));
    CHECK(strncmp(message.data, "TLS13_", 6) == 0);
    CHECK_STATUS(WS_OK, ws_peer_certificate(client, 0, &message, NULL));
    CHECK(message.len > 100 && message.data[0] == 0x30);
    CHECK_STATUS(WS_NOT_FOUND, ws_peer_certificate(client, 1, &message, NULL));
    CHECK_STATUS(WS_NOT_FOUND, ws_peer_certificate(server, 0, &message, NULL));
    part(client, server);
    ws_message_free(&message);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    ws_options_free(show);
    ws_options_free(trust);
}

static void a_server_that_is_not_trusted_is_not_talked_to(void) {
    char url[64];
    ws_options *show = showing("server"), *other = trusting("other"), *any = ws_options_new();
    ws_listener listener = listen_secure(show, url);
    ws_conn client, server;
    ws_error err = turned_away(show, other);

    CHECK(strstr(err.message, "trusted") != NULL);
    CHECK_STATUS(WS_OK, ws_options_danger_accept_any_certificate(any, 1, NULL));
    meet(listener, url, any, &client, &server);
    part(client, server);
    CHECK_STATUS(WS_OK,
                 ws_options_add_pin(any, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", NULL));
    err = turned_away(show, any);
    CHECK(strstr(err.message, "sha256//") != NULL);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    ws_options_free(show);
    ws_options_free(other);
    ws_options_free(any);
}

static void a_client_shows_its_certificate(void) {
    char url[64], chain[4096], key[4096];
    size_t chain_len = read_file("client.pem", chain, sizeof chain);
    size_t key_len = read_file("client.key", key, sizeof key);
    ws_options *show = showing("server"), *trust = trusting("server");
    ws_listener listener;
    ws_conn client, server;
    ws_message message = WS_MESSAGE_INIT;

    CHECK_STATUS(WS_OK, ws_options_add_ca_pem(show, chain, chain_len, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_client_auth(show, WS_CLIENT_AUTH_OPTIONAL, NULL));
    listener = listen_secure(show, url);
    meet(listener, url, trust, &client, &server);
    CHECK_STATUS(WS_NOT_FOUND, ws_peer_certificate(server, 0, &message, NULL));
    part(client, server);
    CHECK_STATUS(WS_OK,
                 ws_options_add_certificate_pem(trust, chain, chain_len, key, key_len, NULL));
    meet(listener, url, trust, &client, &server);
    CHECK_STATUS(WS_OK, ws_peer_certificate(server, 0, &message, NULL));
    CHECK(message.len > 100);
    part(client, server);
    ws_message_free(&message);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    ws_options_free(show);
    ws_options_free(trust);
}

static void certificates_are_renewed_by_reload(void) {
    char url[64], plain[64];
    ws_options *show, *old = trusting("server"), *new = trusting("other");
    ws_listener listener, without = peer_listen(plain);
    ws_conn client, server;

    copy("server", "current");
    show = showing("current");
    listener = listen_secure(show, url);
    copy("other", "current");
    meet(listener, url, old, &client, &server);
    part(client, server);
    CHECK_STATUS(WS_OK, ws_listener_reload(listener, NULL));
    meet(listener, url, new, &client, &server);
    part(client, server);
    CHECK_STATUS(WS_INVALID_STATE, ws_listener_reload(without, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(without, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_reload(listener, NULL));
    ws_options_free(show);
    ws_options_free(old);
    ws_options_free(new);
}

static void a_second_dial_resumes_the_session(void) {
    char url[64];
    ws_options *show = showing("server"), *trust = trusting("server");
    ws_listener listener = listen_secure(show, url);
    ws_conn client, server;
    ws_message message = WS_MESSAGE_INIT;
    int32_t resumed = 7;

    for (int32_t round = 0; round < 2; round++) {
        meet(listener, url, trust, &client, &server);
        CHECK_STATUS(WS_OK, ws_tls_resumed(client, &resumed, NULL));
        CHECK_NUMBER(round, resumed);
        CHECK_STATUS(WS_OK, ws_write(server, WS_TEXT, "after the ticket", 16, NULL));
        CHECK_STATUS(WS_OK, ws_read(client, &message, WS_FOREVER, NULL));
        part(client, server);
    }
    ws_message_free(&message);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    ws_options_free(show);
    ws_options_free(trust);
}

/* A server stands in for the proxy: it speaks TLS, and does not know CONNECT. */
static void a_proxy_is_trusted_by_options_of_its_own(void) {
    char url[64], proxy[64];
    ws_options *show = showing("server"), *trust = trusting("server"), *dial = trusting("server");
    ws_listener listener = listen_secure(show, url);
    pthread_t thread;
    ws_conn ws;
    ws_error err;

    CHECK(pthread_create(&thread, NULL, accept_nobody, &listener) == 0);
    snprintf(proxy, sizeof proxy, "https://%s", strstr(url, "://") + 3);
    CHECK_STATUS(WS_OK, ws_options_set_proxy(dial, proxy, NULL));
    CHECK_STATUS(WS_TLS, ws_dial("ws://target.invalid/", dial, &ws, &err));
    CHECK(strstr(err.message, "through proxy https://127.0.0.1") != NULL);
    CHECK_STATUS(WS_OK, ws_options_set_proxy_tls(dial, trust, NULL));
    ws_options_free(trust);
    CHECK_STATUS(WS_PROXY, ws_dial("ws://target.invalid/", dial, &ws, &err));
    CHECK_NUMBER(405, err.http_status);
    CHECK_STATUS(WS_OK, ws_options_set_proxy_tls(dial, NULL, NULL));
    CHECK_STATUS(WS_TLS, ws_dial("ws://target.invalid/", dial, &ws, &err));
    CHECK_STATUS(WS_OK, ws_options_set_proxy_tls(dial, dial, NULL));
    CHECK_STATUS(WS_PROXY, ws_dial("ws://target.invalid/", dial, &ws, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_options_set_proxy_tls(dial, trust, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_options_set_proxy_tls(trust, dial, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    ws_options_free(show);
    ws_options_free(dial);
}

static void what_cannot_be_used_is_told(void) {
    ws_options *options = ws_options_new();
    ws_listener listener = 7;
    ws_conn client, server;
    int32_t number = 7;
    ws_error err;

    CHECK_STATUS(WS_IO, ws_options_add_ca_file(options, in("none.pem"), &err));
    CHECK(strstr(err.message, "none.pem") != NULL);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_add_ca_file(options, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_add_ca_pem(options, "no PEM", 6, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_add_crl_file(options, in("server.pem"), NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_add_crl_pem(options, NULL, 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT,
                 ws_options_add_certificate(options, in("server.pem"), in("other.key"), NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_add_pin(options, "short", NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_set_server_name(options, "no name", NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_set_tls_min_version(options, 1, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_set_client_auth(options, 3, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_tls_min_version(options, WS_TLS_1_3, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_server_name(options, "::1", NULL));
    CHECK_STATUS(WS_OK, ws_options_use_system_cas(options, 1, NULL));
    CHECK_STATUS(WS_INVALID_URL, ws_listen("wss://127.0.0.1:0", options, &listener, NULL));
    CHECK(listener == 7);
    CHECK_STATUS(WS_BAD_HANDLE, ws_options_add_pin((ws_options *)8, "short", NULL));
    ws_options_free(options);

    peer_pair(&client, &server);
    CHECK_STATUS(WS_NOT_FOUND, ws_tls_version(client, &number, NULL));
    CHECK_STATUS(WS_NOT_FOUND, ws_tls_resumed(client, &number, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_tls_version(client, NULL, NULL));
    CHECK(number == 7);
    part(client, server);
}

int main(void) {
    const check_case cases[] = {
        TEST(messages_go_both_ways),
        TEST(a_server_that_is_not_trusted_is_not_talked_to),
        TEST(a_client_shows_its_certificate),
        TEST(certificates_are_renewed_by_reload),
        TEST(a_second_dial_resumes_the_session),
        TEST(a_proxy_is_trusted_by_options_of_its_own),
        TEST(what_cannot_be_used_is_told),
    };
    char command[64];
    int failed;

    CHECK(mkdtemp(directory) != NULL);
    make("server");
    make("other");
    make("client");
    failed = RUN(cases);
    snprintf(command, sizeof command, "rm -r %s", directory);
    CHECK(system(command) == 0);
    return failed;
}
