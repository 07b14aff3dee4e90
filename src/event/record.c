/* SPDX-License-Identifier: Apache-2.0
 *
 * The record of an event as JSON, in one pass: the order of fields and what is left out are the format. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/err.h"
#include "base/json.h"
#include "event/event.h"

#define LIT(b, text) buf_put((b), (text), sizeof(text) - 1)

/* Stored metadata that is the server's own business, or has a field of its own elsewhere. */
static bool meta_shown(const struct header *h)
{
    static const char *const hidden[] = {"md5Sum", "etag", "expires", "x-amz-tagging", "last-modified"};
    if (h->name.n >= 2 && (h->name.p[0] | 0x20) == 'x') {
        if (str_istarts(h->name, STR("x-minio-internal-")) ||
            str_istarts(h->name, STR("x-amz-server-side-encryption-customer-")))
            return false;
        if (str_ieq(h->name, STR("x-amz-storage-class")))
            return !str_eq(h->value, STR("STANDARD"));
    }
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        if (str_ieq(h->name, str_c(hidden[i])))
            return false;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp((*(const struct header *const *)a)->name, (*(const struct header *const *)b)->name);
}

static void write_meta(struct buf *b, const struct headers *meta)
{
    const struct header *few[64], **shown = few;
    if (meta->n > 64)
        shown = x_malloc(meta->n * sizeof(*shown));
    size_t n = 0;
    bool sorted = true;
    for (size_t i = 0; i < meta->n; i++) {
        if (!meta_shown(&meta->v[i]))
            continue;
        shown[n++] = &meta->v[i];
        if (n > 1 && by_name(&shown[n - 2], &shown[n - 1]) > 0)
            sorted = false;
    }
    if (!sorted)
        qsort(shown, n, sizeof(*shown), by_name);
    for (size_t i = 0; i < n; i++) {
        if (i == 0)
            LIT(b, ",\"userMetadata\":{");
        else
            buf_char(b, ',');
        json_quote(b, shown[i]->name);
        buf_char(b, ':');
        json_quote(b, shown[i]->value);
    }
    if (n > 0)
        buf_char(b, '}');
    if (shown != few)
        free(shown);
}

static void write_request(struct buf *b, const struct event_source *src, const struct event_info *ev)
{
    LIT(b, ",\"requestParameters\":{\"principalId\":");
    json_quote(b, src->access_key);
    if (src->range.p) {
        LIT(b, ",\"range\":");
        json_quote(b, src->range);
    }
    LIT(b, ",\"region\":");
    json_quote(b, src->region);
    LIT(b, ",\"sourceIPAddress\":");
    json_quote(b, src->source_ip);
    LIT(b, "},\"responseElements\":{");
    if (ev->content_length >= 0) {
        LIT(b, "\"content-length\":\"");
        buf_i64(b, ev->content_length);
        LIT(b, "\",");
    }
    LIT(b, "\"x-amz-id-2\":");
    json_quote(b, src->host_id);
    LIT(b, ",\"x-amz-request-id\":");
    json_quote(b, src->request_id);
    LIT(b, ",\"x-minio-deployment-id\":");
    json_quote(b, src->deployment_id);
    LIT(b, ",\"x-minio-origin-endpoint\":");
    json_quote(b, src->origin);
}

/* Size, ETag, type and metadata of the object, which removals do not carry. */
static void write_content(struct buf *b, const struct event_info *ev)
{
    if (ev->size > 0) {
        LIT(b, ",\"size\":");
        buf_u64(b, ev->size);
    }
    if (ev->etag.n > 0) {
        LIT(b, ",\"eTag\":");
        json_quote(b, ev->etag);
    }
    if (!ev->meta)
        return;
    struct str type = header_value(ev->meta, STR("content-type"));
    if (type.n > 0) {
        LIT(b, ",\"contentType\":");
        json_quote(b, type);
    }
    write_meta(b, ev->meta);
}

static bool is_removal(enum event_name n)
{
    return n == EVENT_REMOVED_DELETE || n == EVENT_REMOVED_MARKER || n == EVENT_REMOVED_NOOP;
}

void event_record_write(struct buf *b, const struct event_source *src, const struct event_info *ev,
                        size_t *seq_at)
{
    char time[CLOCK_ISO_MS_LEN], seq[16];
    clock_iso_ms(ev->time_ns, time);
    LIT(b, "{\"eventVersion\":\"2.0\",\"eventSource\":\"minio:s3\",\"awsRegion\":");
    json_quote(b, src->region);
    LIT(b, ",\"eventTime\":\"");
    buf_put(b, time, sizeof(time));
    LIT(b, "\",\"eventName\":\"");
    buf_str(b, ev->label.n ? ev->label : event_name_text(ev->name));
    LIT(b, "\",\"userIdentity\":{\"principalId\":");
    json_quote(b, src->access_key);
    buf_char(b, '}');
    write_request(b, src, ev);
    LIT(b, "},\"s3\":{\"s3SchemaVersion\":\"1.0\",\"configurationId\":\"Config\",\"bucket\":{\"name\":");
    json_quote(b, ev->bucket);
    LIT(b, ",\"ownerIdentity\":{\"principalId\":");
    json_quote(b, src->access_key);
    LIT(b, "},\"arn\":\"arn:aws:s3:::");
    json_escape(b, ev->bucket);
    LIT(b, "\"},\"object\":{\"key\":\"");
    pct_encode(b, ev->key, PCT_FORM);
    buf_char(b, '"');
    if (!is_removal(ev->name))
        write_content(b, ev);
    if (ev->version_id.n > 0) {
        LIT(b, ",\"versionId\":");
        json_quote(b, ev->version_id);
    }
    LIT(b, ",\"sequencer\":\"");
    *seq_at = b->len;
    hex_u64(ev->sequencer, seq);
    buf_put(b, seq, sizeof(seq));
    LIT(b, "\"}},\"source\":{\"host\":");
    json_quote(b, src->source_ip);
    LIT(b, ",\"port\":\"\",\"userAgent\":");
    json_quote(b, src->user_agent);
    LIT(b, "}}");
}

void event_record_stamp(char *record, size_t seq_at, uint64_t sequencer)
{
    hex_u64(sequencer, record + seq_at);
}
