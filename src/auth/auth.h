/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is asking, and may they? AWS Signature Version 4 in header and query form (AWS: "Signature Calculations for the
 * Authorization Header", "Authenticating Requests: Using Query Parameters"), Version 2 likewise ("Signing and
 * Authenticating REST Requests"), and both over the policy of a form ("Browser-Based Uploads Using POST"). Pure but for a
 * cache of signing keys, which is thread-safe. */
#ifndef BELFRY_AUTH_AUTH_H
#define BELFRY_AUTH_AUTH_H

#include "base/buf.h"
#include "base/header.h"

/* Each has one row in the s3 part's error table. */
enum auth_result {
    AUTH_OK,
    AUTH_ACCESS_DENIED,    /* AccessDenied */
    AUTH_EXPIRED,          /* AccessDenied, "Request has expired" */
    AUTH_NOT_YET_VALID,    /* AccessDenied, "Request is not valid yet" */
    AUTH_NO_DATE,          /* AccessDenied, no valid Date or x-amz-date */
    AUTH_UNSIGNED_HEADERS, /* AccessDenied, headers present in the request which were not signed */
    AUTH_UNKNOWN_KEY,      /* InvalidAccessKeyId */
    AUTH_BAD_SIGNATURE,    /* SignatureDoesNotMatch */
    AUTH_SKEWED,           /* RequestTimeTooSkewed */
    AUTH_MALFORMED_HEADER, /* AuthorizationHeaderMalformed */
    AUTH_WRONG_REGION,     /* AuthorizationHeaderMalformed, "expecting '<region>'" and <Region> */
    AUTH_MALFORMED_QUERY,  /* AuthorizationQueryParametersError */
    AUTH_MALFORMED_V2,     /* InvalidArgument: "AWS " and not a key, a colon and a signature */
    AUTH_V2_QUERY,         /* AccessDenied: AWSAccessKeyId, Expires or Signature missing or malformed */
    AUTH_MALFORMED_FORM,   /* InvalidArgument: a form's credential, date or algorithm missing or malformed */
    AUTH_TWO_MECHANISMS,   /* InvalidRequest */
    AUTH_UNSUPPORTED,      /* InvalidRequest: signature type not supported */
    AUTH_BAD_TOKEN,        /* InvalidTokenId */
    AUTH_BAD_CONTENT_SHA256, /* InvalidArgument: x-amz-content-sha256 is none of the known forms */
    AUTH_NO_DECODED_LENGTH,  /* MissingContentLength: STREAMING- without x-amz-decoded-content-length */
    AUTH_NOT_IMPLEMENTED,    /* NotImplemented: a STREAMING- value that is not built */
};

struct auth_config {
    struct str access_key, secret_key;
    struct str region; /* "": any region of the client is accepted */
};

/* A request as it was received. All views. */
struct auth_request {
    struct str method;
    struct str path;  /* raw, undecoded, as signed (with virtual-host addressing: without the bucket) */
    struct str query; /* raw, without '?' */
    const struct headers *headers;
    /* The bucket, when the host names it (virtual-host addressing) and so the path does not: SigV2 signs it. */
    struct str host_bucket;
    int64_t now_ns;
    /* ListBuckets, GetBucketLocation and the admin interface take any region, also an empty one */
    bool region_free;
    bool has_body;      /* a body follows (Content-Length > 0 or chunked) */
    bool query_as_sent; /* auth's own: values of a repeated name stay in the order of the query */
};

struct auth_identity {
    bool anonymous;
    struct str access_key; /* "" when anonymous; a view of the request or the configuration */
    bool presigned_v2;     /* by a URL that signs only some names of its query: see auth_v2_signs */
};

enum auth_payload_mode {
    PAYLOAD_UNSIGNED,                 /* UNSIGNED-PAYLOAD, or no signature at all */
    PAYLOAD_SIGNED,                   /* sha256 holds what the body's hash must be */
    PAYLOAD_STREAMING_SIGNED,         /* STREAMING-AWS4-HMAC-SHA256-PAYLOAD */
    PAYLOAD_STREAMING_SIGNED_TRAILER, /* ...-TRAILER: the same, then trailers with a signature of their own */
    PAYLOAD_STREAMING_UNSIGNED_TRAILER,
};
/* What the body must be; copied values, no views but `scope` and `trailer_names`. */
struct auth_payload {
    enum auth_payload_mode mode;
    uint8_t sha256[32];
    uint64_t decoded_length; /* STREAMING- forms */
    char date[16];           /* 20130524T000000Z, for chunk signatures */
    char seed[64];           /* signature of the head, lower-case hex */
    uint8_t signing_key[32];
    struct str scope;         /* 20130524/us-east-1/s3/aws4_request */
    struct str trailer_names; /* value of x-amz-trailer; empty when there is none */
};

struct auth; /* configuration and cache of signing keys */
struct auth *auth_new(const struct auth_config *c);
void auth_free(struct auth *a);

/* Verifies. Any thread. scratch: memory of the request (canonical forms). An absent or empty Authorization and no query
 * signature is AUTH_OK with an anonymous identity: allowed() decides. */
enum auth_result auth_verify(struct auth *a, const struct auth_request *r, struct arena *scratch,
                             struct auth_identity *id, struct auth_payload *payload);

/* Is there an Authorization header or a signature in the query, good or not? */
bool auth_is_claimed(const struct auth_request *r);

/* The fields of a form that say who made its policy; p == NULL: not there. */
struct auth_form {
    struct str policy;                             /* base64, as it was sent: this is what is signed */
    struct str algorithm, credential, date, token; /* x-amz-... */
    struct str signature;                          /* x-amz-signature */
    struct str v2_access_key, v2_signature;        /* AWSAccessKeyId, signature */
};
/* Verifies a form's policy; its conditions and its expiration are not looked at. Any thread. */
enum auth_result auth_verify_form(struct auth *a, const struct auth_form *f, struct auth_identity *id);

/* Does SigV2 sign this name of a query? */
bool auth_v2_signs(struct str name);

/* The secret key of an identity that auth_verify gave: admin/ encrypts with it. "" for anonymous. Valid as long as a. */
struct str auth_root(const struct auth *a); /* access key of the root user */
struct str auth_secret(const struct auth *a, const struct auth_identity *id);

/* The one place that says what an identity may do. Root only in this release: anonymous is refused. action: "s3:PutObject";
 * resource: "bucket/key"; conditions: NULL. */
bool allowed(const struct auth_identity *id, struct str action, struct str resource,
             const struct headers *conditions);

/* --- pieces, each with a table of cases ---------------------------------------------------------------------------- */

bool auth_canon_path(struct buf *out, struct str raw_path);
/* raw_query without X-Amz-Signature, sorted. */
bool auth_canon_query(struct buf *out, struct str raw_query, struct arena *scratch);
void auth_signing_key(struct str secret, struct str day, struct str region, struct str service,
                      uint8_t out[32]);

#endif
