/* Handles under abuse: eight threads call every function with numbers that are, were or never were
 * handles, of both kinds, while they open and close them for each other. Every call must give a
 * status that its documentation lists. TALKWS_TEST_SEED changes what is tried. */

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>

#include "abuse.h"
#include "check.h"
#include "peer.h"

enum { ABUSERS = 8, CALLS_PER_ROUND = 1250, CALLS_PER_PAIR = 400 };

static int rounds;
static uint32_t seed;

/* As `quick`, but for its dial, which must work. */
static ws_options *patient;

/* How often each function met a handle of its kind, and how often it worked. */
static atomic_uint met[CALLS], worked[CALLS];

static size_t pick_call(struct abuser *abuser) {
    uint32_t all = 0, at;
    size_t i = 0;

    for (size_t call = 0; call < CALLS; call++)
        all += calls[call].share;
    for (at = pick(abuser, all); at >= calls[i].share; i++)
        at -= calls[i].share;
    return i;
}

static uint64_t pick_number(struct abuser *abuser) {
    uint64_t number = atomic_load(&numbers[pick(abuser, NUMBERS)]);

    switch (pick(abuser, 16)) {
    case 0:
        return number ^ UINT64_C(1) << pick(abuser, 64);
    case 1:
        return (uint64_t)pick(abuser, UINT32_MAX) << 32 | pick(abuser, UINT32_MAX);
    case 2:
        return 0;
    default:
        return number;
    }
}

static void *abuse(void *argument) {
    struct abuser *abuser = argument;

    for (int left = rounds * CALLS_PER_ROUND; left > 0; left--) {
        size_t i = pick_call(abuser);
        ws_status status;

        if (left % CALLS_PER_PAIR == 0) {
            ws_conn client, server;

            peer_pair_with(&client, patient, &server, patient);
            share(abuser, client);
            share(abuser, server);
        }
        status = calls[i].call(abuser, pick_number(abuser));
        if (status > WS_OK || status < WS_NOT_FOUND || !(calls[i].allowed & ONLY(status))) {
            printf("FAIL %s: %s gave %d (%s): %s\n", check_test, calls[i].name, status,
                   ws_strerror(status), abuser->err.message);
            check_fail();
        }
        if (status != WS_BAD_HANDLE)
            atomic_fetch_add(&met[i], 1);
        if (status == WS_OK)
            atomic_fetch_add(&worked[i], 1);
    }
    ws_message_free(&abuser->msg);
    ws_message_free(&abuser->other);
    if (abuser->visitor >= 0)
        close(abuser->visitor);
    return NULL;
}

static int open_descriptors(void) {
    DIR *directory = opendir("/dev/fd");
    int count = 0;

    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void every_call_gives_a_status_of_its_own(void) {
    static struct abuser abusers[ABUSERS];
    char name[80];
    ws_conn client, server;
    int before;

    snprintf(name, sizeof name, "%s (seed %" PRIu32 ")", check_test, seed);
    check_test = name;
    /* What the library keeps for good, it has from here on. */
    quick = short_waits();
    CHECK_STATUS(WS_OK, ws_options_set_dial_timeout(quick, 20, NULL));
    patient = short_waits();
    atomic_store(&shared_options, short_waits());
    peer_pair_with(&client, patient, &server, patient);
    end(client);
    end(server);
    before = open_descriptors();
    for (uint32_t i = 0; i < ABUSERS; i++) {
        abusers[i].visitor = -1;
        abusers[i].random = (seed + i) * UINT32_C(2654435761) | 1;
        CHECK(pthread_create(&abusers[i].thread, NULL, abuse, &abusers[i]) == 0);
    }
    for (int i = 0; i < ABUSERS; i++)
        CHECK(pthread_join(abusers[i].thread, NULL) == 0);
    for (int i = 0; i < NUMBERS; i++)
        end(atomic_load(&numbers[i]));
    ws_options_free(quick);
    ws_options_free(patient);
    ws_options_free(atomic_load(&shared_options));
    CHECK_NUMBER(before, open_descriptors());
    /* The calls and the handles did meet. */
    for (size_t i = 0; i < CALLS; i++)
        if (atomic_load(&worked[i]) == 0) {
            printf("FAIL %s: %s met %u handles and never worked\n", check_test, calls[i].name,
                   atomic_load(&met[i]));
            check_fail();
        }
}

int main(void) {
    const char *wanted_rounds = getenv("TALKWS_TEST_ROUNDS");
    const char *wanted_seed = getenv("TALKWS_TEST_SEED");
    const check_case cases[] = {TEST(every_call_gives_a_status_of_its_own)};

    rounds = wanted_rounds != NULL ? atoi(wanted_rounds) : 100;
    seed = wanted_seed != NULL ? (uint32_t)strtoul(wanted_seed, NULL, 0) : 1;
    return RUN(cases);
}
