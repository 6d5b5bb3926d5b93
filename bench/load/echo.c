// The back end: answers a WebSocket handshake, then sends back the very bytes it gets. It does
// not unmask them: a proxy under test does not look inside frames, and the load generator knows.
// A request without an upgrade gets 200 "ok".
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int fd;
    bool upgraded;
    // What could not be written at once. While there is any, nothing more is read.
    char *pending;
    size_t pending_at, pending_length;
    // The request's head as far as it has arrived.
    char head[4096];
    size_t head_length;
} connection;

static void watch(int poll, connection *c, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poll, EPOLL_CTL_MOD, c->fd, &event);
}

static void accept_all(int poll, int listener) {
    int fd;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        make_fast(fd);
        connection *c = calloc(1, sizeof *c);
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
}

// The functions below return false when the connection is over.

static bool flush_pending(int poll, connection *c) {
    ssize_t sent = write(c->fd, c->pending + c->pending_at, c->pending_length);
    if (sent < 0) {
        return errno == EAGAIN;
    }
    c->pending_at += sent;
    c->pending_length -= sent;
    if (c->pending_length == 0) {
        free(c->pending);
        c->pending = NULL;
        watch(poll, c, EPOLLIN);
    }
    return true;
}

static bool echo(int poll, connection *c) {
    static char buffer[BUFFER_SIZE];
    ssize_t got = read(c->fd, buffer, sizeof buffer);
    if (got <= 0) {
        return got < 0 && errno == EAGAIN;
    }
    ssize_t sent = write(c->fd, buffer, got);
    if (sent < 0) {
        if (errno != EAGAIN) {
            return false;
        }
        sent = 0;
    }
    if (sent < got) {
        c->pending_at = 0;
        c->pending_length = got - sent;
        c->pending = malloc(c->pending_length);
        memcpy(c->pending, buffer + sent, c->pending_length);
        watch(poll, c, EPOLLOUT);
    }
    return true;
}

static bool upgrade(connection *c, const char *key, size_t head_end) {
    char accept[ACCEPT_SIZE], answer[256];
    key += strspn(key, " ");
    accept_value(key, strcspn(key, " \r"), accept);
    int length = sprintf(answer,
                         "HTTP/1.1 101 Switching Protocols\r\n"
                         "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: %s\r\n\r\n",
                         accept);
    c->upgraded = true;
    // Frames that came with the request are echoed too.
    size_t more = c->head_length - head_end;
    return write(c->fd, answer, length) == length &&
           (more == 0 || write(c->fd, c->head + head_end, more) >= 0);
}

static bool answer_requests(connection *c) {
    static const char key_name[] = "sec-websocket-key:";
    static const char ok[] =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok";
    ssize_t got = read(c->fd, c->head + c->head_length, sizeof c->head - 1 - c->head_length);
    if (got <= 0) {
        return got < 0 && errno == EAGAIN;
    }
    c->head_length += got;
    c->head[c->head_length] = 0;
    char *blank;
    // Several requests may have come at once.
    while (c->head_length > 0 && (blank = strstr(c->head, "\r\n\r\n")) != NULL) {
        size_t head_end = blank + 4 - c->head;
        char *key = strcasestr(c->head, key_name);
        if (key != NULL && key < blank) {
            return upgrade(c, key + sizeof key_name - 1, head_end);
        }
        if (write(c->fd, ok, sizeof ok - 1) < 0) {
            return false;
        }
        c->head_length -= head_end;
        memmove(c->head, c->head + head_end, c->head_length + 1);
    }
    return true;
}

static bool serve_one(int poll, connection *c) {
    if (c->pending_length > 0) {
        return flush_pending(poll, c);
    }
    return c->upgraded ? echo(poll, c) : answer_requests(c);
}

void serve_echo(int port) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    // The idle workloads connect thousands of times without a pause: no queue is too long.
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 65535)) {
        die("listen");
    }
    make_fast(listener);
    int poll = epoll_create1(0);
    struct epoll_event accepting = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &accepting);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < count; i++) {
            connection *c = events[i].data.ptr;
            if (c == NULL) {
                accept_all(poll, listener);
            } else if (!serve_one(poll, c)) {
                close(c->fd);
                free(c->pending);
                free(c);
            }
        }
    }
}
