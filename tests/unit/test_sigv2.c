/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 2: AWS's published examples, the text that is signed, what is refused; and the policies of forms in both
 * versions. */
#include "unit.h"

#include "auth/auth_impl.h"
#include "auth_cases.h"
#include "base/clock.h"

#define NS   1000000000
#define AUTH "Authorization: AWS " AK ":"

/* AWS's examples of its REST authentication guide. */
static const struct example {
    const char *method, *path, *query, *bucket, *headers, *date;
} examples[] = {
    {"GET", "/photos/puppy.jpg", "", "johnsmith",
     "Date: Tue, 27 Mar 2007 19:36:42 +0000\n" AUTH "bWq2s1WEIj+Ydj0vQ697zp+IXMU=\n",
     "Tue, 27 Mar 2007 19:36:42 GMT"},
    {"PUT", "/photos/puppy.jpg", "", "johnsmith",
     "Content-Type: image/jpeg\nContent-Length: 94328\nDate: Tue, 27 Mar 2007 21:15:45 +0000\n" AUTH
     "MyyxeRY7whkBe+bq8fHCL/2kKUg=\n",
     "Tue, 27 Mar 2007 21:15:45 GMT"},
    {"GET", "/", "prefix=photos&max-keys=50&marker=puppy", "johnsmith",
     "User-Agent: Mozilla/5.0\nDate: Tue, 27 Mar 2007 19:42:41 +0000\n" AUTH "htDYFYduRNen8P9ZfE/s9SuKy0U=\n",
     "Tue, 27 Mar 2007 19:42:41 GMT"},
    {"GET", "/", "acl", "johnsmith",
     "Date: Tue, 27 Mar 2007 19:44:46 +0000\n" AUTH "c2WLPFtWHVgbEmeEG93a4cG37dM=\n",
     "Tue, 27 Mar 2007 19:44:46 GMT"},
    {"DELETE", "/johnsmith/photos/puppy.jpg", "", "",
     "Date: Tue, 27 Mar 2007 21:20:26 +0000\n" AUTH "lx3byBScXR6KzyMaifNkardMwNk=\n",
     "Tue, 27 Mar 2007 21:20:26 GMT"},
    {"GET", "/photos/puppy.jpg",
     "AWSAccessKeyId=" AK "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620", "johnsmith",
     "Host: johnsmith.s3.amazonaws.com\n", "Wed, 28 Mar 2007 00:00:00 GMT"},
};

static struct auth_request request(const struct example *e, struct head *head)
{
    int64_t seconds;
    assert_true(clock_parse_http(str_c(e->date), &seconds));
    return (struct auth_request){.method = str_c(e->method),
                                 .path = str_c(e->path),
                                 .query = str_c(e->query),
                                 .host_bucket = str_c(e->bucket),
                                 .headers = head_of(head, e->headers),
                                 .now_ns = seconds * NS};
}

static enum auth_result verify(const struct auth_request *r, struct auth_identity *id, struct auth_payload *p)
{
    struct auth *auth = example_auth("");
    struct arena a;
    arena_init(&a);
    enum auth_result got = auth_verify(auth, r, &a, id, p);
    assert_true(got == AUTH_OK || id->anonymous);
    arena_release(&a);
    auth_free(auth);
    return got;
}

static void published(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        struct head head;
        struct auth_identity id;
        struct auth_payload p;
        struct auth_request r = request(&examples[i], &head);
        enum auth_result got = verify(&r, &id, &p);
        if (got != AUTH_OK)
            fail_msg("example %zu: result %d", i, (int)got);
        assert_false(id.anonymous);
        assert_int_equal(id.presigned_v2, i == 5);
        assert_int_equal(p.mode, PAYLOAD_UNSIGNED);
    }
}

