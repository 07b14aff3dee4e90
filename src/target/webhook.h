/* SPDX-License-Identifier: Apache-2.0
 *
 * The webhook target: one HTTP POST per event, or per batch of them. Here the parts of it that are pure. */
#ifndef BELFRY_TARGET_WEBHOOK_H
#define BELFRY_TARGET_WEBHOOK_H

#include "target/payload.h"

struct webhook_conf {
    struct target_common common;
    char *endpoint, *auth_token, *client_cert, *client_key;
    char *signature_secret;    /* "": bodies are not signed */
    int payload, key_encoding; /* enum payload, enum key_encoding */
    bool batch;                /* several records in a POST */
};

extern const struct target_type target_webhook;

/* The value of Authorization for an auth_token: one word is a bearer token, two words are the value itself; otherwise none
 * (false). */
bool webhook_authorization(struct str token, struct buf *out);
/* What an HTTP status says about the event, with the reason in words for the operator. `shown` is the endpoint without its
 * secrets, `location` of a redirect ("" : none), `id` the target's, for the name of a variable. */
enum send_result webhook_outcome(long status, const char *shown, struct str location, const char *id,
                                 char *why, size_t why_n);

#endif
