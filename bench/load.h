/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry-load: what its parts share. load.c reads the options and reports, load_request.c writes signed
 * requests, load_run.c drives the connections, load_once.c sends a single request and shows the answer. */
#pragma once

#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hist.h"
#include "sign.h"

#define LOAD_BODIES 16 /* different bodies in turn, so that no server profits from one content */

enum load_op { LOAD_PUT, LOAD_GET, LOAD_HEAD, LOAD_DELETE, LOAD_OPS, LOAD_MIXED = LOAD_OPS, LOAD_RAW };

struct load_options {
    const char *endpoint; /* http://host:port */
    char host[256];
    char port[8];
    char authority[272]; /* the Host header */
    const char *access_key, *secret_key, *region;
    const char *bucket, *prefix;
    enum load_op op;
    unsigned connections, threads;
    uint64_t requests;      /* 0: as many as fit into the time */
    double seconds;         /* 0: until the requests are done */
    double rate;            /* requests per second over all connections; 0: as fast as they are answered */
    double timeout;         /* s for one request */
    uint64_t size;          /* bytes of an object */
    uint64_t start;         /* number of the first key */
    uint64_t keyspace;      /* keys that GET and HEAD choose from; PUT overwrites them if it is set */
    unsigned mix[LOAD_OPS]; /* percent */
    bool unsigned_payload, make_bucket;
    const char *method, *key, *query, *body_file; /* raw */
    struct addrinfo *address;
};

/* Bodies and their hashes, made once, read by all threads. */
struct load_bodies {
    unsigned count;
    uint64_t size;
    char *data[LOAD_BODIES];
    char hash[LOAD_BODIES][SIGN_HEX + 1];
};

/* What one thread counted. */
struct load_tally {
    uint64_t done;       /* replies, of whatever status */
    uint64_t ok;         /* 2xx with the right body */
    uint64_t wrong_body; /* GET whose bytes are not what PUT sent */
    uint64_t transport;  /* no reply: refused, reset, timed out, not HTTP */
    uint64_t reconnects; /* kept-alive connections that the server closed between requests */
    uint64_t status[600];
    struct hist
        latency; /* from the start of sending (paced: from when it was due) to the last byte of the reply, ns */
};

/* Writes one signed request head. One per thread. */
struct load_builder {
    const struct load_options *options;
    struct signer signer;
    char prefix_path[2200]; /* "/bucket/prefix", encoded */
    size_t prefix_len;
    char headers[512]; /* canonical headers, for the hash they were written for */
};

bool load_builder_init(struct load_builder *b, const struct load_options *o);
void load_builder_release(struct load_builder *b);

/* Path of the key with this number. The names are spread over the hash range, so that no server sees them in
 * order. */
void load_builder_path(const struct load_builder *b, uint64_t number, char *out, size_t cap);

/* Head of a request, signed for this instant. `path` and `query` are canonical, `hash` is the payload's.
 * `length` < 0 leaves Content-Length out. Returns its length; 0 if it does not fit. */
size_t load_builder_head(struct load_builder *b, const char *method, const char *path, const char *query,
                         const char *hash, int64_t length, char *out, size_t cap);

void load_bodies_init(struct load_bodies *bodies, const struct load_options *o);
void load_bodies_release(struct load_bodies *bodies);

/* Runs the load on o->threads threads and adds up what they counted. `elapsed` is in seconds, `used` gets how
 * many keys were taken. False if the server could not be reached or went away. */
bool load_run(const struct load_options *o, const struct load_bodies *bodies, struct load_tally *total,
              double *elapsed, uint64_t *used);

/* One request on a connection of its own. The reply's body goes to `out` (FILE *) if it is not NULL. Returns
 * the status, or 0 after a transport error, which is shown on stderr. */
int load_once(const struct load_options *o, const char *method, const char *path, const char *query,
              const void *body, size_t n, void *out);

uint64_t load_now(void); /* monotonic ns */
