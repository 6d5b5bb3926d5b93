// wsload: a WebSocket echo back end and load generator with almost no cost of its own.
//
// wsload echo PORT
//     the back end, see echo.c
// wsload load ADDRESS PORT HOST CONNECTIONS SIZE SECONDS WINDOW
//     WINDOW messages of SIZE payload bytes in flight on each connection;
//     prints messages and MiB a second, and the round trip of a window
// wsload idle ADDRESS PORT HOST CONNECTIONS SECONDS
//     opens the connections, says so, holds them, then checks each with one echo
// wsload shake ADDRESS PORT HOST SECONDS
//     one after the other: connect, upgrade, one echo, close; prints how many a second
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_ROUND_TRIPS 20000000

typedef struct {
    const char *address;
    int port;
    const char *host;
} target;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

void die(const char *call) {
    perror(call);
    exit(2);
}

static void send_at_once(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

void make_fast(int fd) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    send_at_once(fd);
}

// Tries for a second: under load a proxy's accept queue may be full for a moment.
static int dial(const target *to) {
    for (int attempt = 0; attempt < 50; attempt++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0) {
            die("socket");
        }
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to->port)};
        inet_pton(AF_INET, to->address, &address.sin_addr);
        if (connect(fd, (void *)&address, sizeof address) == 0) {
            send_at_once(fd);
            return fd;
        }
        close(fd);
        usleep(20000);
    }
    die("connect");
}

// Upgrades the connection; 0, or -1 if the answer is not the right 101.
static int upgrade(int fd, const char *host) {
    char request[512], answer[2048];
    int length = snprintf(request, sizeof request,
                          "GET /chat HTTP/1.1\r\nHost: %s\r\n"
                          "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          host);
    if (write(fd, request, length) != length) {
        return -1;
    }
    // Byte by byte, so that nothing after the head is taken from the frames.
    size_t have = 0;
    while (have < sizeof answer - 1) {
        if (read(fd, answer + have, 1) <= 0) {
            return -1;
        }
        answer[++have] = 0;
        if (have >= 4 && memcmp(answer + have - 4, "\r\n\r\n", 4) == 0) {
            break;
        }
    }
    if (strncmp(answer, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "not 101: %.80s\n", answer);
        return -1;
    }
    return strcasestr(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") != NULL ? 0 : -1;
}

// Writes one masked binary frame with `size` bytes of payload; returns its length.
static size_t make_frame(char *out, size_t size) {
    size_t head = 2;
    out[0] = (char)0x82;
    if (size < 126) {
        out[1] = (char)(0x80 | size);
    } else if (size < 65536) {
        out[1] = (char)(0x80 | 126);
        out[2] = size >> 8;
        out[3] = size;
        head = 4;
    } else {
        out[1] = (char)(0x80 | 127);
        for (int i = 0; i < 8; i++) {
            out[2 + i] = (uint64_t)size >> (56 - 8 * i);
        }
        head = 10;
    }
    memcpy(out + head, "\1\2\3\4", 4);
    head += 4;
    memset(out + head, 'x', size);
    return head + size;
}

// ---- load

typedef struct {
    int fd;
    // Bytes of the current window sent and received.
    size_t sent, received;
    double started;
} flow;

typedef struct {
    int poll;
    // One window: as many frames as may be in flight on a connection.
    char *window;
    size_t window_length, frame_length;
    uint64_t bytes;
    float *round_trips;
    size_t round_trip_count;
} load_state;

static void watch(load_state *load, flow *f, int operation) {
    uint32_t writing = f->sent < load->window_length ? EPOLLOUT : 0;
    struct epoll_event event = {.events = EPOLLIN | writing, .data.ptr = f};
    epoll_ctl(load->poll, operation, f->fd, &event);
}

static void send_more(load_state *load, flow *f) {
    ssize_t sent = write(f->fd, load->window + f->sent, load->window_length - f->sent);
    if (sent > 0) {
        f->sent += sent;
    }
}

static void start_window(load_state *load, flow *f) {
    f->started = now();
    f->sent = 0;
    send_more(load, f);
}

static void receive(load_state *load, flow *f) {
    static char buffer[BUFFER_SIZE];
    ssize_t got = read(f->fd, buffer, sizeof buffer);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        printf("connection lost\n");
        exit(1);
    }
    if (got < 0) {
        return;
    }
    load->bytes += got;
    f->received += got;
    if (f->received >= load->window_length) {
        if (load->round_trip_count < MOST_ROUND_TRIPS) {
            load->round_trips[load->round_trip_count++] = (now() - f->started) * 1e6;
        }
        f->received -= load->window_length;
        start_window(load, f);
        if (f->sent < load->window_length) {
            watch(load, f, EPOLL_CTL_MOD);
        }
    }
}

static int compare_floats(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return a < b ? -1 : a > b;
}

static void print_load(load_state *load, double seconds) {
    size_t count = load->round_trip_count;
    double messages = (double)load->bytes / load->frame_length;
    qsort(load->round_trips, count, sizeof(float), compare_floats);
    printf("msgs %.0f per_s %.0f MiB_s %.1f p50_us %.0f p99_us %.0f\n", messages,
           messages / seconds, load->bytes / seconds / 1048576,
           count > 0 ? load->round_trips[count / 2] : 0,
           count > 0 ? load->round_trips[(size_t)(count * 0.99)] : 0);
}

static void run_load(const target *to, int connections, size_t size, double seconds, int frames) {
    load_state load = {.poll = epoll_create1(0)};
    load.window = malloc((size + 16) * frames);
    load.frame_length = make_frame(load.window, size);
    load.window_length = load.frame_length * frames;
    for (int i = 1; i < frames; i++) {
        memcpy(load.window + load.frame_length * i, load.window, load.frame_length);
    }
    load.round_trips = malloc(sizeof(float) * MOST_ROUND_TRIPS);
    flow *flows = calloc(connections, sizeof *flows);
    for (int i = 0; i < connections; i++) {
        flows[i].fd = dial(to);
        if (upgrade(flows[i].fd, to->host) != 0) {
            printf("handshake failed\n");
            exit(1);
        }
        make_fast(flows[i].fd);
    }
    double begun = now();
    for (int i = 0; i < connections; i++) {
        start_window(&load, &flows[i]);
        watch(&load, &flows[i], EPOLL_CTL_ADD);
    }
    for (double at = begun; at < begun + seconds; at = now()) {
        struct epoll_event events[256];
        int count = epoll_wait(load.poll, events, 256, 100);
        for (int i = 0; i < count; i++) {
            flow *f = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) && f->sent < load.window_length) {
                send_more(&load, f);
                if (f->sent == load.window_length) {
                    watch(&load, f, EPOLL_CTL_MOD);
                }
            }
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                receive(&load, f);
            }
        }
    }
    print_load(&load, now() - begun);
}

