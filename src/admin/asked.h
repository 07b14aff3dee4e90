/* SPDX-License-Identifier: Apache-2.0
 *
 * What a call of our own asks for: its query, as decoded pairs. Pure. False and err: the words of the error. */
#ifndef BELFRY_ADMIN_ASKED_H
#define BELFRY_ADMIN_ASKED_H

#include "base/header.h"
#include "event/dead_letter.h"

/* The value of a parameter; "" when it is not there. */
struct str asked_text(const struct headers *q, const char *name);
/* ID:TYPE; views into the text. */
bool asked_target_name(struct str text, struct str *id, struct str *type, struct err *e);
/* A number from 1 to `most`; `most` when it is not there. */
bool asked_number(const struct headers *q, const char *name, uint64_t most, uint64_t *out, struct err *e);

/* Dead letters. */
struct asked_letters {
    struct dead_filter filter; /* views into the query */
    uint64_t only;             /* 0: all that match */
    uint64_t after;            /* only those with higher numbers */
    size_t max;
    bool as_is;
};
#define ASKED_LETTERS_MAX 1000 /* of one call */
bool asked_letters(const struct headers *q, struct asked_letters *out, struct err *e);

#endif
