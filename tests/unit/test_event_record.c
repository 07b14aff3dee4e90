/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of events and the bytes of records. The expectations are whole records: consumers compare them. */
#include "unit.h"

#include "event/event.h"

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t mask;
    } cases[] = {
        {"s3:ObjectCreated:Put", UINT64_C(1) << EVENT_CREATED_PUT},
        {"s3:BucketCreated:*", UINT64_C(1) << EVENT_BUCKET_CREATED},
        {"s3:Scanner:BigPrefix", UINT64_C(1) << EVENT_SCANNER_BIG_PREFIX},
        {"s3:ObjectRemoved:*", UINT64_C(15) << EVENT_REMOVED_DELETE},
        {"s3:ObjectCreated:*", UINT64_C(255) << EVENT_CREATED_COMPLETE_MULTIPART},
        {"s3:ObjectAccessed:*", UINT64_C(31)},
        {"s3:Replication:*", UINT64_C(31) << EVENT_REPLICATION_FAILED},
        {"s3:ObjectRestore:*", UINT64_C(3) << EVENT_RESTORE_POST},
        {"s3:ObjectTransition:*", UINT64_C(3) << EVENT_TRANSITION_FAILED},
        {"s3:Scanner:*", 0},
        {"s3:*", 0},
        {"s3:TestEvent", 0},
        {"s3:objectCreated:Put", 0},
        {"ObjectCreated:Put", 0},
        {" s3:ObjectCreated:Put", 0},
        {"s3:ReducedRedundancyLostObject", 0},
        {"", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(event_mask(str_c(cases[i].text)), cases[i].mask);
    for (int n = 0; n < EVENT_COUNT; n++) {
        enum event_name back;
        assert_true(event_name_parse(event_name_text((enum event_name)n), &back));
        assert_int_equal(back, n);
    }
    enum event_name unused;
    assert_false(event_name_parse(STR("s3:ObjectCreated:*"), &unused));
}

static struct event_source source(void)
{
    return (struct event_source){
        .access_key = STR("minioadmin"),
        .region = STR(""),
        .source_ip = STR("127.0.0.1"),
        .user_agent = STR("test/1.0"),
        .request_id = STR("18EAC8FD4896F9DA"),
        .host_id = STR("ab12"),
        .deployment_id = STR("7763068d-8ce8-42c6-aa79-bae2e82a39d6"),
        .origin = STR("http://127.0.0.1:9300"),
    };
}

#define HEAD(region, time, name, who) \
    "{\"eventVersion\":\"2.0\",\"eventSource\":\"minio:s3\",\"awsRegion\":\"" region \
    "\",\"eventTime\":\"" time "\",\"eventName\":\"" name "\",\"userIdentity\":{\"principalId\":\"" who \
    "\"},"
#define IDS \
    "\"x-amz-id-2\":\"ab12\",\"x-amz-request-id\":\"18EAC8FD4896F9DA\"," \
    "\"x-minio-deployment-id\":\"7763068d-8ce8-42c6-aa79-bae2e82a39d6\"," \
    "\"x-minio-origin-endpoint\":\"http://127.0.0.1:9300\"},"
#define BUCKET(who) \
    "\"s3\":{\"s3SchemaVersion\":\"1.0\",\"configurationId\":\"Config\",\"bucket\":{\"name\":\"images\"," \
    "\"ownerIdentity\":{\"principalId\":\"" who "\"},\"arn\":\"arn:aws:s3:::images\"},"
#define TAIL(ip) "\"source\":{\"host\":\"" ip "\",\"port\":\"\",\"userAgent\":\"test/1.0\"}}"
#define PARAMS(region, ip) \
    "\"requestParameters\":{\"principalId\":\"minioadmin\",\"region\":\"" region \
    "\",\"sourceIPAddress\":\"" ip "\"},"

static void expect(const struct event_source *src, const struct event_info *ev, const char *want)
{
    struct buf b;
    size_t at;
    buf_init(&b, 1 << 20);
    buf_puts(&b, "before");
    event_record_write(&b, src, ev, &at);
    event_record_stamp(b.p, at, 0x18EAC8FD489CBB8C);
    buf_char(&b, 0);
    assert_false(b.failed);
    assert_string_equal(b.p + strlen("before"), want);
    buf_release(&b);
}

static void test_put(void **state)
{
    (void)state;
    struct header meta[] = {{STR("content-type"), STR("image/jpeg")}};
    struct headers h = {meta, 1};
    struct event_source src = source();
    struct event_info ev = {.name = EVENT_CREATED_PUT,
                            .bucket = STR("images"),
                            .key = STR("myphoto.jpg"),
                            .size = 2586,
                            .etag = STR("97a8981369a1ef41ad54e727b3ea175f"),
                            .meta = &h,
                            .content_length = -1,
                            .time_ns = INT64_C(1769941230123999999)};
    expect(&src, &ev,
           HEAD("", "2026-02-01T10:20:30.123Z", "s3:ObjectCreated:Put", "minioadmin")
               PARAMS("", "127.0.0.1") "\"responseElements\":{" IDS BUCKET(
                   "minioadmin") "\"object\":{\"key\":\"myphoto.jpg\",\"size\":2586,\"eTag\":"
                                 "\"97a8981369a1ef41ad54e727b3ea175f\","
                                 "\"contentType\":\"image/jpeg\",\"userMetadata\":{\"content-type\":\"image/"
                                 "jpeg\"},"
                                 "\"sequencer\":\"18EAC8FD489CBB8C\"}}," TAIL("127.0.0.1"));
}

static void test_metadata(void **state)
{
    (void)state;
    struct header meta[] = {
        {STR("content-type"), STR("binary/octet-stream")},
        {STR("X-Amz-Meta-X"), STR("1")},
        {STR("cache-control"), STR("max-age=60")},
        {STR("X-Amz-Meta-Foo-Bar"), STR("Baz <&> \"q\"")},
        {STR("x-minio-internal-actual"), STR("5")},
        {STR("X-Minio-Internal-y"), STR("5")},
        {STR("etag"), STR("e")},
        {STR("md5Sum"), STR("e")},
        {STR("expires"), STR("e")},
        {STR("x-amz-tagging"), STR("a=b")},
        {STR("last-modified"), STR("now")},
        {STR("x-amz-storage-class"), STR("STANDARD")},
        {STR("X-Amz-Server-Side-Encryption-Customer-Key"), STR("k")},
        {STR("X-Amz-Meta-Utf"), STR("\xff\xe2\x80\xa8\x01")},
    };
    struct headers h = {meta, COUNT_OF(meta)};
    struct event_source src = source();
    struct event_info ev = {.name = EVENT_CREATED_PUT,
                            .bucket = STR("images"),
                            .key = STR("a b/c+d \xc3\xbc.jpg"),
                            .size = 5,
                            .etag = STR("5d41402abc4b2a76b9719d911017c592"),
                            .meta = &h,
                            .content_length = -1,
                            .time_ns = INT64_C(1769941230000000000)};
    expect(&src, &ev,
           HEAD("", "2026-02-01T10:20:30.000Z", "s3:ObjectCreated:Put", "minioadmin")
               PARAMS("", "127.0.0.1") "\"responseElements\":{" IDS BUCKET(
                   "minioadmin") "\"object\":{\"key\":\"a+b%2Fc%2Bd+%C3%BC.jpg\",\"size\":5,\"eTag\":"
                                 "\"5d41402abc4b2a76b9719d911017c592\","
                                 "\"contentType\":\"binary/octet-stream\",\"userMetadata\":{"
                                 "\"X-Amz-Meta-Foo-Bar\":\"Baz \\u003c\\u0026\\u003e \\\"q\\\"\","
                                 "\"X-Amz-Meta-Utf\":\"\\ufffd\\u2028\\u0001\",\"X-Amz-Meta-X\":\"1\","
                                 "\"cache-control\":\"max-age=60\",\"content-type\":\"binary/octet-stream\"},"
                                 "\"sequencer\":\"18EAC8FD489CBB8C\"}}," TAIL("127.0.0.1"));
    meta[11].value = STR("REDUCED_REDUNDANCY");
    h = (struct headers){meta + 11, 1};
    ev.key = STR("dir/");
    ev.size = 0;
    ev.etag = STR("");
    ev.version_id = STR("null");
    expect(&src, &ev,
           HEAD("", "2026-02-01T10:20:30.000Z", "s3:ObjectCreated:Put", "minioadmin")
               PARAMS("", "127.0.0.1") "\"responseElements\":{" IDS BUCKET(
                   "minioadmin") "\"object\":{\"key\":\"dir%2F\",\"userMetadata\":{\"x-amz-storage-class\":"
                                 "\"REDUCED_REDUNDANCY\"},"
                                 "\"versionId\":\"null\",\"sequencer\":\"18EAC8FD489CBB8C\"}}," TAIL(
                                     "127.0.0.1"));
}

static void test_get_with_range(void **state)
{
    (void)state;
    struct event_source src = source();
    src.range = STR("bytes=1-3");
    src.region = STR("eu-1");
    src.source_ip = STR("[::1]");
    struct event_info ev = {.name = EVENT_ACCESSED_GET,
                            .bucket = STR("images"),
                            .key = STR("k"),
                            .size = 10,
                            .content_length = 3,
                            .time_ns = INT64_C(1769941230999000000)};
    expect(&src, &ev,
           HEAD("eu-1", "2026-02-01T10:20:30.999Z", "s3:ObjectAccessed:Get",
                "minioadmin") "\"requestParameters\":{\"principalId\":\"minioadmin\",\"range\":\"bytes=1-3\","
                              "\"region\":\"eu-1\","
                              "\"sourceIPAddress\":\"[::1]\"},"
                              "\"responseElements\":{\"content-length\":\"3\"," IDS BUCKET(
                                  "minioadmin") "\"object\":{\"key\":\"k\",\"size\":10,\"sequencer\":"
                                                "\"18EAC8FD489CBB8C\"}}," TAIL("[::1]"));
}

static void test_removals(void **state)
{
    (void)state;
    struct header meta[] = {{STR("content-type"), STR("image/jpeg")}};
    struct headers h = {meta, 1};
    struct event_source src = source();
    struct event_info ev = {.name = EVENT_REMOVED_DELETE,
                            .bucket = STR("images"),
                            .key = STR("copy.jpg"),
                            .size = 99,
                            .etag = STR("e"),
                            .meta = &h,
                            .content_length = 0,
                            .time_ns = INT64_C(1769941230000000000)};
    expect(&src, &ev,
           HEAD("", "2026-02-01T10:20:30.000Z", "s3:ObjectRemoved:Delete", "minioadmin")
               PARAMS("", "127.0.0.1") "\"responseElements\":{\"content-length\":\"0\"," IDS BUCKET(
                   "minioadmin") "\"object\":{\"key\":\"copy.jpg\",\"sequencer\":\"18EAC8FD489CBB8C\"}}"
                                 "," TAIL("127.0.0.1"));
    src.access_key = STR(""); /* anonymous */
    ev.name = EVENT_REMOVED_MARKER;
    ev.version_id = STR("754e2f7f-3eda-4262-8d8a-f95f2c752b2c");
    expect(&src, &ev,
           HEAD("", "2026-02-01T10:20:30.000Z", "s3:ObjectRemoved:DeleteMarkerCreated",
                "") "\"requestParameters\":{\"principalId\":\"\",\"region\":\"\",\"sourceIPAddress\":\"127.0."
                    "0.1\"},"
                    "\"responseElements\":{\"content-length\":\"0\"," IDS BUCKET(
                        "") "\"object\":{\"key\":\"copy.jpg\",\"versionId\":\"754e2f7f-3eda-4262-8d8a-"
                            "f95f2c752b2c\","
                            "\"sequencer\":\"18EAC8FD489CBB8C\"}}," TAIL("127.0.0.1"));
}

static void test_much_metadata(void **state)
{
    (void)state;
    static char names[200][24];
    struct header meta[200];
    struct headers h = {meta, 200};
    for (int i = 0; i < 200; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "X-Amz-Meta-%03d", 199 - i);
        meta[i] = (struct header){str_c(names[i]), STR("v")};
    }
    struct event_source src = source();
    struct event_info ev = {
        .name = EVENT_CREATED_COPY, .bucket = STR("b"), .key = STR("k"), .meta = &h, .content_length = 1};
    struct buf b;
    size_t at;
    buf_init(&b, 1 << 20);
    event_record_write(&b, &src, &ev, &at);
    struct str all = buf_view(&b);
    ptrdiff_t last = 0;
    for (int i = 0; i < 200; i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "\"X-Amz-Meta-%03d\":\"v\"", i);
        ptrdiff_t place = str_find(all, str_c(want));
        assert_true(place > last);
        last = place;
    }
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),    cmocka_unit_test(test_put),
        cmocka_unit_test(test_metadata), cmocka_unit_test(test_get_with_range),
        cmocka_unit_test(test_removals), cmocka_unit_test(test_much_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
