/* SPDX-License-Identifier: Apache-2.0
 *
 * What is pure about listening: queries, matching, positions, records with raw keys. */
#include "unit.h"

#include "event/listen.h"

static const struct {
    const char *query;
    const char *pattern; /* NULL: refused */
    const char *message; /* what it has to name */
    int events;
} queries[] = {
    {"events=s3:ObjectCreated:*", "*", NULL, 8},
    {"events=s3:ObjectCreated:Put&events=s3:ObjectCreated:Put", "*", NULL, 1},
    {"events=s3:ObjectCreated:Put&events=s3:ObjectRemoved:*&prefix=&suffix=&ping=10", "*", NULL, 5},
    {"events=s3:BucketCreated:*&events=s3:BucketRemoved:*", "*", NULL, 2},
    {"events=s3:Scanner:ManyVersions&events=s3:Scanner:BigPrefix", "*", NULL, 2},
    {"events=s3:Replication:*&events=s3:ObjectRestore:*&events=s3:ObjectTransition:*", "*", NULL, 9},
    {"events=s3:LifecycleDelMarkerExpiration:Delete", "*", NULL, 1},
    {"events=s3:ObjectAccessed:*&prefix=a%2Fb", "a/b*", NULL, 5},
    {"events=s3:ObjectAccessed:*&suffix=.jpg", "*.jpg", NULL, 5},
    {"events=s3:ObjectAccessed:*&suffix=.jpg&prefix=x*", "x*.jpg", NULL, 5},
    {"events=", NULL, "not supported", 0},
    {"", NULL, "not supported", 0},
    {"events=s3:ObjectCreated:Put&events=", NULL, "not supported", 0},
    {"events=s3:ObjectCreated:put", NULL, "not supported", 0},
    {"events=ObjectCreated:Put", NULL, "not supported", 0},
    {"events=s3:Scanner:*", NULL, "not supported", 0},
    {"events=s3:TestEvent&prefix=a&prefix=a", NULL, "more than one prefix", 0},
    {"events=s3:ObjectCreated:Put&suffix=a&suffix=", NULL, "more than one suffix", 0},
    {"prefix=%5C&suffix=a&suffix=b", NULL, "1024 bytes", 0},
    {"prefix=a&suffix=%FF", NULL, "1024 bytes", 0},
    {"events=s3:ObjectCreated:Put&prefix=a/../b", NULL, "1024 bytes", 0},
};

static void test_queries(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        struct arena a;
        struct headers q;
        struct listen_filter f;
        const char *message = "";
        arena_init(&a);
        assert_true(query_parse(&a, str_c(queries[i].query), 128, &q));
        bool good = listen_filter_parse(&q, &a, &f, &message);
        if (queries[i].pattern) {
            assert_true(good);
            assert_true(str_eq_c(f.pattern, queries[i].pattern));
            assert_int_equal(__builtin_popcountll(f.mask), queries[i].events);
        } else {
            assert_false(good);
            assert_non_null(strstr(message, queries[i].message));
        }
        arena_release(&a);
    }
}