/* Each part that is signed, changed alone. */
static void changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(examples); i++) {
        const struct {
            const char *method, *path, *query, *bucket;
        } others[] = {
            {"POST", NULL, NULL, NULL},
            {NULL, "/photos/kitten.jpg", NULL, NULL},
            {NULL, NULL,
             "acl&AWSAccessKeyId=" AK "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139621", NULL},
            {NULL, NULL, NULL, "joesmith"}};
        for (size_t k = 0; k < COUNT_OF(others); k++) {
            struct head head;
            struct auth_identity id;
            struct auth_payload p;
            struct auth_request r = request(&examples[i], &head);
            if (others[k].method)
                r.method = str_c(others[k].method);
            if (others[k].path)
                r.path = str_c(others[k].path);
            if (others[k].query) /* a presigned one keeps all its names; the others get a sub-resource */
                r.query = i == 5 ? str_from(str_c(others[k].query), 4) : STR("torrent");
            if (others[k].bucket)
                r.host_bucket = str_c(others[k].bucket);
            assert_int_equal(verify(&r, &id, &p), AUTH_BAD_SIGNATURE);
        }
    }
}

static void string_to_sign(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *query, *bucket, *headers, *date, *want;
    } cases[] = {
        {"GET", "/b/k", "", "", "", "D", "GET\n\n\nD\n/b/k"},
        {"GET", "", "", "", "", "D", "GET\n\n\nD\n/"},
        {"PUT", "/k%20x", "", "b", "Content-MD5: m\ncontent-type: t\n", "", "PUT\nm\nt\n\n/b/k%20x"},
        {"GET", "/b", "max-keys=1&versions&acl=&uploadId=a%2Bb%20c&x=y", "", "", "D",
         "GET\n\n\nD\n/b?acl&uploadId=a+b c&versions"},
        {"GET", "/b/k", "response-content-type=a/b&response-cache-control=no%20cache", "", "", "1",
         "GET\n\n\n1\n/b/k?response-cache-control=no cache&response-content-type=a/b"},
        {"GET", "/b", "", "",
         "X-Amz-Meta-B: 2 2\nx-amz-date: now\nHost: h\nx-amz-meta-a: 1\nX-AMZ-Meta-A: 3\nx-amz: "
         "no\nx-amz-meta-ab:\n",
         "", "GET\n\n\n\nx-amz-date:now\nx-amz-meta-a:1,3\nx-amz-meta-ab:\nx-amz-meta-b:2 2\n/b"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct head head;
        struct arena a;
        struct buf b;
        struct auth_request r = {.method = str_c(cases[i].method),
                                 .path = str_c(cases[i].path),
                                 .query = str_c(cases[i].query),
                                 .host_bucket = str_c(cases[i].bucket),
                                 .headers = head_of(&head, cases[i].headers)};
        arena_init(&a);
        buf_init(&b, 4096);
        assert_true(sigv2_string_to_sign(&b, &r, str_c(cases[i].date), &a));
        if (!str_eq_c(buf_view(&b), cases[i].want))
            fail_msg("case %zu: %.*s", i, STR_FMT(buf_view(&b)));
        buf_release(&b);
        arena_release(&a);
    }
}

#define GOOD      "bWq2s1WEIj+Ydj0vQ697zp+IXMU="
#define DATE_LINE "Date: Tue, 27 Mar 2007 19:36:42 +0000\n"
#define QUERY     "AWSAccessKeyId=" AK "&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620"

