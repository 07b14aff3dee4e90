/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line and the variables that stand in for it; the settings of the server. Tables of cases. */
#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "cmdline.h"
#include "config/config.h"
#include "settings.h"

static const char *const variables[] = {
    "OPTS",
    "VOLUMES",
    "ADDRESS",
    "CONSOLE_ADDRESS",
    "ROOT_USER",
    "ROOT_PASSWORD",
    "ROOT_USER_FILE",
    "ROOT_PASSWORD_FILE",
    "ACCESS_KEY",
    "SECRET_KEY",
    "ACCESS_KEY_FILE",
    "SECRET_KEY_FILE",
    "SITE_REGION",
    "REGION",
    "SERVER_URL",
    "DOMAIN",
    "DISK_RESERVE",
    "API_CORS_ALLOW_ORIGIN",
};

static int clear_env(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        for (int ours = 0; ours < 2; ours++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s_%s", ours ? "BELFRY" : "MINIO", variables[i]);
            (void)unsetenv(name);
        }
    return 0;
}

/* "A=1;B=2" into the environment. */
static void set_env(const char *text)
{
    struct str rest = str_c(text), one;
    while (*text && str_cut(&rest, ';', &one)) {
        char *z = str_dupz(one), *eq = strchr(z, '=');
        *eq = 0;
        (void)setenv(z, eq + 1, 1);
        free(z);
    }
}

/* Parses "belfry" and the blank-separated words of line. */
static bool parse(struct arena *a, const char *line, struct cmdline *c, struct err *e)
{
    char **words, **argv;
    size_t n;
    assert_true(cmdline_words(a, line, &words, &n, e));
    argv = ARENA_ARRAY(a, char *, n + 2);
    argv[0] = "belfry";
    memcpy(argv + 1, words, n * sizeof *words);
    return cmdline_parse(a, (int)n + 1, argv, c, e);
}