static void test_matching(void **state)
{
    (void)state;
    static const struct {
        const char *bucket, *pattern, *in, *key;
        enum event_name name;
        bool matches;
    } cases[] = {
        {"", "*", "any", "k", EVENT_CREATED_PUT, true},
        {"one", "*", "one", "k", EVENT_CREATED_PUT, true},
        {"one", "*", "one2", "k", EVENT_CREATED_PUT, false},
        {"one", "*", "one", "k", EVENT_CREATED_COPY, false},
        {"one", "a*", "one", "abc", EVENT_CREATED_PUT, true},
        {"one", "a*", "one", "bac", EVENT_CREATED_PUT, false},
        {"", "*", "new", "", EVENT_BUCKET_CREATED, true},
        {"", "a*", "new", "", EVENT_BUCKET_CREATED, false},
        {"", "*.jpg", "new", "", EVENT_BUCKET_CREATED, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listen_filter f = {UINT64_C(1) << EVENT_CREATED_PUT | UINT64_C(1) << EVENT_BUCKET_CREATED,
                                  str_c(cases[i].bucket), str_c(cases[i].pattern)};
        assert_int_equal(listen_filter_matches(&f, cases[i].name, str_c(cases[i].in), str_c(cases[i].key)),
                         cases[i].matches);
    }
}

static void test_positions(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t seq, count;
        bool good;
    } cases[] = {
        {"18901AB2C3D4E5F6-2A", 0x18901AB2C3D4E5F6, 0x2a, true},
        {"0000000000000001-0", 1, 0, true},
        {"ffffffffffffffff-FFFFFFFFFFFFFFFF", UINT64_MAX, UINT64_MAX, true},
        {"", 0, 0, false},
        {"18901AB2C3D4E5F6", 0, 0, false},
        {"18901AB2C3D4E5F6-", 0, 0, false},
        {"18901AB2C3D4E5F-2A", 0, 0, false},
        {"18901AB2C3D4E5F6-00000000000000001", 0, 0, false},
        {"18901AB2C3D4E5G6-2A", 0, 0, false},
        {"18901AB2C3D4E5F6-2A ", 0, 0, false},
        {"18901AB2C3D4E5F6--2", 0, 0, false},
        {"-18901AB2C3D4E5F6-2", 0, 0, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct listen_position p = {0};
        assert_int_equal(listen_position_parse(str_c(cases[i].text), &p), cases[i].good);
        if (!cases[i].good)
            continue;
        assert_true(p.seq == cases[i].seq && p.count == cases[i].count);
        struct buf b;
        struct listen_position again;
        buf_init(&b, 64);
        listen_position_write(&b, &p);
        assert_true(listen_position_parse(buf_view(&b), &again) && again.seq == p.seq &&
                    again.count == p.count);
        buf_release(&b);
    }
}

/* The same record with another key, whatever the key and what comes before it: only the key and the place of the sequencer
 * differ. */
static void test_records(void **state)
{
    (void)state;
    static const struct {
        const char *key, *json;
    } cases[] = {
        {"plain", "plain"},
        {"a b/c+d", "a b/c+d"},
        {"", ""},
        {"quote\"back\\", "quote\\\"back\\\\"},
        {"\xc3\xbc<&>", "\xc3\xbc\\u003c\\u0026\\u003e"},
        {"%2F%22", "%2F%22"},
        {"\"object\":{\"key\":\"x", "\\\"object\\\":{\\\"key\\\":\\\"x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str tricky = STR("\"object\":{\"key\":\"");
        struct event_source src = {
            .access_key = tricky, .region = tricky, .user_agent = tricky, .range = tricky};
        struct event_info ev = {.name = EVENT_CREATED_PUT,
                                .bucket = STR("bkt"),
                                .key = str_c(cases[i].key),
                                .size = 7,
                                .content_length = -1};
        struct buf b, raw;
        size_t seq_at, raw_at;
        buf_init(&b, 65536);
        buf_init(&raw, 65536);
        event_record_write(&b, &src, &ev, &seq_at);
        buf_puts(&raw, "before"); /* it is appended */
        raw_at = seq_at;
        listen_record(&raw, buf_view(&b), ev.key, &raw_at);
        buf_consume(&raw, 6);
        event_record_stamp(raw.p, raw_at, 0x123456789abcdef0);
        ptrdiff_t at = str_find(buf_view(&raw), STR("\"sequencer\":\"123456789ABCDEF0\"}},\"source\":"));
        assert_true(at >= 0);
        char want[200];
        (void)snprintf(want, sizeof want, "\"object\":{\"key\":\"%s\",\"size\":7", cases[i].json);
        assert_true(str_find(buf_view(&raw), str_c(want)) >= 0);
        buf_release(&b);
        buf_release(&raw);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
