/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of sub-systems. */
#include "subsys.h"

#include <pthread.h>

#include "event/delivery_impl.h"
#include "target/target.h"

/* --- the server's own ------------------------------------------------------------------------------------------------ */

static const struct config_key server_keys[] = {
    {.name = "disk_reserve",
     .type = CONFIG_SIZE,
     .offset = offsetof(struct server_conf, disk_reserve),
     .help =
         "free space below which new data is refused, in bytes or as 512M, 2G; empty: 5 % of the disk, at "
         "least 256 MiB and at most 1 GiB"},
    {.name = "listen_history",
     .type = CONFIG_NUMBER,
     .offset = offsetof(struct server_conf, listen_history),
     .fallback = "100000",
     .help = "events that are kept for listeners who come back"},
    {.name = NULL},
};

static bool server_check(const void *conf, struct err *e)
{
    const struct server_conf *c = conf;
    return c->listen_history <= LISTEN_HISTORY_LIMIT ||
           err_set(e, "listen_history is %lld: at most %d events can be kept", (long long)c->listen_history,
                   LISTEN_HISTORY_LIMIT);
}

const struct config_subsys subsys_server = {
    .name = CONFIG_SERVER,
    .help = "settings of this server that other servers do not have",
    .keys = server_keys,
    .conf_size = sizeof(struct server_conf),
    .check = server_check,
};

bool subsys_server_load(const struct config_stored *st, struct server_conf *out, struct err *e)
{
    struct arena a;
    arena_init(&a);
    *out = (struct server_conf){0};
    bool ok = config_load_from(st, CONFIG_SERVER, server_keys, CONFIG_DEFAULT_ID, out, &a, e);
    if (ok && !server_check(out, e)) {
        out->listen_history = LISTEN_HISTORY_LIMIT;
        ok = false;
    }
    arena_release(&a);
    return ok;
}

/* --- all of them ----------------------------------------------------------------------------------------------------- */

static const char *const order[] = {
    "notify_webhook", "notify_amqp",  "notify_kafka",    "notify_mqtt",          "notify_nats",
    "notify_nsq",     "notify_mysql", "notify_postgres", "notify_elasticsearch", "notify_redis",
};
#define TARGETS (sizeof order / sizeof order[0])

static struct config_subsys all[TARGETS + 1];
static const struct config_table table = {all, TARGETS + 1};

static const struct target_type *find(const char *subsys)
{
    const struct target_type *const *t = target_types;
    while (strcmp((*t)->subsys, subsys) != 0)
        t++;
    return *t;
}

#define QUEUE_DIR_MS 3000

/* Every struct of settings of a target begins with what all kinds have. */
static bool prepare(const void *conf, struct err *e)
{
    const struct target_common *c = conf;
    if (!c->queue_dir || !c->queue_dir[0])
        return true;
    return queue_dir_try(c->queue_dir, QUEUE_DIR_MS, e);
}

static void make(void)
{
    for (size_t i = 0; i < TARGETS; i++) {
        const struct target_type *t = find(order[i]);
        all[i] = (struct config_subsys){
            .name = t->subsys,
            .alias = t->alias,
            .help = t->help,
            .keys = t->keys,
            .help_order = t->help_order,
            .aliases = t->aliases,
            .type = t->name,
            .conf_size = t->conf_size,
            .check = t->check,
            .prepare = prepare,
        };
    }
    all[TARGETS] = subsys_server;
}

const struct config_table *subsys_table(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, make);
    return &table;
}