/* GET /photos/puppy.jpg of bucket johnsmith. */
static const struct {
    const char *name, *headers, *query;
    int64_t later_s;
    enum auth_result want;
} refusals[] = {
    {"good", DATE_LINE AUTH GOOD "\n", "", 0, AUTH_OK},
    {"GMT", "Date: Tue, 27 Mar 2007 19:36:42 GMT\n" AUTH GOOD "\n", "", 0, AUTH_BAD_SIGNATURE},
    {"late", DATE_LINE AUTH GOOD "\n", "", 901, AUTH_SKEWED},
    {"early", DATE_LINE AUTH GOOD "\n", "", -901, AUTH_SKEWED},
    {"at the limit", DATE_LINE AUTH GOOD "\n", "", 900, AUTH_OK},
    {"no date", AUTH GOOD "\n", "", 0, AUTH_NO_DATE},
    {"nonsense for a date", "Date: yesterday\n" AUTH GOOD "\n", "", 0, AUTH_NO_DATE},
    {"before 1970", "Date: Tue, 27 Mar 1950 19:36:42 GMT\n" AUTH GOOD "\n", "", 0, AUTH_NO_DATE},
    {"x-amz-date is signed, too", DATE_LINE "x-amz-date: Tue, 27 Mar 2007 19:36:42 GMT\n" AUTH GOOD "\n", "",
     0, AUTH_BAD_SIGNATURE},
    {"a header more", DATE_LINE "x-amz-copy-source: /a/b\n" AUTH GOOD "\n", "", 0, AUTH_BAD_SIGNATURE},
    {"a type more", DATE_LINE "Content-Type: a/b\n" AUTH GOOD "\n", "", 0, AUTH_BAD_SIGNATURE},
    {"an MD5 more", DATE_LINE "Content-MD5: x\n" AUTH GOOD "\n", "", 0, AUTH_BAD_SIGNATURE},
    {"unknown key", DATE_LINE "Authorization: AWS NOBODY:" GOOD "\n", "", 0, AUTH_UNKNOWN_KEY},
    {"other signature", DATE_LINE AUTH "MyyxeRY7whkBe+bq8fHCL/2kKUg=\n", "", 0, AUTH_BAD_SIGNATURE},
    {"short signature", DATE_LINE AUTH "bWq2\n", "", 0, AUTH_BAD_SIGNATURE},
    {"empty signature", DATE_LINE AUTH "\n", "", 0, AUTH_BAD_SIGNATURE},
    {"longer signature", DATE_LINE AUTH "bWq2s1WEIj+Ydj0vQ697zp+IXMUA\n", "", 0, AUTH_BAD_SIGNATURE},
    {"no colon", DATE_LINE "Authorization: AWS HAHAHA\n", "", 0, AUTH_MALFORMED_V2},
    {"no key", DATE_LINE "Authorization: AWS :" GOOD "\n", "", 0, AUTH_MALFORMED_V2},
    {"twice", DATE_LINE AUTH GOOD "\n" AUTH GOOD "\n", "", 0, AUTH_MALFORMED_V2},
    {"signed chunks", DATE_LINE "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD\n" AUTH GOOD "\n",
     "", 0, AUTH_BAD_SIGNATURE},
    {"with a V4 query", DATE_LINE AUTH GOOD "\n", "X-Amz-Credential=x", 0, AUTH_TWO_MECHANISMS},
    {"with a V2 query", DATE_LINE AUTH GOOD "\n", QUERY, 0, AUTH_TWO_MECHANISMS},
    {"bearer with a V2 query", "Authorization: Bearer x\n", QUERY, 0, AUTH_TWO_MECHANISMS},
    {"both queries", "", QUERY "&X-Amz-Signature=x", 0, AUTH_TWO_MECHANISMS},
    {"presigned", "", QUERY, 0, AUTH_OK},
    {"other names", "", QUERY "&prefix=a", 0, AUTH_OK},
    {"expired", "", QUERY, 1175139620 - 1175024202, AUTH_EXPIRED},
    {"just not", "", QUERY, 1175139619 - 1175024202, AUTH_OK},
    {"sub-resource more", "", QUERY "&tagging", 0, AUTH_BAD_SIGNATURE},
    {"override more", "", QUERY "&response-content-type=a", 0, AUTH_BAD_SIGNATURE},
    {"header more", "x-amz-copy-source: /a/b\n", QUERY, 0, AUTH_BAD_SIGNATURE},
    {"header of ours more", "x-minio-force-delete: true\n", QUERY, 0, AUTH_UNSIGNED_HEADERS},
    {"no signature", "", "AWSAccessKeyId=" AK "&Expires=1175139620", 0, AUTH_V2_QUERY},
    {"no expiry", "", "AWSAccessKeyId=" AK "&Signature=x", 0, AUTH_V2_QUERY},
    {"two expiries", "", "AWSAccessKeyId=" AK "&Signature=x&Expires=1&Expires=2", 0, AUTH_V2_QUERY},
    {"two signatures", "", "AWSAccessKeyId=" AK "&Signature=x&Signature=x&Expires=1", 0, AUTH_V2_QUERY},
    {"two keys", "", "AWSAccessKeyId=" AK "&AWSAccessKeyId=x&Signature=x&Expires=1", 0, AUTH_V2_QUERY},
    {"nonsense for an expiry", "", "AWSAccessKeyId=" AK "&Signature=x&Expires=tomorrow", 0, AUTH_V2_QUERY},
    {"negative expiry", "", "AWSAccessKeyId=" AK "&Signature=x&Expires=-1", 0, AUTH_V2_QUERY},
    {"broken escape", "", QUERY "&a=%G", 0, AUTH_V2_QUERY},
    {"unknown key presigned", "", "AWSAccessKeyId=NOBODY&Signature=x&Expires=1175139620", 0,
     AUTH_UNKNOWN_KEY},
    {"token", "", QUERY "&x-amz-security-token=t", 0, AUTH_BAD_TOKEN},
};

