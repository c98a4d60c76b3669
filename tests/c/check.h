/* A test is a function whose name says what is so. A program runs its tests one after the other,
 * prints `ok NAME` for each, and ends with `FAIL NAME: ...` at the first check that fails. */

#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "talkws.h"

/* The test that runs; in peer.c. */
extern const char *check_test;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("FAIL %s: %s:%d: not so: %s\n", check_test, __FILE__, __LINE__, #condition);    \
            check_fail();                                                                          \
        }                                                                                          \
    } while (0)

#define CHECK_STATUS(expected, call) check_status(expected, call, #call, __FILE__, __LINE__)
#define CHECK_NUMBER(expected, value) check_number(expected, value, #value, __FILE__, __LINE__)
#define CHECK_TEXT(expected, value) check_text(expected, value, #value, __FILE__, __LINE__)

static inline void check_fail(void) {
    fflush(stdout);
    _exit(1);
}

static inline void check_status(ws_status expected, ws_status status, const char *call,
                                const char *file, int line) {
    if (status != expected) {
        printf("FAIL %s: %s:%d: %s gave %d (%s), not %d (%s)\n", check_test, file, line, call,
               status, ws_strerror(status), expected, ws_strerror(expected));
        check_fail();
    }
}

static inline void check_number(intmax_t expected, intmax_t value, const char *what,
                                const char *file, int line) {
    if (value != expected) {
        printf("FAIL %s: %s:%d: %s is %" PRIdMAX ", not %" PRIdMAX "\n", check_test, file, line,
               what, value, expected);
        check_fail();
    }
}

static inline void check_text(const char *expected, const char *value, const char *what,
                              const char *file, int line) {
    if (value == NULL || strcmp(value, expected) != 0) {
        printf("FAIL %s: %s:%d: %s is \"%s\", not \"%s\"\n", check_test, file, line, what,
               value != NULL ? value : "(NULL)", expected);
        check_fail();
    }
}

typedef struct {
    const char *name;
    void (*run)(void);
} check_case;

#define TEST(name)                                                                                 \
    { #name, name }

static inline int check_run(const check_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        check_test = cases[i].name;
        cases[i].run();
        printf("ok %s\n", cases[i].name);
        fflush(stdout);
    }
    return 0;
}

#define RUN(cases) check_run(cases, sizeof(cases) / sizeof(cases)[0])

#endif
