/* TCP itself, with which the event servers are measured: one thread on epoll(7) sends back what it
 * receives. Prints `Listening on tcp://127.0.0.1:PORT`, and ends when its input does. */

#include "../python/peers/peer.h"

#include <stdbool.h>
#include <sys/epoll.h>

enum { ROOM = 64 * 1024, READY = 512 };

static bool send_all(int fd, const char *bytes, size_t rest) {
    while (rest > 0) {
        ssize_t n = send(fd, bytes, rest, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        bytes += n;
        rest -= (size_t)n;
    }
    return true;
}

int main(void) {
    static char bytes[ROOM];
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN}, ready[READY];
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (listener < 0 || epoll < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0)
        return 1;
    event.data.fd = listener;
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    event.data.fd = STDIN_FILENO;
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event);
    printf("Listening on tcp://127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int n = epoll_wait(epoll, ready, READY, -1);

        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;

            if (fd == STDIN_FILENO)
                return 0;
            if (fd == listener) {
                event.data.fd = accept(listener, NULL, NULL);
                if (event.data.fd >= 0) {
                    no_delay(event.data.fd);
                    epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event);
                }
                continue;
            }
            ssize_t length = recv(fd, bytes, ROOM, 0);

            if (length <= 0 || !send_all(fd, bytes, (size_t)length))
                close(fd);
        }
    }
}
