/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored settings over rows in memory, in an environment without any of ours. */
#ifndef BELFRY_TESTS_CONFIG_HOUSE_H
#define BELFRY_TESTS_CONFIG_HOUSE_H

#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "config/store.h"
#include "config/stored.h"
#include "subsys.h"

struct house {
    struct kv *kv;
    struct config *c;
    unsigned applied;
    struct err why;
    struct buf out;
};

static inline void on_change(void *ctx, const struct config_stored *now)
{
    struct house *h = ctx;
    assert_non_null(now);
    h->applied++;
}

static inline void open_config(struct house *h)
{
    h->c = config_open(h->kv, subsys_table(), &h->why);
    assert_non_null(h->c);
    config_on_change(h->c, on_change, h);
}

static inline void clear_env(void)
{
    extern char **environ;
    for (size_t i = 0; environ[i];) {
        struct str var = str_c(environ[i]);
        if (str_starts(var, STR("MINIO_")) || str_starts(var, STR("BELFRY_"))) {
            char *name = str_dupz(str_head(var, (size_t)str_chr(var, '=')));
            unsetenv(name);
            free(name);
        } else {
            i++;
        }
    }
}

static inline int setup(void **state)
{
    struct house *h = calloc(1, sizeof(*h));
    clear_env();
    h->kv = kv_open_memory();
    buf_init(&h->out, CONFIG_OUT_MAX);
    open_config(h);
    *state = h;
    return 0;
}

static inline int teardown(void **state)
{
    struct house *h = *state;
    config_close(h->c);
    kv_close(h->kv);
    buf_release(&h->out);
    clear_env();
    free(h);
    return 0;
}

static inline void set(struct house *h, const char *text)
{
    enum config_result r = config_set(h->c, str_c(text), &h->why);
    if (r != CONFIG_OK)
        fail_msg("%s: %s", text, h->why.text);
}

static inline void refuse_set(struct house *h, const char *text, enum config_result want, const char *why)
{
    unsigned applied = h->applied;
    assert_int_equal(config_set(h->c, str_c(text), &h->why), want);
    assert_string_equal(h->why.text, why);
    assert_int_equal(h->applied, applied);
}

static inline const char *shown(struct house *h)
{
    buf_char(&h->out, 0);
    assert_false(h->out.failed);
    return h->out.p;
}

static inline void expect_get(struct house *h, const char *key, const char *want)
{
    buf_reset(&h->out);
    if (config_get(h->c, str_c(key), &h->out, &h->why) != CONFIG_OK)
        fail_msg("%s: %s", key, h->why.text);
    assert_string_equal(shown(h), want);
}

static inline const char *export(struct house *h)
{
    buf_reset(&h->out);
    assert_int_equal(config_export(h->c, &h->out, &h->why), CONFIG_OK);
    return shown(h);
}

#define WEBHOOK_DEFAULT \
    "notify_webhook enable=off endpoint= auth_token= queue_limit=0 queue_dir= client_cert= client_key= \n"

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
