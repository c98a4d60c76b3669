/* How long the library waits for a peer that says nothing: it takes 10 seconds to see. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

static void *dial_the_silent(void *argument) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ws_conn ws = 7;
    char url[64];
    ws_error err;

    (void)argument;
    /* The system accepts; nobody answers. */
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, 1) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", ntohs(address.sin_port));
    CHECK_STATUS(WS_TIMED_OUT, ws_dial(url, NULL, &ws, &err));
    CHECK(ws == 7 && strstr(err.message, url) != NULL);
    close(fd);
    return NULL;
}

static void *close_on_the_silent(void *argument) {
    unsigned char payload[125];
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);
    size_t len;

    (void)argument;
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close(ws, WS_CLOSE_NORMAL, "bye", &err));
    CHECK_NUMBER(WS_CLOSE_ABNORMAL, err.close_code);
    CHECK_STATUS(WS_BAD_HANDLE, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_NUMBER(FIN | CLOSE, raw_receive_frame(fd, payload, &len));
    CHECK(len == 5 && memcmp(payload,
                             "\x03\xE8"
                             "bye",
                             5) == 0);
    CHECK(raw_at_end(fd));
    close(fd);
    return NULL;
}

static void dialling_and_closing_give_up_on_the_silent(void) {
    pthread_t dialling, closing;

    CHECK(pthread_create(&dialling, NULL, dial_the_silent, NULL) == 0);
    CHECK(pthread_create(&closing, NULL, close_on_the_silent, NULL) == 0);
    CHECK(pthread_join(closing, NULL) == 0);
    CHECK(pthread_join(dialling, NULL) == 0);
}

int main(void) {
    const check_case cases[] = {TEST(dialling_and_closing_give_up_on_the_silent)};

    return RUN(cases);
}
