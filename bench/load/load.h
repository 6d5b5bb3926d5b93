// What the echo server and the load generator share.
#pragma once

#include <stddef.h>
#include <stdint.h>

// Enough for several 64 KiB messages in one read.
#define BUFFER_SIZE (256 * 1024)

// Length of a Sec-WebSocket-Accept value with its final zero.
#define ACCEPT_SIZE 29

// Writes the Sec-WebSocket-Accept value (RFC 6455, 4.2.2) for the `length` bytes of `key`.
void accept_value(const char *key, size_t length, char out[ACCEPT_SIZE]);

// Makes a socket non-blocking and sends small writes at once.
void make_fast(int fd);

// Says why a system call failed and ends the program with status 2.
void die(const char *call) __attribute__((noreturn));

// Serves echoes on 127.0.0.1:port for ever.
void serve_echo(int port) __attribute__((noreturn));
