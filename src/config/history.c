/* SPDX-License-Identifier: Apache-2.0
 *
 * The rows of the history. */
#include "config/history.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"

#define VERSION 1
#define PREFIX  "kh"
#define END     STR("ki")

static void row_key(struct buf *b, uint64_t seq)
{
    buf_init(b, 16);
    buf_puts(b, PREFIX);
    buf_be64(b, seq);
}

/* version, time, id, text */
static bool decode(struct str row, struct history_entry *out, struct str *text)
{
    struct str version, id;
    uint64_t time;
    if (!take_bytes(&row, 1, &version) || version.p[0] != VERSION || !take_be64(&row, &time) ||
        !take_bytes(&row, HISTORY_ID_LEN, &id))
        return false;
    out->time_ns = (int64_t)time;
    memcpy(out->id, id.p, id.n);
    *text = row;
    return true;
}

bool history_load(struct kv *kv, struct history *h, struct err *e)
{
    struct kv_scan *scan = kv_scan_open(kv, KV_META, STR(PREFIX), END);
    struct str key, value, text;
    bool ok = true;
    h->n = 0;
    while (ok && h->n < CONFIG_HISTORY_MAX && kv_scan_next(scan, &key, &value)) {
        struct history_entry *entry = &h->v[h->n++];
        struct str number = str_from(key, strlen(PREFIX));
        ok = (take_be64(&number, &entry->seq) && number.n == 0 && decode(value, entry, &text)) ||
             err_set(e, "a row of the history of settings is malformed");
    }
    ok = ok && !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}

struct history_entry history_new_entry(void)
{
    struct history_entry entry = {.time_ns = clock_real_ns()};
    unsigned char r[16];
    char hex[32];
    hash_random(r, sizeof(r));
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40); /* RFC 9562 version 4 */
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    hex_lower(r, sizeof(r), hex);
    for (size_t i = 0, at = 0; i < sizeof(hex); i++) {
        if (at == 8 || at == 13 || at == 18 || at == 23)
            entry.id[at++] = '-';
        entry.id[at++] = hex[i];
    }
    return entry;
}

const struct history_entry *history_find(const struct history *h, struct str id)
{
    for (size_t i = 0; i < h->n; i++)
        if (str_eq(id, str_n(h->v[i].id, HISTORY_ID_LEN)))
            return &h->v[i];
    return NULL;
}

void history_remove(struct history *h, uint64_t seq)
{
    size_t kept = 0;
    for (size_t i = 0; i < h->n; i++)
        if (h->v[i].seq != seq)
            h->v[kept++] = h->v[i];
    h->n = kept;
}

void history_txn_put(struct kv_txn *t, struct history_entry *entry, struct str text)
{
    struct buf key, value;
    entry->seq = kv_txn_sequence(t);
    row_key(&key, entry->seq);
    buf_init(&value, CONFIG_TEXT_MAX + 64);
    buf_char(&value, VERSION);
    buf_be64(&value, (uint64_t)entry->time_ns);
    buf_put(&value, entry->id, HISTORY_ID_LEN);
    buf_str(&value, text);
    BUG_ON(value.failed);
    kv_txn_put(t, KV_META, buf_view(&key), buf_view(&value));
    buf_release(&key);
    buf_release(&value);
}

void history_txn_del(struct kv_txn *t, uint64_t seq)
{
    struct buf key;
    row_key(&key, seq);
    kv_txn_del(t, KV_META, buf_view(&key));
    buf_release(&key);
}

char *history_text(struct kv *kv, uint64_t seq, struct err *e)
{
    struct buf key;
    struct kv_value v = {0};
    struct history_entry entry;
    struct str text;
    char *out = NULL;
    row_key(&key, seq);
    enum kv_result r = kv_get(kv, KV_META, buf_view(&key), 0, &v, e);
    if (r == KV_FOUND && decode(v.data, &entry, &text))
        out = str_dupz(text);
    else if (r == KV_FOUND || r == KV_MISSING)
        (void)err_set(e, "a row of the history of settings is missing or malformed");
    if (r == KV_FOUND)
        kv_value_release(&v);
    buf_release(&key);
    return out;
}