// ---- idle and shake

static int echo_once(int fd, const char *frame, size_t length) {
    char answer[64];
    size_t have = 0;
    if (write(fd, frame, length) != (ssize_t)length) {
        return -1;
    }
    while (have < length) {
        ssize_t got = read(fd, answer, length - have);
        if (got <= 0) {
            return -1;
        }
        have += got;
    }
    return 0;
}

static void run_idle(const target *to, int connections, double seconds) {
    char frame[64];
    size_t length = make_frame(frame, 16);
    int *fds = malloc(sizeof *fds * connections), alive = 0;
    for (int i = 0; i < connections; i++) {
        fds[i] = dial(to);
        if (upgrade(fds[i], to->host) != 0) {
            printf("handshake %d failed\n", i);
            exit(1);
        }
    }
    printf("open %d\n", connections);
    fflush(stdout);
    usleep((useconds_t)(seconds * 1e6));
    for (int i = 0; i < connections; i++) {
        alive += echo_once(fds[i], frame, length) == 0;
    }
    printf("alive %d of %d\n", alive, connections);
}

static void run_shake(const target *to, double seconds) {
    char frame[64];
    size_t length = make_frame(frame, 16);
    uint64_t good = 0, failed = 0;
    double begun = now();
    while (now() - begun < seconds) {
        int fd = dial(to);
        // Closed by a reset: no port is left in TIME_WAIT, of which there are too few.
        struct linger reset = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        if (upgrade(fd, to->host) == 0 && echo_once(fd, frame, length) == 0) {
            good++;
        } else {
            failed++;
        }
        close(fd);
    }
    printf("handshakes %lu per_s %.0f failed %lu\n", good, good / (now() - begun), failed);
}

static void allow_many_descriptors(void) {
    struct rlimit limit = {1 << 20, 1 << 20};
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN);
    allow_many_descriptors();
    const char *mode = count > 1 ? words[1] : "";
    if (count == 3 && strcmp(mode, "echo") == 0) {
        serve_echo(atoi(words[2]));
    }
    target to = {0};
    if (count > 5) {
        to = (target){words[2], atoi(words[3]), words[4]};
    }
    if (count == 9 && strcmp(mode, "load") == 0) {
        run_load(&to, atoi(words[5]), atol(words[6]), atof(words[7]), atoi(words[8]));
    } else if (count == 7 && strcmp(mode, "idle") == 0) {
        run_idle(&to, atoi(words[5]), atof(words[6]));
    } else if (count == 6 && strcmp(mode, "shake") == 0) {
        run_shake(&to, atof(words[5]));
    } else {
        fprintf(stderr, "usage: see the head of bench/load/wsload.c\n");
        return 2;
    }
    return 0;
}
