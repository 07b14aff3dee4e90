/* SPDX-License-Identifier: Apache-2.0
 *
 * What is reported: error texts, broken promises, the log, crash points. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

/* Runs fn in a child with stderr into a pipe. Returns the wait status; text gets what was written. */
static int in_child(void (*fn)(void), char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], 2);
        (void)close(ends[0]);
        (void)close(ends[1]);
        fn();
        _exit(0);
    }
    (void)close(ends[1]);
    size_t n = 0;
    for (;;) {
        ssize_t got = read(ends[0], text + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = 0;
    (void)close(ends[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void errors(void **state)
{
    (void)state;
    struct err e = {0};
    assert_false(err_set(&e, "disk %d", 3));
    assert_string_equal(e.text, "disk 3");
    errno = ENOENT;
    assert_false(err_errno(&e, "open %s", "f"));
    assert_string_equal(e.text, "open f: No such file or directory");
    assert_int_equal(errno, ENOENT);
    char longer[2000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    assert_false(err_set(&e, "%s", longer));
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    errno = EIO;
    assert_false(err_errno(&e, "%s", longer));
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_false(err_set(NULL, "x"));
    assert_false(err_errno(NULL, "x"));
}

static void allocation(void **state)
{
    (void)state;
    char *p = x_realloc(x_malloc(0), 100);
    char *z = x_strdup("abc"), *zeros = x_calloc(3, 5);
    assert_string_equal(z, "abc");
    for (int i = 0; i < 15; i++)
        assert_int_equal(zeros[i], 0);
    free(p);
    free(z);
    free(zeros);
}

static void call_bug(void)
{
    BUG_ON(1 + 1 == 3);
    BUG("lost %d", 7);
}

static void bug(void **state)
{
    (void)state;
    char text[1000];
    int status = in_child(call_bug, text, sizeof(text));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(text, "lost 7"));
    assert_non_null(strstr(text, "test_report.c"));
    assert_null(strstr(text, "1 + 1"));
}

static int64_t mono, real_ = INT64_C(1769941230123000000);
static int64_t fixed_mono(void)
{
    return mono;
}
static int64_t fixed_real(void)
{
    return real_;
}

static void log_repeats(void)
{
    clock_mono_ns = fixed_mono;
    clock_real_ns = fixed_real;
    log_init(false, false);
    for (int i = 0; i < 26; i++) {
        if (i == 25)
            mono += INT64_C(10001000000);
        log_warn("area", "line %d", i);
    }
    log_debug("area", "not without the variable");
    log_error("area", "two\nlines\x1b[0m");
}

static void log_text(void **state)
{
    (void)state;
    char text[8000];
    (void)unsetenv("BELFRY_LOG_DEBUG");
    assert_int_equal(in_child(log_repeats, text, sizeof(text)), 0);
    assert_true(str_starts(str_c(text), STR("2026-02-01T10:20:30.123Z WARN  area: line 0\n")));
    assert_non_null(strstr(text, "area: line 9\n"));
    assert_null(strstr(text, "line 10"));
    assert_null(strstr(text, "line 24"));
    assert_non_null(strstr(text, "area: line 25 (15 more lines like this were held back)\n"));
    assert_non_null(strstr(text, "ERROR area: two\\x0alines\\x1b[0m\n"));
    assert_null(strstr(text, "not without"));
}

static void log_json(void)
{
    clock_real_ns = fixed_real;
    log_init(true, true);
    log_info("area", "quiet leaves this out");
    log_warn("area", "say \"%s\"", "x");
}

static void log_as_json(void **state)
{
    (void)state;
    char text[1000];
    assert_int_equal(in_child(log_json, text, sizeof(text)), 0);
    assert_string_equal(
        text, "{\"time\":\"2026-02-01T10:20:30.123Z\",\"level\":\"WARN\",\"area\":\"area\",\"message\":"
              "\"say \\\"x\\\"\"}\n");
}

static void pass_points(void)
{
    if (!crash_init())
        _exit(2);
    for (int i = 0; i < 3; i++) {
        crash_point(CRASH_BLOB_SYNCED);
        crash_point(CRASH_BATCH_WRITTEN);
        (void)!write(2, "x", 1);
    }
}

static void crash(void **state)
{
    (void)state;
    static const struct {
        const char *value, *written;
        int signal, code;
    } cases[] = {
        {"", "xxx", 0, 0},
        {"batch-written", "", SIGKILL, 0},
        {"batch-written:1", "", SIGKILL, 0},
        {"batch-written:3", "xx", SIGKILL, 0},
        {"batch-written:4", "xxx", 0, 0},
        {"before-reply:1", "xxx", 0, 0},
        {"no-such-point:1", "", 0, 2},
        {"batch-written:0", "", 0, 2},
        {"batch-written:x", "", 0, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[100];
        (void)setenv("BELFRY_CRASH_AT", cases[i].value, 1);
        int status = in_child(pass_points, text, sizeof(text));
        assert_string_equal(text, cases[i].written);
        if (cases[i].signal)
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == cases[i].signal);
        else
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == cases[i].code);
    }
    (void)unsetenv("BELFRY_CRASH_AT");
    assert_string_equal(crash_point_name(CRASH_BLOB_HALF), "blob-half");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors),   cmocka_unit_test(allocation),  cmocka_unit_test(bug),
        cmocka_unit_test(log_text), cmocka_unit_test(log_as_json), cmocka_unit_test(crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
