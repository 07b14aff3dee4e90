/* SPDX-License-Identifier: Apache-2.0
 *
 * DeleteObjects: up to 1,000 keys. The reply is rendered before the commits, because the records carry its length; with
 * conditions only the commits know what it says, and the records leave the length out. */
#include "s3/deletes.h"
#include "base/crash.h"
#include "base/xml.h"
#include "s3/ops.h"

#define REPLY_MAX (16u << 20)

struct deletes {
    struct delete_run run;
    bool quiet, conditions;
    struct buf xml;
};

static void deletes_free(struct s3_req *r)
{
    buf_release(&((struct deletes *)r->op_state)->xml);
}

static void render(struct deletes *d)
{
    struct buf *b = &d->xml;
    buf_puts(b, XML_PROLOG "<DeleteResult xmlns=\"" XML_S3_NS "\">");
    for (size_t i = 0; i < d->run.n; i++) {
        const struct delete_entry *e = &d->run.entries[i];
        if (e->error == S3E_NONE) {
            if (!d->quiet) {
                buf_puts(b, "<Deleted>");
                xml_elem(b, "Key", e->key);
                buf_puts(b, "</Deleted>");
            }
            continue;
        }
        buf_puts(b, "<Error>");
        xml_elem(b, "Code", str_c(s3_error_row(e->error)->code));
        xml_elem(b, "Message", str_c(s3_error_row(e->error)->message));
        xml_elem(b, "Key", e->key);
        buf_puts(b, "</Error>");
    }
    buf_puts(b, "</DeleteResult>");
}

static void deletes_done(struct s3_req *r, enum s3_error e)
{
    struct deletes *d = r->op_state;
    if (e != S3E_NONE) {
        s3_fail(r, e);
        return;
    }
    if (d->conditions)
        render(d);
    crash_point(CRASH_BEFORE_REPLY);
    s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&d->xml));
    crash_point(CRASH_AFTER_REPLY);
}

/* Something that the body was checked against; x-amz-checksum-algorithm and the like are only talk of it. */
static bool has_integrity_header(const struct s3_req *r)
{
    struct str names = r->payload.trailer_names, name;
    bool found = s3_header(r, "content-md5").p != NULL;
    for (size_t i = 0; i < r->http->headers.n; i++)
        found = found || checksum_of_header(r->http->headers.v[i].name) != CHECKSUM_NONE;
    while (names.n && str_cut(&names, ',', &name))
        found = found || checksum_of_header(str_trim(name)) != CHECKSUM_NONE;
    return found;
}

void op_delete_objects(struct s3_req *r)
{
    if (!has_integrity_header(r)) {
        s3_fail(r, S3E_MISSING_CONTENT_MD5);
        return;
    }
    if (!s3_need_bucket(r))
        return;
    struct deletes *d = ARENA_NEW(r->arena, struct deletes);
    if (!deletes_parse(r->arena, buf_view(&r->xml), &d->run.entries, &d->run.n, &d->quiet)) {
        s3_fail(r, S3E_MALFORMED_XML);
        return;
    }
    buf_init(&d->xml, REPLY_MAX);
    r->op_state = d;
    r->op_free = deletes_free;
    d->run.done = deletes_done;
    d->run.content_length = -1;
    for (size_t i = 0; i < d->run.n; i++)
        d->conditions |= delete_condition_any(&d->run.entries[i].condition);
    if (!d->conditions) {
        render(d);
        d->run.content_length = (int64_t)d->xml.len;
    }
    deletes_run(r, &d->run);
}
