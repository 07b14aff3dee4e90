/* SPDX-License-Identifier: Apache-2.0
 *
 * PostObject: a browser's form becomes an object. The form's policy says what its maker allows; who made it is known only
 * once the fields were read, so everything is decided between them and the first byte of the file, which then goes the way of
 * every other body. */
#include "base/clock.h"
#include "base/crash.h"
#include "base/encode.h"
#include "base/xml.h"
#include "s3/body.h"
#include "s3/meta.h"
#include "s3/ops.h"
#include "s3/policy_form.h"
#include "s3/put.h"
#include "s3/route.h"
#include "s3/tags.h"

/* The bounds that a head has (request.c), for the fields that are kept with the object. */
#define KEPT_MAX (8u << 10)
#define META_MAX (2u << 10)
#define KEY_SHOWN \
    (16u << 10) /* of a key that is refused, in the error document: as much as a path may have */
#define REPLY_MAX (32u << 10) /* a key or a redirect of the form, escaped */

struct post {
    struct body body;
    struct put_commit commit;
    struct headers fields; /* as the form has them, `key` with the file's name in it */
    struct str redirect;
    int status;
};

/* --- fields ---------------------------------------------------------------------------------------------------------- */

static struct str field(const struct post *p, const char *name)
{
    return header_value(&p->fields, str_c(name));
}

/* Every ${filename} by the file's name. */
static struct str with_filename(struct s3_req *r, struct str text, struct str filename)
{
    const struct str variable = STR("${filename}");
    struct buf b;
    buf_init(&b, FORM_FIELDS_MAX);
    for (ptrdiff_t at; (at = str_find(text, variable)) >= 0; text = str_from(text, (size_t)at + variable.n)) {
        buf_str(&b, str_head(text, (size_t)at));
        buf_str(&b, filename);
    }
    buf_str(&b, text);
    struct str out = b.failed ? str_n(NULL, 0) : arena_dup(r->arena, buf_view(&b));
    buf_release(&b);
    return out;
}

/* A copy of the fields, with the key that is meant. */
static enum s3_error take_fields(struct s3_req *r, struct post *p)
{
    const struct headers *from = form_fields(p->body.upload.form);
    p->fields.v = ARENA_ARRAY(r->arena, struct header, from->n + 1);
    for (size_t i = 0; i < from->n; i++) {
        struct header *h = &p->fields.v[p->fields.n++];
        *h = from->v[i];
        if (!str_eq(h->name, STR("key")))
            continue;
        h->value = with_filename(r, h->value, form_filename(p->body.upload.form));
        r->key = h->value;
    }
    return r->key.n ? S3E_NONE : S3E_POST_NO_KEY;
}

/* Who made the policy, and may they put this object? The identity stays out of the request's event: its records name only
 * who signed the request itself (notifications.md 1.2). */
static enum s3_error authenticate(struct s3_req *r, const struct post *p)
{
    struct auth_form f = {.policy = field(p, "policy"),
                          .algorithm = field(p, "x-amz-algorithm"),
                          .credential = field(p, "x-amz-credential"),
                          .date = field(p, "x-amz-date"),
                          .token = field(p, "x-amz-security-token"),
                          .signature = field(p, "x-amz-signature"),
                          .v2_access_key = field(p, "awsaccesskeyid"),
                          .v2_signature = field(p, "signature")};
    struct auth_identity id;
    enum auth_result res = auth_verify_form(r->s3->auth, &f, &id);
    if (res != AUTH_OK)
        return s3_auth_error(res);
    if (f.policy.p && id.anonymous)
        return S3E_MALFORMED_FORM;
    if (!f.policy.p && !id.anonymous)
        return S3E_POST_NO_POLICY;
    struct str resource = arena_printf(r->arena, "%.*s/%.*s", STR_FMT(r->bucket_name), STR_FMT(r->key));
    return allowed(&id, str_c(r->op->action), resource, NULL) ? S3E_NONE : S3E_ACCESS_DENIED;
}

static enum s3_error check_unbuilt(const struct post *p)
{
    struct str acl = field(p, "acl");
    if (acl.n && !str_eq(acl, STR("private")) && !str_eq(acl, STR("bucket-owner-full-control")))
        return S3E_NOT_IMPLEMENTED;
    return s3_check_unbuilt(&p->fields);
}

static enum s3_error take_meta(struct s3_req *r, struct post *p)
{
    struct object *o = p->commit.object;
    enum s3_error e = meta_from_headers(r, &p->fields, o);
    size_t all = 0, user = 0;
    for (size_t i = 0; i < o->meta.n; i++) {
        size_t n = o->meta.v[i].name.n + o->meta.v[i].value.n;
        all += n;
        if (str_starts(o->meta.v[i].name, STR("X-Amz-Meta-")))
            user += n;
    }
    if (e == S3E_NONE && (all > KEPT_MAX || user > META_MAX))
        e = S3E_METADATA_TOO_LARGE;
    struct str tags = field(p, "tagging");
    return e == S3E_NONE && tags.n ? tags_from_xml(r->arena, tags, &o->tags) : e;
}

/* An address that may stand in a Location header; any other is as if it were not there. */
static bool is_address(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] == 0x7f)
            return false;
    return s.n <= 4096 && (str_istarts(s, STR("http://")) || str_istarts(s, STR("https://")));
}