static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* words between '|'; NULL: an error */
    } cases[] = {
        {"", ""},
        {"  \t\n ", ""},
        {"a", "a|"},
        {" a  b ", "a|b|"},
        {"'a b' c", "a b|c|"},
        {"\"a b\"c", "a bc|"},
        {"a\\ b", "a b|"},
        {"\"a\\\"b\\n\"", "a\"b\\n|"},
        {"'a\\b'", "a\\b|"},
        {"''", "|"},
        {"a '' b", "a||b|"},
        {"--address=':9000' \"--quiet\"", "--address=:9000|--quiet|"},
        {"a\\", "a\\|"},
        {"'a", NULL},
        {"\"a'", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct err e;
        char **words, got[100] = "";
        size_t n;
        arena_init(&a);
        bool ok = cmdline_words(&a, cases[i].text, &words, &n, &e);
        assert_int_equal(ok, cases[i].want != NULL);
        for (size_t k = 0; ok && k < n; k++)
            (void)snprintf(got + strlen(got), sizeof got - strlen(got), "%s|", words[k]);
        if (ok) {
            assert_string_equal(got, cases[i].want);
            assert_null(words[n]);
        }
        arena_release(&a);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        bool ok, loopback;
    } cases[] = {
        {":9000", true, false},
        {":0", true, false},
        {"127.0.0.1:1", true, true},
        {"127.1.2.3:1", true, true},
        {"localhost:9000", true, true},
        {"LocalHost:1", true, true},
        {"[::1]:9000", true, true},
        {"[::]:9000", true, false},
        {"0.0.0.0:9000", true, false},
        {"host.example:80", true, false},
        {"9000", false, false},
        {"", false, false},
        {"host", false, false},
        {":65536", false, false},
        {":", false, false},
        {":nine", false, false},
        {"::1:9000", false, false},
        {":-1", false, false},
        {"http://h:9000", false, false},
        {"a b:9000", false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err e;
        assert_int_equal(cmdline_address_ok(cases[i].address, &e), cases[i].ok);
        if (cases[i].ok)
            assert_int_equal(cmdline_is_loopback(cases[i].address), cases[i].loopback);
    }
}

static void test_server_lines(void **state)
{
    static const struct {
        const char *env, *line;
        const char *dir, *address, *certs; /* NULL: not given */
        bool json, quiet;
    } cases[] = {
        {"", "server /d", "/d", NULL, NULL, false, false},
        {"", "server --address :1 /d", "/d", ":1", NULL, false, false},
        {"", "server /d --address=:1 --json", "/d", ":1", NULL, true, false},
        {"", "server -address :1 -quiet /d", "/d", ":1", NULL, false, true},
        {"", "--quiet server /d", "/d", NULL, NULL, false, true},
        {"", "server -S /c /d", "/d", NULL, "/c", false, false},
        {"", "server --certs-dir /c --console-address :2 /d", "/d", NULL, "/c", false, false},
        {"", "server -- /d", "/d", NULL, NULL, false, false},
        {"MINIO_VOLUMES=/v", "server", "/v", NULL, NULL, false, false},
        {"MINIO_VOLUMES=/v", "server /d", "/d", NULL, NULL, false, false},
        {"MINIO_VOLUMES=/v;BELFRY_VOLUMES=/w", "server", "/w", NULL, NULL, false, false},
        {"MINIO_VOLUMES='/a b'", "server", "/a b", NULL, NULL, false, false},
        {"MINIO_OPTS=--address :3 --json", "server /d", "/d", ":3", NULL, true, false},
        {"MINIO_OPTS=--address :3 --json", "server --address :4 /d", "/d", ":4", NULL, true, false},
        {"MINIO_OPTS=--certs-dir \"/c d\"", "server /d", "/d", NULL, "/c d", false, false},
        {"MINIO_OPTS=--quiet /o;MINIO_VOLUMES=/v", "server", "/o", NULL, NULL, false, true},
        {"MINIO_ADDRESS=:5", "server /d", "/d", ":5", NULL, false, false},
        {"MINIO_ADDRESS=:5;MINIO_OPTS=--address :6", "server /d", "/d", ":6", NULL, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct cmdline c;
        struct err e = {.text = ""};
        arena_init(&a);
        set_env(cases[i].env);
        bool ok = parse(&a, cases[i].line, &c, &e);
        if (!ok)
            print_error("%s: %s\n", cases[i].line, e.text);
        assert_true(ok);
        assert_int_equal(c.command, COMMAND_SERVER);
        assert_string_equal(c.dir, cases[i].dir);
        assert_string_equal(c.address ? c.address : "-", cases[i].address ? cases[i].address : "-");
        assert_string_equal(c.certs_dir ? c.certs_dir : "-", cases[i].certs ? cases[i].certs : "-");
        assert_int_equal(c.json, cases[i].json);
        assert_int_equal(c.quiet, cases[i].quiet);
        (void)clear_env(state);
        arena_release(&a);
    }
}

static void test_bad_lines(void **state)
{
    static const struct {
        const char *env, *line, *mentions;
    } cases[] = {
        {"", "", "belfry server DIR"},
        {"", "server", "belfry server DIR"},
        {"", "frobnicate", "frobnicate"},
        {"", "server --nope /d", "--nope"},
        {"", "server /d --address", "--address"},
        {"", "server --json=yes /d", "--json=yes"},
        {"", "server --address nine /d", "nine"},
        {"", "server --console-address nine /d", "--console-address"},
        {"", "server /d /e", "one"},
        {"", "server /d{1...4}", "one directory"},
        {"", "server http://h/d", "one directory"},
        {"", "server ''", "directory"},
        {"", "check", "belfry check DIR"},
        {"", "check /a /b", "belfry check DIR"},
        {"", "check --dry-run /a", "--salvage"},
        {"", "server --salvage /a", "belfry check DIR"},
        {"MINIO_VOLUMES=/a /b", "server", "MINIO_VOLUMES"},
        {"MINIO_VOLUMES=/a{1...4}", "server", "one directory"},
        {"MINIO_VOLUMES='/a", "server", "MINIO_VOLUMES"},
        {"MINIO_OPTS='/a", "server /d", "MINIO_OPTS"},
        {"MINIO_OPTS=--nope", "server /d", "MINIO_OPTS: --nope"},
        {"MINIO_OPTS=--address x", "server /d", "--address x"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct cmdline c;
        struct err e = {.text = ""};
        arena_init(&a);
        set_env(cases[i].env);
        assert_false(parse(&a, cases[i].line, &c, &e));
        if (!strstr(e.text, cases[i].mentions))
            print_error("%s: %s\n", cases[i].line, e.text);
        assert_non_null(strstr(e.text, cases[i].mentions));
        (void)clear_env(state);
        arena_release(&a);
    }
}

static void test_other_commands(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum command command;
        const char *topic;
    } cases[] = {
        {"--version", COMMAND_VERSION, NULL},
        {"-v", COMMAND_VERSION, NULL},
        {"--help", COMMAND_HELP, NULL},
        {"help", COMMAND_HELP, NULL},
        {"help environment", COMMAND_HELP, "environment"},
        {"server --help", COMMAND_HELP, "server"},
        {"check -h", COMMAND_HELP, "check"},
        {"check /d", COMMAND_CHECK, NULL},
        {"check --salvage --dry-run /d", COMMAND_CHECK, NULL},
        {"--crash-points", COMMAND_CRASH_POINTS, NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct cmdline c;
        struct err e;
        arena_init(&a);
        assert_true(parse(&a, cases[i].line, &c, &e));
        assert_int_equal(c.command, cases[i].command);
        assert_string_equal(c.topic ? c.topic : "-", cases[i].topic ? cases[i].topic : "-");
        arena_release(&a);
    }
}

#define KEYS "MINIO_ROOT_USER=root;MINIO_ROOT_PASSWORD=password"

static void test_settings(void **state)
{
    static const struct {
        const char *env, *user, *password;
        bool by_default;
        const char *region, *url, *domain;
        int64_t reserve;
    } cases[] = {
        {"", "minioadmin", "minioadmin", true, "", "", "", -1},
        {KEYS, "root", "password", false, "", "", "", -1},
        {"MINIO_ACCESS_KEY=old;MINIO_SECRET_KEY=old-secret", "old", "old-secret", false, "", "", "", -1},
        {"MINIO_ACCESS_KEY=old;MINIO_SECRET_KEY=old-secret;" KEYS, "root", "password", false, "", "", "", -1},
        {KEYS ";BELFRY_ROOT_USER=ours", "ours", "password", false, "", "", "", -1},
        {"MINIO_ROOT_USER=minioadmin;MINIO_ROOT_PASSWORD=minioadmin", "minioadmin", "minioadmin", true, "",
         "", "", -1},
        {"MINIO_ROOT_USER=;MINIO_ROOT_PASSWORD=", "minioadmin", "minioadmin", true, "", "", "", -1},
        {KEYS ";MINIO_REGION=eu-west-1", "root", "password", false, "eu-west-1", "", "", -1},
        {KEYS ";MINIO_REGION=a;MINIO_SITE_REGION=b", "root", "password", false, "b", "", "", -1},
        {KEYS ";MINIO_SERVER_URL=https://s3.example.com:9000/", "root", "password", false, "",
         "https://s3.example.com:9000", "", -1},
        {KEYS ";MINIO_DOMAIN=S3.example.com,b.test", "root", "password", false, "", "",
         "s3.example.com,b.test", -1},
        {KEYS ";BELFRY_DISK_RESERVE=64M", "root", "password", false, "", "", "", 64 << 20},
        {KEYS ";MINIO_API_CORS_ALLOW_ORIGIN=https://a.test,b*", "root", "password", false, "", "", "", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct settings s;
        struct err e = {.text = ""};
        arena_init(&a);
        set_env(cases[i].env);
        bool ok = settings_load(&a, &s, &e);
        if (!ok)
            print_error("%s: %s\n", cases[i].env, e.text);
        assert_true(ok);
        assert_string_equal(s.root_user, cases[i].user);
        assert_string_equal(s.root_password, cases[i].password);
        assert_int_equal(s.default_credentials, cases[i].by_default);
        assert_string_equal(s.region, cases[i].region);
        assert_string_equal(s.server_url, cases[i].url);
        assert_string_equal(s.domain, cases[i].domain);
        assert_string_equal(s.cors_origins, strstr(cases[i].env, "CORS") ? "https://a.test,b*" : "*");
        assert_int_equal(s.disk_reserve, cases[i].reserve);
        (void)clear_env(state);
        arena_release(&a);
    }
}

static void test_bad_settings(void **state)
{
    static const struct {
        const char *env, *mentions;
    } cases[] = {
        {"MINIO_ROOT_USER=root", "MINIO_ROOT_PASSWORD is not set"},
        {"MINIO_ROOT_PASSWORD=password", "MINIO_ROOT_USER is not set"},
        {"MINIO_ROOT_USER=ab;MINIO_ROOT_PASSWORD=password", "MINIO_ROOT_USER must be at least 3"},
        {"MINIO_ROOT_USER=a=b;MINIO_ROOT_PASSWORD=password", "MINIO_ROOT_USER must not"},
        {"MINIO_ROOT_USER=root;MINIO_ROOT_PASSWORD=seven77", "MINIO_ROOT_PASSWORD must be at least 8"},
        {KEYS ";BELFRY_ROOT_PASSWORD=short", "BELFRY_ROOT_PASSWORD must"},
        {KEYS ";MINIO_SECRET_KEY_FILE=/nonexistent;MINIO_ROOT_PASSWORD=", "/nonexistent"},
        {KEYS ";MINIO_ROOT_USER_FILE=/nonexistent/file", "MINIO_ROOT_USER_FILE"},
        {KEYS ";MINIO_REGION=eu west", "MINIO_REGION is 'eu west'"},
        {KEYS ";MINIO_SITE_REGION=1", "MINIO_SITE_REGION"},
        {KEYS ";MINIO_SERVER_URL=not a url", "MINIO_SERVER_URL"},
        {KEYS ";MINIO_SERVER_URL=http://h/path", "without a path"},
        {KEYS ";MINIO_DOMAIN=a..b,/", "MINIO_DOMAIN"},
        {KEYS ";MINIO_DISK_RESERVE=10%", "MINIO_DISK_RESERVE"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena a;
        struct settings s;
        struct err e = {.text = ""};
        arena_init(&a);
        set_env(cases[i].env);
        assert_false(settings_load(&a, &s, &e));
        if (!strstr(e.text, cases[i].mentions))
            print_error("%s: %s\n", cases[i].env, e.text);
        assert_non_null(strstr(e.text, cases[i].mentions));
        (void)clear_env(state);
        arena_release(&a);
    }
}

static void test_secret_files(void **state)
{
    (void)state;
    char path[] = "/tmp/belfry-test-secret-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "from-a-file\n", 12), 12);
    (void)close(fd);
    struct arena a;
    struct settings s;
    struct err e;
    arena_init(&a);
    set_env(KEYS);
    (void)setenv("MINIO_ROOT_PASSWORD_FILE", path, 1);
    assert_true(settings_load(&a, &s, &e));
    assert_string_equal(s.root_password, "from-a-file");
    (void)setenv("BELFRY_ROOT_PASSWORD", "ours-comes-first", 1);
    assert_true(settings_load(&a, &s, &e));
    assert_string_equal(s.root_password, "ours-comes-first");
    (void)unlink(path);
    arena_release(&a);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes; /* -1: an error */
    } cases[] = {
        {"0", 0},
        {"1", 1},
        {"1k", 1024},
        {"2M", 2 << 20},
        {"3GiB", (int64_t)3 << 30},
        {"1TB", (int64_t)1 << 40},
        {"", -1},
        {"M", -1},
        {"-1", -1},
        {"1.5G", -1},
        {"1X", -1},
        {"1Mx", -1},
        {"1 M", -1},
        {"9999999999999T", -1},
        {"9223372036854775807", INT64_MAX},
        {"9223372036854775808", -1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t got = -1;
        assert_int_equal(config_parse_size(str_c(cases[i].text), &got), cases[i].bytes >= 0);
        assert_int_equal(got, cases[i].bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test_setup_teardown(test_server_lines, clear_env, clear_env),
        cmocka_unit_test_setup_teardown(test_bad_lines, clear_env, clear_env),
        cmocka_unit_test_setup_teardown(test_other_commands, clear_env, clear_env),
        cmocka_unit_test_setup_teardown(test_settings, clear_env, clear_env),
        cmocka_unit_test_setup_teardown(test_bad_settings, clear_env, clear_env),
        cmocka_unit_test_setup_teardown(test_secret_files, clear_env, clear_env),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
