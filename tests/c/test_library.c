/* What holds for the library as a whole: version, texts, layouts, errors. */

#include <stddef.h>

#include "check.h"

/* The compiler sees that the initialiser names every field. */
static ws_message initialised = WS_MESSAGE_INIT;

static void the_version_is_the_packages(void) {
    char version[32];

    CHECK_TEXT(TALKWS_TEST_VERSION, ws_version());
    CHECK_TEXT(TALKWS_TEST_VERSION, TALKWS_VERSION);
    snprintf(version, sizeof version, "%d.%d.%d", TALKWS_VERSION_MAJOR, TALKWS_VERSION_MINOR,
             TALKWS_VERSION_PATCH);
    CHECK_TEXT(TALKWS_TEST_VERSION, version);
    CHECK_NUMBER(TALKWS_VERSION_MAJOR << 16 | TALKWS_VERSION_MINOR << 8 | TALKWS_VERSION_PATCH,
                 TALKWS_VERSION_NUMBER);
}

static void a_feature_is_there_or_not(void) {
    ws_listener listener = 7;

    /* What a build says it cannot do is what it refuses. */
    CHECK_NUMBER(ws_has(WS_FEATURE_TLS) ? WS_INVALID_URL : WS_UNSUPPORTED,
                 ws_listen("wss://127.0.0.1:0", NULL, &listener, NULL));
    CHECK_NUMBER(1, ws_has(WS_FEATURE_KEEPALIVE));
    CHECK_NUMBER(1, ws_has(WS_FEATURE_DEFLATE));
    for (int32_t feature = WS_FEATURE_TLS; feature <= WS_FEATURE_BROADCAST; feature++)
        CHECK(ws_has(feature) == 0 || ws_has(feature) == 1);
    CHECK_NUMBER(0, ws_has(0));
    CHECK_NUMBER(0, ws_has(WS_FEATURE_BROADCAST + 1));
    CHECK_NUMBER(0, ws_has(-1));
    CHECK_NUMBER(0, ws_has(INT32_MIN));
    CHECK_NUMBER(0, ws_has(INT32_MAX));
}

static void every_status_has_a_text(void) {
    CHECK_TEXT("no error", ws_strerror(WS_OK));
    for (ws_status status = WS_WOULD_BLOCK; status <= WS_OK; status++)
        CHECK(strcmp(ws_strerror(status), "unknown status") != 0);
    CHECK_TEXT("unknown status", ws_strerror(1));
    CHECK_TEXT("unknown status", ws_strerror(WS_WOULD_BLOCK - 1));
    CHECK_TEXT("unknown status", ws_strerror(INT32_MIN));
    CHECK_TEXT("unknown status", ws_strerror(INT32_MAX));
}

static void layouts_are_frozen(void) {
    CHECK(sizeof(ws_error) == 256);
    CHECK(offsetof(ws_error, status) == 0);
    CHECK(offsetof(ws_error, http_status) == 4);
    CHECK(offsetof(ws_error, close_code) == 8);
    CHECK(offsetof(ws_error, message) == 12);
    CHECK(sizeof(ws_conn) == 8 && sizeof(ws_listener) == 8 && sizeof(ws_status) == 4);
    CHECK(offsetof(ws_message, data) == 0);
    CHECK(offsetof(ws_message, len) == sizeof(void *));
    CHECK(offsetof(ws_message, type) == 2 * sizeof(void *));
    CHECK(sizeof(ws_message) == 2 * sizeof(void *) + 8 + 4 * sizeof(void *));
    CHECK(offsetof(ws_part, len) == 0);
    CHECK(offsetof(ws_part, type) == sizeof(size_t));
    CHECK(offsetof(ws_part, is_last) == sizeof(size_t) + 4);
    CHECK(sizeof(ws_part) == sizeof(size_t) + 8);
    CHECK(offsetof(ws_counters, messages_received) == 0);
    CHECK(offsetof(ws_counters, messages_sent) == 8);
    CHECK(offsetof(ws_counters, bytes_received) == 16);
    CHECK(offsetof(ws_counters, bytes_sent) == 24);
    CHECK(offsetof(ws_counters, pings_received) == 32);
    CHECK(offsetof(ws_counters, pings_sent) == 40);
    CHECK(offsetof(ws_counters, pongs_received) == 48);
    CHECK(offsetof(ws_counters, round_trip_us) == 56);
    CHECK(offsetof(ws_counters, messages_dropped) == 64);
    CHECK(offsetof(ws_counters, private_room) == 72);
    CHECK(sizeof(ws_counters) == 128);
    CHECK(sizeof(ws_report) == 64);
    CHECK(sizeof(ws_serve_report) == 64);
    CHECK(initialised.data == NULL && initialised.len == 0 && initialised.type == 0);
}

static void an_error_is_written_on_failure_only(void) {
    ws_listener listener = 7;
    ws_error err, before;

    memset(&err, 0x55, sizeof err);
    before = err;
    CHECK_STATUS(WS_OK, ws_listen("ws://127.0.0.1:0", NULL, &listener, &err));
    CHECK(memcmp(&err, &before, sizeof err) == 0);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, &err));
    CHECK(memcmp(&err, &before, sizeof err) == 0);
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_close(listener, &err));
    CHECK_NUMBER(WS_BAD_HANDLE, err.status);
    CHECK_NUMBER(0, err.http_status);
    CHECK_NUMBER(0, err.close_code);
    CHECK(strstr(err.message, "listener") != NULL);
}

static void a_long_error_is_cut_between_two_characters(void) {
    /* Of one, two, three and four bytes; whatever stands before them, the cut falls into one. */
    const char *characters[] = {"x", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};

    for (size_t i = 0; i < 4; i++) {
        char url[2048] = "ws://host/?";
        ws_listener listener;
        ws_error err;
        size_t len;

        while (strlen(url) < 2000)
            strcat(url, characters[i]);
        memset(&err, 0x55, sizeof err);
        CHECK_STATUS(WS_INVALID_URL, ws_listen(url, NULL, &listener, &err));
        len = strnlen(err.message, sizeof err.message);
        CHECK(len < sizeof err.message && len > sizeof err.message - 5);
        /* The last character is whole. */
        while ((err.message[--len] & 0xC0) == 0x80)
            ;
        CHECK(memcmp(err.message + len, characters[i], strlen(characters[i]) + 1) == 0);
    }
}

int main(void) {
    const check_case cases[] = {
        TEST(the_version_is_the_packages),
        TEST(a_feature_is_there_or_not),
        TEST(every_status_has_a_text),
        TEST(layouts_are_frozen),
        TEST(an_error_is_written_on_failure_only),
        TEST(a_long_error_is_cut_between_two_characters),
    };
    return RUN(cases);
}
