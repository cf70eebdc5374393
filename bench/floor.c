/* The anchor of bench/fanout.py: how cheaply can one frame reach N sockets at all?
 *
 *   floor send PORT N BYTES ROUNDS GAP_US   accept N connections, then ROUNDS times send() BYTES
 *                                           to each; print CPU microseconds per send.
 *   floor sink PORT N BYTES                 open N connections, write what stdin holds to each,
 *                                           then read until BYTES have come in all (or for ever
 *                                           with 0); print one line when all are connected, and
 *                                           the bytes at the end.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
           (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int run_send(int port, int n, int bytes, int rounds, int gap_us) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = loopback(port);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096))
        fail("listen");
    int *sockets = calloc(n, sizeof *sockets);
    char *frame = malloc(bytes);
    memset(frame, 'x', bytes);
    for (int i = 0; i < n; i++) {
        if ((sockets[i] = accept(listener, NULL, NULL)) < 0) fail("accept");
        setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    usleep(200000);
    double before = cpu_seconds();
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < n; i++)
            if (send(sockets[i], frame, bytes, MSG_NOSIGNAL) != bytes) fail("send");
        usleep(gap_us);
    }
    printf("%.3f\n", (cpu_seconds() - before) * 1e6 / ((double)n * rounds));
    return 0;
}

static int run_sink(int port, int n, long long expected) {
    static char greeting[65536], buffer[262144];
    ssize_t greeting_size = fread(greeting, 1, sizeof greeting, stdin);
    struct sockaddr_in address = loopback(port);
    int poll = epoll_create1(0), one = 1;
    for (int i = 0; i < n; i++) {
        int s = socket(AF_INET, SOCK_STREAM, 0);
        while (connect(s, (struct sockaddr *)&address, sizeof address)) {
            if (errno != ECONNREFUSED) fail("connect");
            usleep(10000);
        }
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (greeting_size && write(s, greeting, greeting_size) != greeting_size) fail("write");
        fcntl(s, F_SETFL, O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = s};
        epoll_ctl(poll, EPOLL_CTL_ADD, s, &event);
    }
    puts("connected");
    fflush(stdout);
    long long total = 0;
    int open = n;
    struct epoll_event events[512];
    while (open && (!expected || total < expected)) {
        int ready = epoll_wait(poll, events, 512, 30000);
        if (ready <= 0) break;
        for (int i = 0; i < ready; i++) {
            ssize_t got = read(events[i].data.fd, buffer, sizeof buffer);
            if (got > 0) total += got;
            else if (got == 0 || errno != EAGAIN) { close(events[i].data.fd); open--; }
        }
    }
    printf("%lld\n", total);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 7 && !strcmp(argv[1], "send"))
        return run_send(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]), atoi(argv[6]));
    if (argc == 5 && !strcmp(argv[1], "sink"))
        return run_sink(atoi(argv[2]), atoi(argv[3]), atoll(argv[4]));
    fprintf(stderr, "usage: floor send PORT N BYTES ROUNDS GAP_US | floor sink PORT N BYTES\n");
    return 2;
}
