/* SPDX-License-Identifier: Apache-2.0
 *
 * One S3 request on its way, and the helpers that operations share. Internal to s3/. All on the request's I/O thread
 * unless said otherwise. */
#ifndef BELFRY_S3_REQUEST_H
#define BELFRY_S3_REQUEST_H

#include "s3/s3.h"

enum s3_scope { SCOPE_ROOT, SCOPE_BUCKET, SCOPE_OBJECT };
enum s3_body {
    BODY_NONE,   /* a body, if there is one, must be empty or is ignored after its hash was checked */
    BODY_XML,    /* collected (at most S3_XML_MAX), then run */
    BODY_OBJECT, /* the operation takes it itself */
    BODY_FORM,   /* a form: the operation takes it itself, and who asks stands in it */
};
#define S3_XML_MAX (2u << 20)

struct s3_req;
/* One operation: the first row that matches is it (s3-api.md 0.4). */
struct s3_op {
    const char *name; /* "PutObject" */
    enum s3_scope scope;
    const char *method; /* NULL: any */
    const char *query;  /* names that must be in the query, "a&b"; NULL: none */
    const char *header; /* header that must be present, "name" or "name=beginning of its value"; NULL: none */
    const char *action; /* "s3:PutObject" */
    enum s3_body body;
    void (*run)(struct s3_req *r); /* NULL: known but not built: 501 */
};
extern const struct s3_op s3_ops[];
extern const size_t s3_ops_n;

struct s3_req {
    struct s3 *s3;
    struct http_req *http;
    struct arena *arena; /* of the request */
    const struct s3_op *op;
    enum s3_scope scope;
    struct str bucket_name, key; /* decoded */
    struct str sign_path;        /* raw path as the client signed it */
    struct headers query;
    struct auth_identity id;
    struct auth_payload payload;
    char request_id[16];
    struct bucket *bucket; /* reference, given back at the end */
    struct buf xml;        /* BODY_XML: the body */
    struct upload *upload; /* released at the end: a client may go while its request waits for the budget */
    struct budget_wait wait;
    struct budget *budget_of; /* where `budget` bytes were taken */
    size_t budget, read_budget;
    struct kv_commit commit;
    struct task job;
    void (*job_run)(struct s3_req *r);  /* on a worker */
    void (*job_done)(struct s3_req *r); /* back on the loop */
    void *op_state;                     /* the operation's own, in the arena */
    void *commit_state;                 /* of put_commit */
    void (*op_free)(struct s3_req *r);  /* last call before the request goes; may be NULL */
    enum s3_error error;                /* what a closure or job found */
    const char *message;                /* overrides the error's text; NULL: the table's */
    struct event_out
        *read_event; /* to be queued once the reply was sent, of the object with this sequencer */
    uint64_t read_seq;
    uint64_t listen_generation; /* of listeners, when events were matched first; 0: not yet */
    int64_t range_size;         /* InvalidRange: the object's size, for the error document */
};

/* --- reply.c -------------------------------------------------------------------------------------------------------- */

/* The error as XML (or headers for HEAD), with the table's or r->message's text. Later replies are ignored by http. */
void s3_fail(struct s3_req *r, enum s3_error e);
void s3_fail_msg(struct s3_req *r, enum s3_error e, const char *message);
/* With extra reply header lines. */
void s3_fail_headers(struct s3_req *r, enum s3_error e, struct str extra);
/* Common headers plus `extra` lines, and the body. */
void s3_reply(struct s3_req *r, int status, struct str extra, struct str body);
/* application/xml: the body should begin with XML_PROLOG. */
void s3_reply_xml(struct s3_req *r, int status, struct str extra, struct str body);
/* Common header lines into b (maximum set by the caller). */
void s3_headers(struct s3_req *r, struct buf *b);
/* The address of the request's object, as the client addresses its bucket. */
void s3_location(const struct s3_req *r, struct buf *b);
/* What a store result means to a client. */
enum s3_error s3_store_error(enum store_result res);

/* --- request.c ------------------------------------------------------------------------------------------------------ */

/* run on a worker, then done on the loop. One at a time per request. The request is held meanwhile. */
void s3_work(struct s3_req *r, void (*run)(struct s3_req *r), void (*done)(struct s3_req *r));
/* Would reading that key's row in a closure make the committer wait for the disk? Then s3_warm reads it on a worker before. */
bool s3_is_cold(const struct s3_req *r, struct str key);
void s3_warm(const struct s3_req *r, struct str key);
/* Commits fn(txn, r); done(r, outcome) on the loop. The request is held meanwhile. bytes: see kv_commit. */
void s3_commit(struct s3_req *r, bool (*fn)(struct kv_txn *t, void *r),
               void (*done)(void *r, enum kv_outcome o), size_t bytes, unsigned flags);
/* Takes bytes from a budget, once per request; go(r) is called now or when the turn comes, also when the client is gone by
 * then, so that it can give up. Given back at the end of the request. */
void s3_take_budget(struct s3_req *r, struct budget *b, size_t bytes, void (*go)(struct s3_req *r));
/* Looks the bucket up (r->bucket); on failure replies NoSuchBucket and returns false. */
bool s3_need_bucket(struct s3_req *r);
/* Fresh reference after a closure ended with STORE_AGAIN; false (and a reply) when it is gone. */
bool s3_renew_bucket(struct s3_req *r);
struct str s3_header(const struct s3_req *r, const char *name); /* p == NULL: absent */
/* Headers (or fields of a form) that ask for what is not built: S3E_NOT_IMPLEMENTED, never silently ignored. */
enum s3_error s3_check_unbuilt(const struct headers *h);
bool s3_query(const struct s3_req *r, const char *name, struct str *value);

#endif
