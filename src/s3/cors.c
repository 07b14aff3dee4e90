/* SPDX-License-Identifier: Apache-2.0
 *
 * CORS: the origin is echoed rather than answered by '*', because credentials are allowed. */
#include "s3/cors.h"

#define HEADERS_MAX (64u << 10)
#define ORIGIN_MAX  1024 /* of a longer one nobody is */
/* As MinIO's: what scripts read most by name, for '*' stands for all the rest only without credentials. */
#define EXPOSED \
    "Date, Etag, Server, Connection, Accept-Ranges, Content-Range, Content-Encoding, Content-Length, " \
    "Content-Type, Content-Disposition, Last-Modified, Content-Language, Cache-Control, Retry-After, " \
    "X-Amz-Bucket-Region, Expires, X-Amz*, X-Amz*, *"

bool cors_allowed(struct str list, struct str origin)
{
    struct str pattern;
    while (list.p && str_cut(&list, ',', &pattern)) {
        pattern = str_trim(pattern);
        if (pattern.n && origin.n && rules_wildcard(pattern, origin))
            return true;
    }
    return false;
}

/* A value that goes back as it came: only what an origin, a method or a list of header names is made of. */
static bool echoes(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < ' ' || s.p[i] > '~')
            return false;
    return s.n > 0;
}

static void line(struct buf *out, const char *name, struct str value)
{
    buf_puts(out, name);
    buf_puts(out, ": ");
    buf_str(out, value);
    buf_puts(out, "\r\n");
}

void cors_headers(struct str list, const struct headers *request, struct buf *out)
{
    struct str origin;
    if (!header_get(request, STR("origin"), &origin) || origin.n > ORIGIN_MAX || !echoes(origin) ||
        !cors_allowed(list, origin))
        return;
    line(out, "Access-Control-Allow-Origin", origin);
    line(out, "Access-Control-Allow-Credentials", STR("true"));
    line(out, "Access-Control-Expose-Headers", STR(EXPOSED));
}

static bool method_allowed(struct str method)
{
    static const char *const methods[] = {"GET", "PUT", "HEAD", "POST", "DELETE", "OPTIONS", "PATCH"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (str_eq_c(method, methods[i]))
            return true;
    return false;
}

void cors_preflight(struct s3_req *r)
{
    const struct headers *request = &r->http->headers;
    struct str method = s3_header(r, "access-control-request-method");
    if (!method.n) {
        s3_reply(r, 200, str_n(NULL, 0), str_n(NULL, 0));
        return;
    }
    /* The common lines name the origin already, when it is allowed. */
    struct buf h;
    struct str names = s3_header(r, "access-control-request-headers");
    buf_init(&h, HEADERS_MAX);
    line(&h, "Vary", STR("Access-Control-Request-Method, Access-Control-Request-Headers"));
    if (cors_allowed(r->s3->cors_origins, header_value(request, STR("origin"))) && method_allowed(method)) {
        line(&h, "Access-Control-Allow-Methods", method);
        if (echoes(names))
            line(&h, "Access-Control-Allow-Headers", names);
    }
    s3_reply(r, 204, buf_view(&h), str_n(NULL, 0));
    buf_release(&h);
}
