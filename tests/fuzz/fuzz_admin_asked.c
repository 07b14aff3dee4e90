/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the query of a call about dead letters, and behind a NUL the row of one: what is asked for is within bounds, and
 * what matches is what was asked for. */
#include "admin/asked.h"
#include "admin/truth.h"
#include "base/encode.h"
#include "fuzz.h"

static void match(const struct dead_filter *f, struct str row)
{
    struct outbox_row r;
    if (!outbox_row_decode(row, &r))
        return;
    bool in_time = r.dead_ns >= f->since_ns && (f->until_ns == 0 || r.dead_ns < f->until_ns);
    bool matches = dead_filter_matches(f, &r);
    CHECK(!matches || (in_time && str_starts(r.key, f->prefix) && str_find(r.reason, f->reason) >= 0));
    struct dead_filter own = {r.bucket, r.key, r.reason, r.dead_ns, 0};
    CHECK(r.dead_ns < 0 || dead_filter_matches(&own, &r));
    (void)truth_sequencer(r.record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), query;
    struct headers q;
    struct asked_letters l;
    struct arena a;
    struct err e;
    uint64_t n;
    if (!str_cut(&in, 0, &query)) {
        query = in;
        in = STR("");
    }
    arena_init(&a);
    if (query_parse(&a, query, 64, &q)) {
        struct str id, type, text = asked_text(&q, "target");
        if (asked_target_name(text, &id, &type, &e))
            CHECK(id.n > 0 && type.n > 0 && id.n + 1 + type.n == text.n);
        if (asked_number(&q, "limit", 1000, &n, &e))
            CHECK(n >= 1 && n <= 1000);
        if (asked_letters(&q, &l, &e)) {
            char hex[16];
            CHECK(l.max >= 1 && l.max <= ASKED_LETTERS_MAX);
            hex_u64(l.only, hex);
            CHECK((l.only == 0) == (asked_text(&q, "id").n == 0));
            CHECK(l.only == 0 || str_ieq(asked_text(&q, "id"), str_n(hex, sizeof hex)));
            match(&l.filter, in);
        } else {
            CHECK(e.text[0]);
        }
    }
    arena_release(&a);
    return 0;
}