static void take_success(struct post *p)
{
    struct str status = field(p, "success_action_status"), to = field(p, "success_action_redirect");
    if (!to.p)
        to = field(p, "redirect"); /* its older name */
    p->status = str_eq(status, STR("200")) ? 200 : str_eq(status, STR("201")) ? 201 : 204;
    if (is_address(to))
        p->redirect = to;
}

/* All fields are here, the file comes next. On a worker or on the I/O thread. */
static enum s3_error post_file(struct s3_req *r)
{
    struct post *p = r->op_state;
    struct upload *u = &p->body.upload;
    struct policy_limits limits;
    enum s3_error e = take_fields(r, p);
    if (e == S3E_NONE)
        e = authenticate(r, p);
    if (e == S3E_NONE)
        e = policy_form_check(r->arena, field(p, "policy"), &p->fields, r->bucket_name, clock_real_ns(),
                              &limits, &r->message);
    if (e == S3E_NONE)
        e = key_check(r->key);
    if (e == S3E_NONE)
        e = check_unbuilt(p);
    if (e == S3E_NONE)
        e = take_meta(r, p);
    if (e == S3E_NONE)
        e = upload_form_digests(u, &p->fields);
    if (e != S3E_NONE) {
        if (r->key.n > KEY_SHOWN)
            r->key = str_n(NULL, 0);
        return e;
    }
    take_success(p);
    u->size_min = limits.min;
    if (limits.max < u->size)
        u->size = limits.max;
    return S3E_NONE;
}

/* --- the reply ------------------------------------------------------------------------------------------------------- */

static void put_redirect(struct s3_req *r, const struct post *p, struct str etag, struct buf *b)
{
    buf_str(b, p->redirect);
    buf_char(b, str_chr(p->redirect, '?') >= 0 ? '&' : '?');
    buf_puts(b, "bucket=");
    pct_encode(b, r->bucket_name, PCT_QUERY);
    buf_puts(b, "&key=");
    pct_encode(b, r->key, PCT_QUERY);
    buf_printf(b, "&etag=%%22%.*s%%22", STR_FMT(etag));
}

static void put_document(struct s3_req *r, struct str location, struct str etag, struct buf *b)
{
    buf_puts(b, XML_PROLOG "<PostResponse>");
    xml_elem(b, "Location", location);
    xml_elem(b, "Bucket", r->bucket_name);
    xml_elem(b, "Key", r->key);
    buf_printf(b, "<ETag>&#34;%.*s&#34;</ETag></PostResponse>", STR_FMT(etag));
}

static void post_reply(struct s3_req *r, const struct post *p)
{
    char text[ETAG_MAX];
    struct str etag = str_n(text, object_etag(p->commit.object, text));
    struct buf location, headers, document;
    buf_init(&location, REPLY_MAX);
    buf_init(&headers, REPLY_MAX);
    buf_init(&document, REPLY_MAX);
    if (p->redirect.n)
        put_redirect(r, p, etag, &location);
    else
        s3_location(r, &location);
    buf_printf(&headers, "ETag: \"%.*s\"\r\nLocation: %.*s\r\n", STR_FMT(etag), STR_FMT(buf_view(&location)));
    checksum_header(&headers, p->commit.object);
    if (p->redirect.n) {
        s3_reply(r, 303, buf_view(&headers), str_n(NULL, 0));
    } else if (p->status == 201) {
        put_document(r, buf_view(&location), etag, &document);
        s3_reply_xml(r, 201, buf_view(&headers), buf_view(&document));
    } else {
        s3_reply(r, p->status, buf_view(&headers), str_n(NULL, 0));
    }
    buf_release(&location);
    buf_release(&headers);
    buf_release(&document);
}

/* --- the way --------------------------------------------------------------------------------------------------------- */

static void post_done(struct s3_req *r, bool ok)
{
    struct post *p = r->op_state;
    if (ok) {
        p->body.stage = NULL;
        crash_point(CRASH_BEFORE_REPLY);
        post_reply(r, p);
        crash_point(CRASH_AFTER_REPLY);
    }
    body_finish(r, &p->body);
}

static void post_ready(struct s3_req *r)
{
    struct post *p = r->op_state;
    const struct upload *u = &p->body.upload;
    struct object *o = p->commit.object;
    o->size = u->size;
    o->mtime_ns = clock_real_ns();
    memcpy(o->md5, u->md5_value, MD5_LEN);
    upload_keep_checksum(u, o);
    p->commit.stage = p->body.stage;
    p->commit.done = post_done;
    put_commit(r, &p->commit);
}

void op_post_object(struct s3_req *r)
{
    struct str boundary;
    if (!s3_need_bucket(r))
        return;
    struct post *p = ARENA_NEW(r->arena, struct post);
    r->op_state = p;
    p->commit.object = ARENA_NEW(r->arena, struct object);
    p->commit.event_name = EVENT_CREATED_POST;
    p->commit.content_length = -1;
    enum s3_error e = form_boundary(s3_header(r, "content-type"), &boundary)
                          ? body_init_form(r, &p->body, boundary, post_file)
                          : S3E_MALFORMED_POST;
    if (e != S3E_NONE) {
        s3_fail(r, e);
        body_finish(r, &p->body);
        return;
    }
    body_read(r, &p->body, post_ready);
}

/* The key of a form stands in the form. */
void op_post_to_key(struct s3_req *r)
{
    s3_fail(r, S3E_METHOD_NOT_ALLOWED);
}
