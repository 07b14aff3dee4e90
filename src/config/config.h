/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings. One table row per key gives its parsing, its environment name, its help and (next) the text of
 * mc admin config. In this release values come from the environment: MINIO_<SUBSYS>_<KEY>[_<ID>], or the same with
 * BELFRY_ for MINIO_, which wins. An empty variable counts as unset. */
#ifndef BELFRY_CONFIG_CONFIG_H
#define BELFRY_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum config_type {
    CONFIG_STRING,   /* char * */
    CONFIG_ONOFF,    /* bool: on off true false 1 0 (any case), enabled disabled */
    CONFIG_NUMBER,   /* int64_t */
    CONFIG_DURATION, /* int64_t ms: Go syntax and d, plain numbers are seconds */
    CONFIG_PATH,     /* char *: absolute */
    CONFIG_URL,      /* char *: http or https with a host */
    CONFIG_SENTENCE, /* char * */
};
enum config_flags { CONFIG_SECRET = 1, CONFIG_REQUIRED = 2, CONFIG_ENV_ONLY = 4, CONFIG_OURS = 8 };

/* One key of a sub-system; tables end with a row whose name is NULL. */
struct config_key {
    const char *name;
    enum config_type type;
    unsigned flags;
    size_t offset;       /* of the member in the sub-system's struct */
    const char *fallback; /* default, as text */
    const char *env;     /* environment name after MINIO_<SUBSYS>_, when it is not the upper-cased name; else NULL */
    const char *help;
};

/* The value of an environment variable given by its MINIO_ name ("MINIO_REGION"); BELFRY_REGION wins. NULL when unset or
 * empty. Not thread-safe against setenv. */
const char *config_env(const char *minio_name);

/* The ids (target names) for which MINIO_<SUBSYS>_ENABLE[_<ID>] is set, sorted bytewise; "_" is the one without an id.
 * In the arena. *subsys as in "notify_webhook". */
size_t config_env_ids(const char *subsys, struct arena *a, struct str **ids);
/* Is ENABLE of that id on? Wrong text: false and err. */
bool config_env_enabled(const char *subsys, struct str id, bool *enabled, struct err *e);
/* Fills `conf` (keys' struct, zeroed by the caller; strings in the arena) from the environment over the defaults; false
 * and err (naming the variable, what is wrong and what would be right) at the first bad or missing required value. */
bool config_load(const char *subsys, const struct config_key *keys, struct str id, void *conf, struct arena *a, struct err *e);
bool config_parse_onoff(struct str s, bool *out);
bool config_parse_duration(struct str s, int64_t *ms);

#endif