static void refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct head head;
        struct auth_identity id;
        struct auth_payload p;
        struct auth_request r = request(&examples[0], &head);
        r.headers = head_of(&head, refusals[i].headers);
        r.query = str_c(refusals[i].query);
        r.now_ns += refusals[i].later_s * NS;
        enum auth_result got = verify(&r, &id, &p);
        if (got != refusals[i].want)
            fail_msg("%s: %d instead of %d", refusals[i].name, (int)got, (int)refusals[i].want);
    }
}

/* --- forms ------------------------------------------------------------------------------------------- */

#define POLICY \
    "eyJleHBpcmF0aW9uIjoiMjAzMC0wMS0wMVQwMDowMDowMFoiLCJjb25kaXRpb25zIjpbeyJidWNrZXQiOiJiIn0sWyJzdGFydHMtd2" \
    "l0aCIs" \
    "IiRrZXkiLCIiXV19"
#define POLICY_V4 "2763fc9030c15c0ca70b549c25579fd067f5ceb2df0d5ffced0c4e491ab45c40"
#define POLICY_V2 "Fi/fbDE71YO4gT/k/kp6JIm3mfg="
/* The policy of AWS's example of a browser's upload, base64 as its page has it. */
#define AWS_POLICY \
    "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldC" \
    "I6ICJz" \
    "aWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbC" \
    "I6ICJw" \
    "dWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy" \
    "5hbWF6" \
    "b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW" \
    "1hZ2Uv" \
    "Il0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3" \
    "J5cHRp" \
    "b24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LW" \
    "NyZWRl" \
    "bnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC" \
    "1hbXot" \
    "YWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KIC" \
    "BdDQp9"

