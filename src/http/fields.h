/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fields of a head say together: target form, Host, framing of the body, connection options. */
#ifndef BELFRY_HTTP_FIELDS_H
#define BELFRY_HTTP_FIELDS_H

#include "http/http.h"

/* From r->method, r->target and r->headers, sets the other fields of r. False: *why. `minor` is the digit after
 * "HTTP/1.". Pure. */
bool http_fields_check(struct http_req *r, unsigned minor, enum http_problem *why);
/* llhttp refused the head: the problem to name. It is a bad request unless the fields seen so far ask for a transfer
 * coding that is only not built. */
enum http_problem http_fields_refusal(const struct http_req *r);

#endif
