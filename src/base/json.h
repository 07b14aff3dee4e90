/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON strings as Go's encoder writes them with HTML escaping on (notifications.md 2.5): the form that receivers of
 * MinIO's events have always seen. Reading JSON is jansson's. */
#ifndef BELFRY_BASE_JSON_H
#define BELFRY_BASE_JSON_H

#include "base/buf.h"

/* (Not json_string: that is a function of jansson, which the program also links.)
 * Appends "s" with its quotes. Escaped: " and \\; \b \f \n \r \t; other bytes < 0x20 as \u00xx; < > & as \u003c
 * \u003e \u0026; U+2028 and U+2029; a byte that is not part of valid UTF-8 as \ufffd. Everything else as it is. */
void json_quote(struct buf *b, struct str s);
/* The same without the quotes, for pieces. */
void json_escape(struct buf *b, struct str s);

#endif
