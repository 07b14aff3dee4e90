/* SPDX-License-Identifier: Apache-2.0
 *
 * multipart/form-data (RFC 7578, RFC 2046 5.1.1) as a browser sends an upload: fields, then one file. A pure decoder that
 * takes any split of the input; fields are kept, the file is handed on as it comes, and what follows it means nothing.
 * Internal to s3/. */
#ifndef BELFRY_S3_FORM_H
#define BELFRY_S3_FORM_H

#include "base/buf.h"
#include "base/header.h"

#define FORM_FIELD_MAX  (1u << 20) /* bytes of one field's value */
#define FORM_FIELDS_MAX (2u << 20) /* of all names, values and heads together */
#define FORM_PARTS_MAX  1000

enum form_result {
    FORM_MORE,      /* everything taken, more is needed */
    FORM_DONE,      /* the file is complete; the rest is ignored */
    FORM_MALFORMED, /* not such a form; a field twice; no file at its end; beyond FORM_PARTS_MAX */
    FORM_TOO_LARGE, /* beyond FORM_FIELD_MAX or FORM_FIELDS_MAX */
    FORM_STOPPED,   /* the taker said so */
};
struct form_taker {
    /* The file begins: all fields that count are known. False: stop. */
    bool (*file)(void *ctx);
    /* A piece of the file; a view of the input or of the boundary. */
    void (*data)(void *ctx, struct str piece);
    void *ctx;
};

struct form; /* in the arena, like all that it gives out */
/* boundary: of the Content-Type. */
struct form *form_new(struct arena *a, struct str boundary);
/* Frees what is not in the arena; may be called again, NULL is fine. */
void form_release(struct form *f);
/* Results other than MORE stick. A form that ends without FORM_DONE was cut. */
enum form_result form_feed(struct form *f, struct str in, const struct form_taker *taker);
/* The fields before the file, names in lower case, each once. */
const struct headers *form_fields(const struct form *f);
/* The file's name without folders of either kind; may be empty. */
struct str form_filename(const struct form *f);

/* The boundary of "multipart/form-data; boundary=..." (quoted or not, 1 to 70 bytes); false when there is none. */
bool form_boundary(struct str content_type, struct str *boundary);
/* A parameter of a header value such as "form-data; name=\"a;b\"": unescaped, in the arena. False: absent or malformed. */
bool form_parameter(struct arena *a, struct str value, struct str name, struct str *out);

#endif
