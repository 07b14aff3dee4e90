/* SPDX-License-Identifier: Apache-2.0
 *
 * What elasticsearch decides by looking at bytes alone: settings, ids, the lines that are sent. */
#include "base/encode.h"
#include "target/elastic.h"
#include "target/highway.h"

/* --- settings ----------------------------------------------------------------------------------------------------- */

bool elastic_check_url(struct str url, struct err *e)
{
    if (!config_is_url(url))
        return err_set(e, "url must be http://host:port or https://host:port");
    if (str_chr(url, '?') >= 0 || str_chr(url, '#') >= 0)
        return err_set(e, "url must end with the host, or a path: what follows ? or # cannot be kept");
    return true;
}

bool elastic_check_index(struct str index, struct err *e)
{
    if (index.n == 0 || index.n > 255 || !str_utf8_valid(index))
        return err_set(e, "index must be a name of 1 to 255 bytes");
    if (memchr("-_+", index.p[0], 3) || str_eq(index, STR(".")) || str_eq(index, STR("..")))
        return err_set(e, "index cannot begin with -, _ or +, nor be . or ..");
    for (size_t i = 0; i < index.n; i++) {
        unsigned char c = (unsigned char)index.p[i];
        if (c >= 'A' && c <= 'Z')
            return err_set(e, "index must be in lower case");
        if (c <= ' ' || c == 0x7f || memchr("\\/*?\"<>|,#:", c, 11))
            return err_set(e, "index cannot hold blanks or any of \\ / * ? \" < > | , # :");
    }
    return true;
}

void elastic_url(struct buf *out, struct str url, struct str index, const char *path)
{
    while (url.n > 0 && url.p[url.n - 1] == '/')
        url.n--;
    buf_str(out, url);
    buf_char(out, '/');
    pct_encode(out, index, PCT_QUERY);
    buf_puts(out, path);
}

void elastic_api_key(struct buf *out, struct str key)
{
    buf_puts(out, "ApiKey ");
    if (str_chr(key, ':') >= 0)
        base64_encode(out, key);
    else
        buf_str(out, key);
}

/* --- what is sent ------------------------------------------------------------------------------------------------- */

/* Text that is taken for a date by the first document would refuse every later one (Elasticsearch guesses types by what it
 * sees first, and the name of an object may look like a date); a field for every name of users' metadata would end at the
 * most fields an index may have. */
const char elastic_mapping[] =
    "{\"mappings\":{\"date_detection\":false,\"properties\":{\"Records\":{\"properties\":{"
    "\"eventTime\":{\"type\":\"date\"},"
    "\"s3\":{\"properties\":{\"object\":{\"properties\":{"
    "\"userMetadata\":{\"type\":\"object\",\"enabled\":false}}}}}}}}}}";

/* The key of notifications.md 2.8, which is also that of MinIO's ids. */
static const unsigned char id_key[HIGHWAY_BYTES] = {
    0x4b, 0xe7, 0x34, 0xfa, 0x8e, 0x23, 0x8a, 0xcd, 0x26, 0x3e, 0x83, 0xe6, 0xbb, 0x96, 0x85, 0x52,
    0x04, 0x0f, 0x93, 0x5d, 0xa3, 0x9f, 0x44, 0x14, 0x97, 0xe0, 0x9d, 0x13, 0x22, 0xde, 0x36, 0xa0};

void elastic_id(const struct event_ref *ev, enum elastic_format format, char out[ELASTIC_ID + 1])
{
    unsigned char hash[HIGHWAY_BYTES];
    struct buf b;
    buf_init(&b, ev->bucket.n + ev->key.n + ev->record.n + 64);
    if (format == ELASTIC_NAMESPACE) {
        buf_str(&b, ev->bucket);
        buf_char(&b, '/');
        buf_str(&b, ev->key);
    } else { /* the number alone is no name for ever: a new store may begin at an earlier one */
        buf_be64(&b, ev->sequencer);
        buf_str(&b, ev->record);
    }
    highway_256(id_key, buf_view(&b), hash);
    buf_reset(&b);
    base64_encode(&b, str_n(hash, sizeof(hash)));
    for (size_t i = 0; i < ELASTIC_ID; i++)
        out[i] = (char)(b.p[i] == '+' ? '-' : b.p[i] == '/' ? '_' : b.p[i]);
    out[ELASTIC_ID] = 0;
    buf_release(&b);
}

/* A record as one line: where it has line breaks (one that was not written by us), they are mere layout. */
static void put_record(struct buf *out, struct str record)
{
    size_t at = out->len;
    buf_str(out, record);
    for (char *p = out->p + at, *end = out->p + out->len; p < end; p++)
        if (*p == '\n' || *p == '\r')
            *p = ' ';
}

void elastic_item(struct buf *out, const struct event_ref *ev, enum elastic_format format, const char *id)
{
    const char *op = format == ELASTIC_ACCESS ? "create" : ev->removed ? "delete" : "index";
    buf_printf(out, "{\"%s\":{\"_id\":\"%s\"", op, id);
    if (format == ELASTIC_NAMESPACE && ev->sequencer <= INT64_MAX)
        buf_printf(out, ",\"version\":%llu,\"version_type\":\"external_gte\"",
                   (unsigned long long)ev->sequencer);
    buf_puts(out, "}}\n");
    if (format == ELASTIC_NAMESPACE && ev->removed)
        return;
    buf_puts(out, "{\"Records\":[");
    put_record(out, ev->record);
    buf_puts(out, "]}\n");
}
