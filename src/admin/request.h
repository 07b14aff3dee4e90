/* SPDX-License-Identifier: Apache-2.0
 *
 * One request that is answered below /minio/ with more than a status, and the helpers that its handlers share. Internal to
 * admin/.
 *
 * A request of the administration interface: route and signature on the I/O thread; body collected and compared with the
 * hash that was signed; then, on a worker, decrypted where the call asks for it, run, and its reply encrypted; sent. */
#ifndef BELFRY_ADMIN_REQUEST_H
#define BELFRY_ADMIN_REQUEST_H

#include "admin/admin.h"
#include "admin/error.h"

#define ADMIN_REPLY_MAX (64u << 20)

struct admin_req;
enum admin_route_flags {
    SEALED_BODY = 1,  /* encrypted: run sees it as plain text */
    SEALED_REPLY = 2, /* to be encrypted */
    IN_TURN = 4,      /* waits for other changes of the settings: one at a time, not a worker each */
};
struct admin_route {
    const char *method, *name; /* "info": behind /minio/admin/v3/ */
    const char *query;         /* "action=restart": must be in the query; NULL: nothing */
    const char *action;        /* "admin:ServerInfo", for allowed() */
    unsigned flags;
    void (*run)(struct admin_req *r); /* on a worker */
};

struct admin_req {
    struct admin *admin;
    struct http_req *http;
    const struct admin_route *route;
    struct headers query;
    struct auth_identity id;
    struct auth_payload payload;
    struct buf body, out; /* of the request; of the reply */
    const char *type;     /* of the reply */
    const char *extra;    /* header lines of the reply */
    enum admin_error error;
    const char *message; /* instead of the table's; in the request's arena */
    struct lane_job job;
    void (*run)(struct admin_req *r); /* on a worker */
    enum service_action service;      /* once the reply is out */
};

/* A fresh one, known to http_req.app. */
struct admin_req *admin_req_new(struct admin *a, struct http_req *h);
/* run(r) on a worker, then the reply out of r->out or r->error. lane: NULL for any worker. */
void admin_run(struct admin_req *r, struct lane *lane, void (*run)(struct admin_req *r));
/* The target that the query names, as target=ID:TYPE. False: the error of the reply is set. */
struct asked_target {
    struct str id, type, text;
    uint32_t number;
    bool enabled;
};
bool admin_target(struct admin_req *r, struct asked_target *out);
/* A number in the query from 1 to `most`; `most` when it is not there. False: the error of the reply is set. */
bool admin_number(struct admin_req *r, const char *name, uint64_t most, uint64_t *out);
/* The reply is an error about the query, in these words. */
void admin_set_argument(struct admin_req *r, const struct err *e);
/* The value of a query parameter; "" when it is not there. */
struct str admin_query(const struct admin_req *r, const char *name);
/* Sets what the reply will be an error of. Any thread. text may be NULL: the table's. */
void admin_set_error(struct admin_req *r, enum admin_error e, const char *text);

/* Replies with the error object of this interface. */
void admin_fail(struct admin *a, struct http_req *h, enum admin_error e, const char *text);
void admin_fail_s3(struct admin *a, struct http_req *h, enum s3_error e);

/* --- the handlers of the three kinds of paths; each replies, then or later */
void api_head(struct admin *a, struct http_req *h);     /* api.c: /minio/admin/ */
void metrics_head(struct admin *a, struct http_req *h); /* metrics.c */

/* --- calls, one row each in api.c */
void call_info(struct admin_req *r);       /* info.c */
void call_config_get(struct admin_req *r); /* settings.c */
void call_config_set(struct admin_req *r);
void call_config_del(struct admin_req *r);
void call_config_help(struct admin_req *r);
void call_config_export(struct admin_req *r);
void call_config_import(struct admin_req *r);
void call_history_list(struct admin_req *r);
void call_history_clear(struct admin_req *r);
void call_history_restore(struct admin_req *r);
void call_restart(struct admin_req *r); /* service.c */
void call_stop(struct admin_req *r);
void call_targets(struct admin_req *r); /* target_calls.c; docs/admin.md describes these, which are ours */
void call_target_pause(struct admin_req *r);
void call_target_resume(struct admin_req *r);
void call_target_test(struct admin_req *r);
void call_dead_letters(struct admin_req *r); /* dead_letters.c */
void call_dead_letter(struct admin_req *r);
void call_dead_letters_drop(struct admin_req *r);
void call_dead_letters_replay(struct admin_req *r);
void call_backfill(struct admin_req *r); /* backfill.c */
void call_no_freeze(struct admin_req *r);

#endif