static const struct form_case {
    const char *name, *policy, *algorithm, *credential, *date, *signature, *v2_key, *v2_signature, *token;
    enum auth_result want;
} forms[] = {
#define V4 "AWS4-HMAC-SHA256"
    {"V4", POLICY, V4, CRED, DATE, POLICY_V4, NULL, NULL, NULL, AUTH_OK},
    {"V2", POLICY, NULL, NULL, NULL, NULL, AK, POLICY_V2, NULL, AUTH_OK},
    {"AWS's example", AWS_POLICY, V4, AK "/20151229/us-east-1/s3/aws4_request", "20151229T000000Z",
     "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e", NULL, NULL, NULL, AUTH_OK},
    {"nothing", POLICY, NULL, NULL, NULL, NULL, NULL, NULL, NULL, AUTH_OK},
    {"both", POLICY, V4, CRED, DATE, POLICY_V4, AK, POLICY_V2, NULL, AUTH_TWO_MECHANISMS},
    {"other policy", POLICY "x", V4, CRED, DATE, POLICY_V4, NULL, NULL, NULL, AUTH_BAD_SIGNATURE},
    {"other policy V2", POLICY "x", NULL, NULL, NULL, NULL, AK, POLICY_V2, NULL, AUTH_BAD_SIGNATURE},
    {"other day", POLICY, V4, CRED, "20130525T000000Z", POLICY_V4, NULL, NULL, NULL, AUTH_MALFORMED_FORM},
    {"other region", POLICY, V4, AK "/20130524/us-east-2/s3/aws4_request", DATE, POLICY_V4, NULL, NULL, NULL,
     AUTH_BAD_SIGNATURE},
    {"other service", POLICY, V4, AK "/20130524/us-east-1/sts/aws4_request", DATE, POLICY_V4, NULL, NULL,
     NULL, AUTH_MALFORMED_FORM},
    {"bad signature", POLICY, V4, CRED, DATE, "00", NULL, NULL, NULL, AUTH_BAD_SIGNATURE},
    {"empty signature", POLICY, V4, CRED, DATE, "", NULL, NULL, NULL, AUTH_BAD_SIGNATURE},
    {"no signature", POLICY, V4, CRED, DATE, NULL, NULL, NULL, NULL, AUTH_MALFORMED_FORM},
    {"no algorithm", POLICY, NULL, CRED, DATE, POLICY_V4, NULL, NULL, NULL, AUTH_MALFORMED_FORM},
    {"other algorithm", POLICY, "AWS4-HMAC-SHA1", CRED, DATE, POLICY_V4, NULL, NULL, NULL,
     AUTH_MALFORMED_FORM},
    {"no credential", POLICY, V4, NULL, DATE, POLICY_V4, NULL, NULL, NULL, AUTH_MALFORMED_FORM},
    {"no date", POLICY, V4, CRED, NULL, POLICY_V4, NULL, NULL, NULL, AUTH_MALFORMED_FORM},
    {"unknown key", POLICY, V4, "NOBODY/" SCOPE, DATE, POLICY_V4, NULL, NULL, NULL, AUTH_UNKNOWN_KEY},
    {"unknown key V2", POLICY, NULL, NULL, NULL, NULL, "NOBODY", POLICY_V2, NULL, AUTH_UNKNOWN_KEY},
    {"no signature V2", POLICY, NULL, NULL, NULL, NULL, AK, NULL, NULL, AUTH_MALFORMED_FORM},
    {"no key V2", POLICY, NULL, NULL, NULL, NULL, NULL, POLICY_V2, NULL, AUTH_MALFORMED_FORM},
    {"token", POLICY, V4, CRED, DATE, POLICY_V4, NULL, NULL, "t", AUTH_BAD_TOKEN},
#undef V4
};

static void policies(void **state)
{
    (void)state;
    struct auth *auth = example_auth("us-east-1");
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        const struct form_case *c = &forms[i];
        struct auth_form f = {.policy = str_c(c->policy),
                              .algorithm = str_c(c->algorithm),
                              .credential = str_c(c->credential),
                              .date = str_c(c->date),
                              .signature = str_c(c->signature),
                              .v2_access_key = str_c(c->v2_key),
                              .v2_signature = str_c(c->v2_signature),
                              .token = str_c(c->token)};
        struct auth_identity id;
        enum auth_result want = c->want, got = auth_verify_form(auth, &f, &id);
        if (strcmp(c->name, "other region") == 0)
            want = AUTH_WRONG_REGION; /* with a region configured */
        if (got != want)
            fail_msg("%s: %d instead of %d", c->name, (int)got, (int)want);
        assert_int_equal(id.anonymous, got != AUTH_OK || strcmp(c->name, "nothing") == 0);
    }
    auth_free(auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published), cmocka_unit_test(changed),  cmocka_unit_test(string_to_sign),
        cmocka_unit_test(refused),   cmocka_unit_test(policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
