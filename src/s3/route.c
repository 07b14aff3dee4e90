/* SPDX-License-Identifier: Apache-2.0
 *
 * Routing: path to names, names and query to an operation. */
#include "s3/route.h"

#include "base/encode.h"

#define KEY_MAX 1024

/* bucket.<domain>[:port]: the bucket's part of the host, or an empty str. */
struct str route_host_bucket(struct str host, struct str domains)
{
    ptrdiff_t colon = host.n && host.p[host.n - 1] != ']' ? str_chr(host, ':') : -1;
    struct str name = colon >= 0 ? str_head(host, (size_t)colon) : host;
    struct str domain;
    while (domains.n && str_cut(&domains, ',', &domain)) {
        domain = str_trim(domain);
        if (!domain.n || name.n <= domain.n + 1)
            continue;
        struct str tail = str_from(name, name.n - domain.n);
        if (str_ieq(tail, domain) && name.p[name.n - domain.n - 1] == '.')
            return str_head(name, name.n - domain.n - 1);
    }
    return str_n(NULL, 0);
}

enum s3_error route_path(struct arena *a, struct str raw_path, struct str host, struct str domains,
                         enum s3_scope *scope, struct str *bucket, struct str *key)
{
    *bucket = *key = str_n(NULL, 0);
    struct str path;
    if (!raw_path.n || raw_path.p[0] != '/' || !pct_decode_arena(a, str_from(raw_path, 1), false, &path))
        return S3E_MALFORMED_REQUEST;
    struct str virtual = domains.n ? route_host_bucket(host, domains) : str_n(NULL, 0);
    if (virtual.n) {
        *bucket = virtual;
        *key = path;
    } else {
        ptrdiff_t slash = str_chr(path, '/');
        *bucket = slash < 0 ? path : str_head(path, (size_t)slash);
        *key = slash < 0 ? str_n(NULL, 0) : str_from(path, (size_t)slash + 1);
        /* "//" alone is the root, as "/" is. */
        if (!bucket->n && !key->n) {
            *scope = SCOPE_ROOT;
            return S3E_NONE;
        }
    }
    *scope = key->n ? SCOPE_OBJECT : SCOPE_BUCKET;
    return S3E_NONE;
}

static bool has_query(const struct headers *query, const char *names)
{
    struct str rest = str_c(names), name, value;
    while (rest.p && str_cut(&rest, '&', &name))
        if (!query_get(query, name, &value))
            return false;
    return true;
}

static bool has_header(const struct headers *headers, const char *rule)
{
    struct str r = str_c(rule), value;
    ptrdiff_t eq = str_chr(r, '=');
    struct str name = eq < 0 ? r : str_head(r, (size_t)eq);
    if (!header_get(headers, name, &value))
        return false;
    return eq < 0 || str_istarts(value, str_from(r, (size_t)eq + 1));
}

/* Names in a query that make another operation of a request: of S3, of its later versions, and of MinIO. */
static bool is_sub_resource(struct str name)
{
    static const char *const names[] = {
        "accelerate",
        "acl",
        "analytics",
        "attributes",
        "cors",
        "delete",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "lambdaArn",
        "legal-hold",
        "lifecycle",
        "location",
        "logging",
        "metadataConfiguration",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "renameObject",
        "replication",
        "replication-check",
        "replication-metrics",
        "replication-reset",
        "replication-reset-status",
        "requestPayment",
        "restore",
        "retention",
        "select",
        "session",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versioning",
        "versions",
        "website",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (str_eq_c(name, names[i]))
            return true;
    return false;
}

bool route_strays(const struct s3_op *op, struct str method, const struct headers *query)
{
    if (op->query || !op->run)
        return false;
    bool reads = str_eq(method, STR("GET")) || str_eq(method, STR("HEAD"));
    for (size_t i = 0; i < query->n; i++)
        if (is_sub_resource(query->v[i].name) || (!reads && str_eq(query->v[i].name, STR("partNumber"))))
            return true;
    return false;
}

const struct s3_op *route_op(struct str method, enum s3_scope scope, const struct headers *query,
                             const struct headers *headers)
{
    for (size_t i = 0; i < s3_ops_n; i++) {
        const struct s3_op *op = &s3_ops[i];
        if (op->scope != scope || (op->method && !str_eq_c(method, op->method)))
            continue;
        if ((op->query && !has_query(query, op->query)) || (op->header && !has_header(headers, op->header)))
            continue;
        return op;
    }
    return NULL;
}

static bool looks_like_ipv4(struct str name)
{
    struct str part;
    unsigned parts = 0;
    while (name.p && str_cut(&name, '.', &part)) {
        uint64_t v;
        if (part.n > 3 || !str_to_u64(part, &v) || v > 255)
            return false;
        parts++;
    }
    return parts == 4;
}

bool bucket_name_valid(struct str name)
{
    if (name.n < 3 || name.n > 63 || str_eq(name, STR("minio")) || str_eq(name, STR(".minio.sys")))
        return false;
    char before = '.'; /* a name may begin and end where a label may: not with '.' or '-' */
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && c != '.' && c != '-')
            return false;
        if ((c == '.' && (before == '.' || before == '-')) || (c == '-' && before == '.'))
            return false;
        before = c;
    }
    return before != '.' && before != '-' && !looks_like_ipv4(name);
}

bool has_dot_segment(struct str path)
{
    struct str part;
    while (path.p && str_cut(&path, '/', &part))
        if (str_eq(part, STR(".")) || str_eq(part, STR("..")))
            return true;
    return false;
}

enum s3_error key_check(struct str key)
{
    if (key.n > KEY_MAX)
        return S3E_KEY_TOO_LONG;
    if (!key.n || memchr(key.p, 0, key.n) || !str_utf8_valid(key))
        return S3E_INVALID_OBJECT_NAME;
    return has_dot_segment(key) ? S3E_INVALID_RESOURCE_NAME : S3E_NONE;
}

bool version_id_valid(struct str id)
{
    if (id.n != 36)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool hex = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
        if (i == 8 || i == 13 || i == 18 || i == 23 ? c != '-' : !hex)
            return false;
    }
    return true;
}

enum s3_error copy_source_parse(struct arena *a, struct str raw, struct str *bucket, struct str *key)
{
    struct str path;
    ptrdiff_t q = str_chr(raw, '?');
    if (q >= 0) {
        struct str version = str_from(raw, (size_t)q + 1);
        if (!str_eq(version, STR("versionId=null")) && !str_eq(version, STR("versionId=")))
            return str_starts(version, STR("versionId=")) ? S3E_NO_SUCH_VERSION : S3E_INVALID_COPY_SOURCE;
        raw = str_head(raw, (size_t)q);
    }
    if (!pct_decode_arena(a, raw, false, &path))
        return S3E_INVALID_COPY_SOURCE;
    if (path.n && path.p[0] == '/')
        path = str_from(path, 1);
    ptrdiff_t slash = str_chr(path, '/');
    if (slash <= 0 || (size_t)slash + 1 == path.n)
        return S3E_INVALID_COPY_SOURCE;
    *bucket = str_head(path, (size_t)slash);
    *key = str_from(path, (size_t)slash + 1);
    return key_check(*key) == S3E_NONE ? S3E_NONE : S3E_INVALID_COPY_SOURCE;
}
