/* SPDX-License-Identifier: Apache-2.0
 *
 * The Elasticsearch target: an index that mirrors the objects (format namespace), or one that takes in what happened (format
 * access). Elasticsearch 7 and 8, OpenSearch, and what else answers _bulk. Here its settings and the parts of it that are
 * pure. Formats: notifications.md 2.6 to 2.8; the protocol: Elasticsearch's "Bulk API".
 *
 * Every document has an id and, in namespace, a version of ours (the sequencer of the event; version_type external_gte): so
 * a request that Elasticsearch carries out late, after it was given up here and sent again, neither writes a second document
 * nor an old state over a newer one. It then answers 409 to that item, which means: already there. */
#ifndef BELFRY_TARGET_ELASTIC_H
#define BELFRY_TARGET_ELASTIC_H

#include "target/target.h"

enum elastic_format { ELASTIC_NAMESPACE, ELASTIC_ACCESS };

struct elastic_conf {
    struct target_common common;
    int format; /* enum elastic_format */
    char *url, *index, *username, *password, *api_key, *client_cert, *client_key;
};

extern const struct target_type target_elasticsearch;

#define ELASTIC_MAX_BATCH 1024
#define ELASTIC_EVENT_MAX (1u << 20)
#define ELASTIC_ID        44         /* characters of an id */
#define ELASTIC_REPLY_MAX (4u << 20) /* of one reply */

/* --- settings: elastic_rules.c */
/* Is it a URL that paths can be put behind (http or https, without query)? False and err, which does not show it. */
bool elastic_check_url(struct str url, struct err *e);
/* May an index be called that (Elasticsearch's "Create index API", path parameters)? False and err. */
bool elastic_check_index(struct str index, struct err *e);
/* Appends "URL/index" and then `path`; the index percent-encoded. */
void elastic_url(struct buf *out, struct str url, struct str index, const char *path);
/* Appends the value of Authorization for an API key: as Elasticsearch gives it ("encoded"), or its id and secret with a colon
 * between. */
void elastic_api_key(struct buf *out, struct str key);

/* --- what is sent: elastic_rules.c */
/* The id of an event's document, with a NUL. namespace: of bucket and key; access: of the event. */
void elastic_id(const struct event_ref *ev, enum elastic_format format, char out[ELASTIC_ID + 1]);
/* Appends an event to the body of a _bulk: one line, and for a document another. */
void elastic_item(struct buf *out, const struct event_ref *ev, enum elastic_format format, const char *id);
/* The mapping of an index that we make. */
extern const char elastic_mapping[];

/* --- what is answered: elastic_reply.c */
/* Who answers, for messages. */
struct elastic_names {
    const char *shown; /* the URL without its secrets */
    const char *id;    /* of the target, for the name of a variable */
    const char *index;
};
/* An item of a _bulk, and what became of it. */
struct elastic_sent {
    unsigned event; /* whose it is: its place */
    const char *op; /* "index", "create", "delete" */
    char id[ELASTIC_ID + 1];
    enum send_result result;
    char why[SEND_WHY]; /* when it is not OK */
    bool no_index;      /* because the index is not there */
};
/* Judges the body of a reply with status 200: fills result, why and no_index of all n items. What is not an answer to these
 * very items makes them RETRY. */
void elastic_judge(const struct elastic_names *names, struct str body, struct elastic_sent *sent, size_t n);
/* Why a request as a whole was not carried out. Every such answer is about the endpoint: RETRY. */
void elastic_refused(const struct elastic_names *names, long status, struct str body, char *why,
                     size_t why_n);
/* Is the answer to the making of an index that it is there already? */
bool elastic_exists(struct str body);

#endif
