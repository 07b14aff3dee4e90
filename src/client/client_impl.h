/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of client/. */
#ifndef BELFRY_CLIENT_CLIENT_IMPL_H
#define BELFRY_CLIENT_CLIENT_IMPL_H

#include <curl/curl.h>
#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/program.h"
#include "client/client.h"

/* What the command line says; strings are argv's own. NULL or 0: not given. */
struct client_args {
    char *url, *ca;
    char *target, *bucket, *prefix, *reason, *since, *until, *after, *rate, *limit;
    char *config, *queue_dir, *notifications;
    bool json, as_is, all, insecure, help;
    char **words; /* behind the command and its verb */
    size_t n;
};

/* A server, as it is asked. */
struct client {
    struct arena arena;
    struct client_args args;
    char *base;      /* "http://127.0.0.1:9000", without a slash at the end */
    struct str host; /* of it, as the Host header has it */
    struct str access, secret;
    struct str region; /* for requests of S3; "us-east-1" until known */
    CURL *curl;
};
/* False and err: a bad --url, no credentials. */
bool client_open(struct client *c, struct err *e);
void client_close(struct client *c);

/* Pairs of a query, in any order; ends with a NULL name. A NULL value is left out. */
struct client_param {
    const char *name, *value;
};
struct client_reply {
    long status;
    struct buf body;
};
/* One signed request. path: as it is sent, escaped. False and err: no answer came. The caller releases reply->body. */
bool client_request(struct client *c, const char *method, const char *path, const struct client_param *query,
                    struct str body, struct client_reply *reply, struct err *e);
/* The same to a call of the administration interface; its JSON, which the caller gives back with json_decref. NULL and err:
 * no answer, or an error in the server's words. */
json_t *client_call(struct client *c, const char *method, const char *call, const struct client_param *query,
                    struct err *e);
/* The message in an error's reply, JSON or XML. */
void client_error(const struct client_reply *reply, struct err *e);

/* The signature: fills the value of the Authorization header. Source: AWS, "Signature Calculations for the Authorization
 * Header". date: 20130524T000000Z. payload: hex of the body's SHA-256. Pure. */
void client_sign(struct buf *out, const struct client *c, const char *method, const char *path,
                 struct str query, struct str region, const char *date, struct str payload);

/* Views of a member; "" or 0 when it is not there. */
const char *json_text(const json_t *o, const char *name);
long long json_count(const json_t *o, const char *name);

/* A table on standard output, columns as wide as they must be. */
struct table {
    char ***rows;
    size_t n, columns;
};
void table_row(struct table *t, size_t columns, ...); /* const char *; copied */
void table_print(struct table *t, FILE *f);           /* and forgets it */
/* "3m", "2h", "5d" since that ISO time; "" for "". In the buffer. */
const char *age_text(const char *iso, char out[32]);

/* --- commands: each returns an exit code */
int command_target(struct client *c);
int command_dead_letter(struct client *c);
int command_backfill(struct client *c);
int command_import(struct client *c);
int client_fail(const struct err *e); /* prints; EXIT_FAILED */
int client_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
