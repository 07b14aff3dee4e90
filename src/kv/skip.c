/* SPDX-License-Identifier: Apache-2.0
 *
 * Past damaged rows: which keys a damaged block has is not known, so the place behind it is searched for. */
#include "kv/rescue.h"

#include <stdlib.h>

#define HALVINGS 256 /* the place is then known to the last bit that matters */

struct search {
    struct kv *kv;
    enum kv_space space;
    struct str end;
};

/* Can rows be read from here on? True too when there are none. */
static bool reads(const struct search *s, struct str from)
{
    struct str key, value;
    struct kv_scan *scan = kv_scan_open(s->kv, s->space, from, s->end);
    bool ok = kv_scan_next(scan, &key, &value) || !kv_scan_failed(scan, NULL);
    kv_scan_close(scan);
    return ok;
}

static bool in_front(const struct search *s, struct str key)
{
    return s->end.n == 0 || str_cmp(key, s->end) < 0;
}

/* Keys further and further behind `from`: its last byte raised by 1, 2, 4, ..., then the one before that. The first that reads
 * goes to *good, the one tried before it to *bad. */
static bool leap(const struct search *s, struct str from, struct buf *bad, struct buf *good)
{
    buf_str(bad, from);
    for (size_t len = from.n + 1; len > 0; len--) {
        unsigned last = len > from.n ? 0 : (unsigned char)from.p[len - 1];
        for (unsigned step = 1; last + step <= 0xff; step *= 2) {
            buf_reset(good);
            buf_str(good, str_head(from, len - 1));
            buf_char(good, (char)(last + step));
            if (!in_front(s, buf_view(good)))
                return false;
            if (reads(s, buf_view(good)))
                return true;
            buf_reset(bad);
            buf_str(bad, buf_view(good));
        }
    }
    return false;
}

static unsigned byte_at(struct str s, size_t i)
{
    return i < s.n ? (unsigned char)s.p[i] : 0;
}

/* The key half-way between two, as if they were numbers behind a point. */
static void halve(struct str a, struct str b, struct buf *out)
{
    size_t n = (a.n > b.n ? a.n : b.n) + 1;
    unsigned char *sum = x_malloc(n);
    unsigned carry = 0;
    for (size_t i = n; i-- > 0;) {
        carry += byte_at(a, i) + byte_at(b, i);
        sum[i] = (unsigned char)carry;
        carry >>= 8;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned value = carry << 8 | sum[i];
        sum[i] = (unsigned char)(value >> 1);
        carry = value & 1;
    }
    while (n > 0 && sum[n - 1] == 0)
        n--;
    buf_reset(out);
    buf_put(out, sum, n);
    free(sum);
}

bool kv_scan_skip(struct kv *kv, enum kv_space space, struct str behind, struct str end, struct buf *next)
{
    struct search s = {kv, space, end};
    struct buf bad, mid;
    buf_init(&bad, 2 * behind.n + 1024);
    buf_init(&mid, 2 * behind.n + 1024);
    buf_reset(next);
    bool ok = leap(&s, behind, &bad, next);
    for (int i = 0; ok && i < HALVINGS; i++) {
        halve(buf_view(&bad), buf_view(next), &mid);
        if (str_cmp(buf_view(&mid), buf_view(&bad)) <= 0 || str_cmp(buf_view(&mid), buf_view(next)) >= 0 ||
            mid.len > behind.n + 64)
            break;
        struct buf *side = reads(&s, buf_view(&mid)) ? next : &bad;
        buf_reset(side);
        buf_str(side, buf_view(&mid));
    }
    buf_release(&bad);
    buf_release(&mid);
    return ok;
}
