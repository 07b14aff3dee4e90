/* SPDX-License-Identifier: Apache-2.0
 *
 * Sub-resources of which nothing is stored: what a server answers when they were never configured. Clients ask for them
 * unasked (mc stat, s3cmd info, Terraform). Only reading and removing is here: nothing that would have to be kept is ever
 * accepted. The one exception is the ACL, whose only possible value may be written, because it changes nothing. */
#include "base/log.h"
#include "base/xml.h"
#include "s3/documents.h"
#include "s3/ops.h"
#include "s3/owner.h"

#define XMLNS " xmlns=\"" XML_S3_NS "\""
#define ACL \
    "<AccessControlPolicy" XMLNS ">" S3_OWNER "<AccessControlList><Grant>" \
    "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\">" \
    "<ID>" S3_OWNER_ID "</ID><DisplayName>" S3_OWNER_NAME "</DisplayName></Grantee>" \
    "<Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"

/* By the operation's name. Neither error nor body: 204, for what is not there is removed. */
static const struct canned {
    const char *op;
    enum s3_error error;
    const char *body;
} table[] = {
    {"DeleteBucketCors", S3E_NONE, NULL},
    {"DeleteBucketEncryption", S3E_NONE, NULL},
    {"DeleteBucketLifecycle", S3E_NONE, NULL},
    {"DeleteBucketOwnershipControls", S3E_NONE, NULL},
    {"DeleteBucketPolicy", S3E_NONE, NULL},
    {"DeleteBucketReplication", S3E_NONE, NULL},
    {"DeleteBucketTagging", S3E_NONE, NULL},
    {"DeleteBucketWebsite", S3E_NONE, NULL},
    {"DeletePublicAccessBlock", S3E_NONE, NULL},
    {"GetBucketAccelerate", S3E_NONE, "<AccelerateConfiguration" XMLNS "/>"},
    {"GetBucketAcl", S3E_NONE, ACL},
    {"GetBucketCors", S3E_NO_SUCH_CORS, NULL},
    {"GetBucketEncryption", S3E_NO_SUCH_ENCRYPTION, NULL},
    {"GetBucketLifecycle", S3E_NO_SUCH_LIFECYCLE, NULL},
    {"GetBucketLogging", S3E_NONE, "<BucketLoggingStatus" XMLNS "/>"},
    {"GetBucketOwnershipControls", S3E_NO_SUCH_OWNERSHIP_CONTROLS, NULL},
    {"GetBucketPolicy", S3E_NO_SUCH_BUCKET_POLICY, NULL},
    {"GetBucketPolicyStatus", S3E_NONE, "<PolicyStatus" XMLNS "><IsPublic>false</IsPublic></PolicyStatus>"},
    {"GetBucketReplication", S3E_NO_SUCH_REPLICATION, NULL},
    {"GetBucketRequestPayment", S3E_NONE,
     "<RequestPaymentConfiguration" XMLNS "><Payer>BucketOwner</Payer></RequestPaymentConfiguration>"},
    {"GetBucketTagging", S3E_NO_SUCH_TAG_SET, NULL},
    {"GetBucketVersioning", S3E_NONE, "<VersioningConfiguration" XMLNS "/>"},
    {"GetBucketWebsite", S3E_NO_SUCH_WEBSITE, NULL},
    {"GetObjectAcl", S3E_NONE, ACL},
    {"GetObjectLegalHold", S3E_NO_OBJECT_LOCK, NULL},
    {"GetObjectLockConfiguration", S3E_NO_SUCH_OBJECT_LOCK, NULL},
    {"GetObjectRetention", S3E_NO_OBJECT_LOCK, NULL},
    {"GetPublicAccessBlock", S3E_NO_SUCH_PUBLIC_ACCESS_BLOCK, NULL},
    {"PutObjectLegalHold", S3E_NO_OBJECT_LOCK, NULL},
    {"PutObjectRetention", S3E_NO_OBJECT_LOCK, NULL},
};

struct canned_state {
    void (*then)(struct s3_req *r);
    enum store_result res;
    struct err why;
};

static void canned_reply(struct s3_req *r)
{
    const struct canned *c = NULL;
    for (size_t i = 0; i < sizeof table / sizeof table[0] && !c; i++)
        if (strcmp(table[i].op, r->op->name) == 0)
            c = &table[i];
    BUG_ON(!c);
    if (c->error != S3E_NONE)
        s3_fail(r, c->error);
    else if (!c->body)
        s3_reply(r, 204, str_n(NULL, 0), str_n(NULL, 0));
    else
        s3_reply_xml(r, 200, str_n(NULL, 0),
                     arena_printf(r->arena, "%s%s", XML_PROLOG, c->body)); /* texts of the table: short */
}

/* --- the bucket and the object must exist ---------------------------------------------------------------------------- */

static void look(struct s3_req *r, bool cached_only)
{
    struct canned_state *s = r->op_state;
    struct object o;
    s->res = store_object_get(r->s3->store, r->bucket, r->key, cached_only, r->arena, &o, &s->why);
}

static void look_job(struct s3_req *r)
{
    look(r, false);
}

static void looked(struct s3_req *r)
{
    struct canned_state *s = r->op_state;
    if (s->res == STORE_DAMAGED)
        log_error("s3", "%s %.*s/%.*s: %s", r->op->name, STR_FMT(r->bucket_name), STR_FMT(r->key),
                  s->why.text);
    if (s->res == STORE_OK)
        s->then(r);
    else
        s3_fail(r, s3_store_error(s->res));
}

static void need_all(struct s3_req *r, void (*then)(struct s3_req *r))
{
    if (!s3_need_bucket(r))
        return;
    if (r->scope == SCOPE_BUCKET) {
        then(r);
        return;
    }
    struct canned_state *s = ARENA_NEW(r->arena, struct canned_state);
    s->then = then;
    r->op_state = s;
    look(r, true);
    if (s->res == STORE_WOULD_BLOCK)
        s3_work(r, look_job, looked);
    else
        looked(r);
}

void op_canned(struct s3_req *r)
{
    need_all(r, canned_reply);
}

/* --- PutBucketAcl, PutObjectAcl -------------------------------------------------------------------------------------- */

/* Is it the ACL that everything has? */
static enum s3_error check_acl(struct s3_req *r)
{
    struct str body = str_trim(buf_view(&r->xml));
    if (s3_header(r, "x-amz-acl").n) /* values other than the owner's alone were refused before */
        return body.n ? S3E_UNEXPECTED_CONTENT : S3E_NONE;
    if (!body.n)
        return S3E_MISSING_SECURITY_HEADER;
    return acl_from_xml(r->arena, body);
}

static void put_acl_reply(struct s3_req *r)
{
    enum s3_error e = check_acl(r);
    if (e != S3E_NONE)
        s3_fail(r, e);
    else
        s3_reply(r, 200, str_n(NULL, 0), str_n(NULL, 0));
}

void op_put_acl(struct s3_req *r)
{
    need_all(r, put_acl_reply);
}
