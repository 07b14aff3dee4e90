/* SPDX-License-Identifier: Apache-2.0
 *
 * Which variables are read, by name. */
#include "unit.h"

#include "unread.h"

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool unread;
    } cases[] = {
        {"MINIO_ROOT_USER", false},
        {"MINIO_ROOT_USER_FILE", false},
        {"MINIO_ACCESS_KEY_FILE", false},
        {"MINIO_SITE_REGION", false},
        {"MINIO_SITE_REGION_FILE", true},
        {"MINIO_REGION", false},
        {"MINIO_OPTS", false},
        {"MINIO_VOLUMES", false},
        {"MINIO_ADDRESS", false},
        {"MINIO_CONSOLE_ADDRESS", false},
        {"MINIO_NOTIFY_WEBHOOK_ENABLE", false},
        {"MINIO_NOTIFY_WEBHOOK_ENABLE_a_b", false},
        {"MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_x", false},
        {"MINIO_NOTIFY_WEBHOOK_QUEUE_LIMIT", false},
        {"MINIO_NOTIFY_WEBHOOK_COMMENT_x", false},
        {"BELFRY_NOTIFY_WEBHOOK_ENDPOINT_x", false},
        {"MINIO_NOTIFY_WEBHOOK", true},
        {"MINIO_NOTIFY_WEBHOOK_", true},
        {"MINIO_NOTIFY_WEBHOOK_ENABLED", true},
        {"MINIO_NOTIFY_WEBHOOK_ENDPIONT_x", true},
        {"BELFRY_NOTIFY_WEBHOOK_ENDPIONT_x", true},
        {"MINIO_NOTIFY_NOTHING_ENABLE_x", true},
        {"MINIO_", true},
        {"MINIO_NO_SUCH_THING", true},
        {"BELFRY_LOG_DEBUG", false},
        {"PATH", false},
        {"XMINIO_NO_SUCH_THING", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (unread_variable(str_c(cases[i].name)) != cases[i].unread)
            fail_msg("%s should %sbe read", cases[i].name, cases[i].unread ? "not " : "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
