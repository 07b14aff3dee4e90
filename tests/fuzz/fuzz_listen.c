/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the query of a listener, its place to come back to, and the record with any key. */
#include "base/json.h"
#include "event/listen.h"
#include "fuzz.h"

/* The key's raw form stands where the escaped one did, and all else is as before. */
static void record(struct str key)
{
    struct event_source src = {.user_agent = key, .access_key = key};
    struct event_info ev = {.name = EVENT_CREATED_PUT, .bucket = STR("b"), .key = key, .content_length = -1};
    struct buf escaped, raw, want;
    size_t seq_at, raw_at;
    buf_init(&escaped, 1 << 22);
    buf_init(&raw, 1 << 22);
    buf_init(&want, 1 << 22);
    event_record_write(&escaped, &src, &ev, &seq_at);
    raw_at = seq_at;
    listen_record(&raw, buf_view(&escaped), key, &raw_at);
    buf_puts(&want, "\"object\":{\"key\":\"");
    json_escape(&want, key);
    buf_puts(&want, "\",\"sequencer\":\"");
    CHECK(!escaped.failed && !raw.failed && raw_at >= want.len);
    CHECK(str_eq(str_n(raw.p + raw_at - want.len, want.len), buf_view(&want)));
    CHECK(str_eq(str_from(buf_view(&raw), raw_at), str_from(buf_view(&escaped), seq_at)));
    buf_release(&escaped);
    buf_release(&raw);
    buf_release(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), value;
    struct headers q;
    struct arena a;
    struct listen_filter f;
    struct listen_position p;
    const char *message = NULL;
    arena_init(&a);
    if (query_parse(&a, in, 128, &q)) {
        if (listen_filter_parse(&q, &a, &f, &message))
            CHECK(f.mask && f.mask >> EVENT_COUNT == 0 && f.pattern.n > 0);
        else
            CHECK(message);
        if (query_get(&q, STR("resume"), &value) && listen_position_parse(value, &p)) {
            struct buf b;
            struct listen_position again;
            buf_init(&b, 64);
            listen_position_write(&b, &p);
            CHECK(listen_position_parse(buf_view(&b), &again) && again.seq == p.seq &&
                  again.count == p.count);
            buf_release(&b);
        }
    }
    record(in);
    arena_release(&a);
    return 0;
}
