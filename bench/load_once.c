/* SPDX-License-Identifier: Apache-2.0
 *
 * A single signed request, blocking: makes the bucket, sets a notification rule, and is a small signed curl.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"
#include "message.h"

static bool send_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, data, n, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        data += sent;
        n -= (size_t)sent;
    }
    return true;
}

/* Reads one reply, writes its body to `out`. */
static int read_reply(int fd, bool to_head, FILE *out)
{
    struct message m;
    char buffer[16384];
    message_begin_reply(&m, to_head);
    while (m.phase != MESSAGE_DONE) {
        ssize_t got = recv(fd, buffer, sizeof(buffer), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            message_end(&m);
        for (size_t at = 0;
             got > 0 && at < (size_t)got && m.phase != MESSAGE_DONE && m.phase != MESSAGE_BAD;) {
            struct piece piece;
            at += message_feed(&m, buffer + at, (size_t)got - at, &piece);
            if (out != NULL && piece.len > 0)
                fwrite(piece.at, 1, piece.len, out);
        }
        if (m.phase == MESSAGE_BAD)
            return 0;
    }
    return m.status;
}

static int exchange(const struct load_options *o, const char *head, size_t head_len, const void *body,
                    size_t n, bool to_head, FILE *out)
{
    struct timeval limit = {.tv_sec = (time_t)o->timeout + 1};
    int fd = socket(o->address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    int status = 0;
    /* A server may answer before it has read the whole body, so a failure to send is not the end yet. */
    if (connect(fd, o->address->ai_addr, o->address->ai_addrlen) == 0) {
        bool sent = send_all(fd, head, head_len) && send_all(fd, body, n);
        status = read_reply(fd, to_head, out);
        if (!sent && status == 0)
            errno = EPIPE;
    }
    if (status == 0)
        fprintf(stderr, "belfry-load: %s: no reply: %s\n", o->endpoint, strerror(errno));
    close(fd);
    return status;
}

int load_once(const struct load_options *o, const char *method, const char *path, const char *query,
              const void *body, size_t n, void *out)
{
    struct load_builder b;
    char hash[SIGN_HEX + 1], head[8192];
    if (!load_builder_init(&b, o))
        return 0;
    signer_hash(&b.signer, body, n, hash);
    size_t head_len = load_builder_head(&b, method, path, query, hash, (int64_t)n, head, sizeof(head));
    int status = 0;
    if (head_len > 0)
        status = exchange(o, head, head_len, body, n, strcmp(method, "HEAD") == 0, out);
    else
        fprintf(stderr, "belfry-load: the request head is too long\n");
    load_builder_release(&b);
    return status;
}
