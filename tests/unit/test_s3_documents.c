/* SPDX-License-Identifier: Apache-2.0
 *
 * What small documents and the query of a listing ask for, and the range of a copied part. */
#include "s3/documents.h"
#include "s3/list_params.h"
#include "s3/meta.h"
#include "s3/owner.h"
#include "unit.h"

#define LOCATION(root, inner) "<" root ">" inner "</" root ">"
#define ACL(grants) \
    "<AccessControlPolicy><AccessControlList>" grants "</AccessControlList></AccessControlPolicy>"
#define GRANT(who, what) "<Grant><Grantee>" who "</Grantee><Permission>" what "</Permission></Grant>"

static void test_locations(void **state)
{
    (void)state;
    static const struct {
        const char *doc;
        enum s3_error error;
        const char *where;
    } cases[] = {
        {"", S3E_NONE, ""},
        {" \n", S3E_NONE, ""},
        {LOCATION("CreateBucketConfiguration", ""), S3E_NONE, ""},
        {LOCATION("CreateBucketRequest", "<LocationConstraint> eu </LocationConstraint>"), S3E_NONE, "eu"},
        {LOCATION("a:CreateBucketConfiguration", "<a:LocationConstraint>x</a:LocationConstraint>"), S3E_NONE,
         "x"},
        {LOCATION("Other", ""), S3E_MALFORMED_XML, ""},
        {"<CreateBucketConfiguration>", S3E_MALFORMED_XML, ""},
        {"<!DOCTYPE a><CreateBucketConfiguration/>", S3E_MALFORMED_XML, ""},
        {"eu", S3E_MALFORMED_XML, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct str where;
        arena_init(&a);
        enum s3_error e = location_from_xml(&a, str_c(cases[i].doc), &where);
        if (e != cases[i].error || !str_eq_c(where, cases[i].where))
            fail_msg("%s: %d %.*s", cases[i].doc, e, STR_FMT(where));
        arena_release(&a);
    }
}

static void test_acls(void **state)
{
    (void)state;
    static const struct {
        const char *doc;
        enum s3_error error;
    } cases[] = {
        {ACL(GRANT("<ID>" S3_OWNER_ID "</ID>", "FULL_CONTROL")), S3E_NONE},
        {ACL(GRANT("<ID></ID>", " FULL_CONTROL ")), S3E_NONE},
        {ACL(GRANT("<ID>other</ID>", "FULL_CONTROL")), S3E_NOT_IMPLEMENTED},
        {ACL(GRANT("<URI>u</URI>", "FULL_CONTROL")), S3E_NOT_IMPLEMENTED},
        {ACL(GRANT("<EmailAddress>u</EmailAddress>", "FULL_CONTROL")), S3E_NOT_IMPLEMENTED},
        {ACL(GRANT("<ID></ID>", "READ")), S3E_NOT_IMPLEMENTED},
        {ACL(GRANT("<ID></ID>", "FULL_CONTROL") GRANT("<ID></ID>", "FULL_CONTROL")), S3E_NOT_IMPLEMENTED},
        {ACL(""), S3E_NOT_IMPLEMENTED},
        {"<AccessControlPolicy/>", S3E_MALFORMED_XML},
        {"<AccessControlList/>", S3E_MALFORMED_XML},
        {"", S3E_MALFORMED_XML},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        arena_init(&a);
        enum s3_error e = acl_from_xml(&a, str_c(cases[i].doc));
        if (e != cases[i].error)
            fail_msg("%s: %d", cases[i].doc, e);
        arena_release(&a);
    }
}

static void test_listings(void **state)
{
    (void)state;
    static const struct {
        enum list_kind kind;
        const char *query;
        bool ok;
        const char *after; /* where the page begins */
        size_t max;
    } cases[] = {
        {LIST_V1, "", true, "", 1000},
        {LIST_V1, "marker=a%2Fb&max-keys=7", true, "a/b", 7},
        {LIST_V1, "max-keys=", true, "", 1000},
        {LIST_V1, "max-keys=2147483647&metadata=true", true, "", 1000},
        {LIST_V1, "max-keys=2147483648", false, "", 0},
        {LIST_V1, "max-keys=-1", false, "", 0},
        {LIST_V1, "encoding-type=URL", true, "", 1000},
        {LIST_V1, "encoding-type=xml", false, "", 0},
        {LIST_V2, "start-after=s", true, "s", 1000},
        {LIST_V2, "start-after=s&continuation-token=", true, "s", 1000},
        {LIST_V2, "start-after=s&continuation-token=YQE%3D", true, "a\1", 1000},
        {LIST_V2, "continuation-token=YQE", false, "", 0},
        {LIST_V2, "continuation-token=%21", false, "", 0},
        {LIST_V2, "metadata=true", true, "", 100},
        {LIST_VERSIONS, "key-marker=k&version-id-marker=null", true, "k", 1000},
        {LIST_VERSIONS, "version-id-marker=null", false, "", 0},
        {LIST_VERSIONS, "key-marker=k&version-id-marker=x", false, "", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct headers query;
        struct list_params l = {.kind = cases[i].kind};
        arena_init(&a);
        assert_true(query_parse(&a, str_c(cases[i].query), 16, &query));
        const char *wrong = list_params(&a, &query, &l);
        if (!wrong != cases[i].ok)
            fail_msg("%s: %s", cases[i].query, wrong ? wrong : "taken");
        if (!wrong && (!str_eq_c(l.q.after, cases[i].after) || l.q.max != cases[i].max))
            fail_msg("%s: after %.*s, %zu", cases[i].query, STR_FMT(l.q.after), l.q.max);
        arena_release(&a);
    }
}

static void test_copy_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        enum s3_error error;
        uint64_t first, length;
    } cases[] = {
        {NULL, S3E_NONE, 0, 5},
        {"bytes=0-4", S3E_NONE, 0, 5},
        {"bytes=4-4", S3E_NONE, 4, 1},
        {"bytes=0-5", S3E_INVALID_RANGE, 0, 0},
        {"bytes=0-18446744073709551615", S3E_INVALID_RANGE, 0, 0},
        {"bytes=0-18446744073709551616", S3E_INVALID_COPY_RANGE, 0, 0},
        {"bytes=2-1", S3E_INVALID_COPY_RANGE, 0, 0},
        {"bytes=1-", S3E_INVALID_COPY_RANGE, 0, 0},
        {"bytes=-1", S3E_INVALID_COPY_RANGE, 0, 0},
        {"bytes=1", S3E_INVALID_COPY_RANGE, 0, 0},
        {"bytes=0-1,3-4", S3E_INVALID_COPY_RANGE, 0, 0},
        {"Bytes=0-1", S3E_INVALID_COPY_RANGE, 0, 0},
        {"", S3E_INVALID_COPY_RANGE, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint64_t first, length;
        enum s3_error e = copy_range_parse(str_c(cases[i].value), 5, &first, &length);
        if (e != cases[i].error || (e == S3E_NONE && (first != cases[i].first || length != cases[i].length)))
            fail_msg("%s: %d", cases[i].value, e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_locations),
        cmocka_unit_test(test_acls),
        cmocka_unit_test(test_listings),
        cmocka_unit_test(test_copy_ranges),
    };
    return cmocka_run_group_tests_name("s3_documents", tests, NULL, NULL);
}
