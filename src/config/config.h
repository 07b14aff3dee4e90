/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings. One table row per key gives its parsing, its environment name, its help, its page in docs/ and the text of
 * mc admin config. The value of a key is that of its variable, MINIO_<SUBSYS>_<KEY>[_<ID>] or the same with BELFRY_ for
 * MINIO_, which wins; else the one that is stored (store.h); else the default. An empty variable counts as unset. */
#ifndef BELFRY_CONFIG_CONFIG_H
#define BELFRY_CONFIG_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum config_type {
    CONFIG_STRING,   /* char * */
    CONFIG_ONOFF,    /* bool: on off true false 1 0 (any case), enabled disabled */
    CONFIG_NUMBER,   /* int64_t, not negative */
    CONFIG_DURATION, /* int64_t ms: Go syntax and d, plain numbers are seconds */
    CONFIG_PATH,     /* char *: absolute */
    CONFIG_URL,      /* char *: http or https with a host */
    CONFIG_SENTENCE, /* char * */
    CONFIG_CHOICE,   /* int: index into `choices` */
    CONFIG_SIZE,     /* int64_t bytes: plain, or with K, M, G, T; empty: -1 */
};
enum config_flags {
    CONFIG_SECRET = 1,   /* never shown */
    CONFIG_REQUIRED = 2, /* an enabled target needs a value */
    CONFIG_ENV_ONLY = 4, /* a variable, but no key of mc admin config */
    CONFIG_OURS = 8,     /* MinIO has no such key: printed only when set, and last */
    CONFIG_HIDDEN = 16,  /* not printed while it is empty */
    CONFIG_LOGIN = 32,   /* may hold a password (URL, DSN): shown without it */
    CONFIG_QUOTED = 64,  /* quotes around the value of a variable are part of it */
};

/* One key of a sub-system; tables end with a row whose name is NULL. */
struct config_key {
    const char *name;
    enum config_type type;
    unsigned flags;
    size_t offset;        /* of the member in the sub-system's struct */
    const char *fallback; /* default, as text */
    /* environment name after MINIO_<SUBSYS>_, when it is not the upper-cased name; else NULL */
    const char *env;
    const char *help;
    const char *choices; /* CONFIG_CHOICE: "drop|reject" */
    /* the type that help shows, where it is not that of `type`: "csv" */
    const char *help_type;
    const char *note; /* where we differ from `help`, which is MinIO's text; for our own pages */
};

/* A spelling that is understood in mc admin config set beside the names of the keys. */
struct config_alias {
    const char *name; /* "tls_enable" */
    const char *key;  /* what it means; NULL: it is refused */
    const char *why;  /* then: "removed; use dsn_string" */
};

/* A sub-system of mc admin config. */
struct config_subsys {
    const char *name;              /* "notify_webhook" */
    const char *alias;             /* "notify_postgresql"; NULL: none */
    const char *help;              /* one line */
    const struct config_key *keys; /* in stored order: MinIO's, comment, ours */
    /* Names of keys in the order of help; those that it does not name follow in stored order. NULL: stored order. */
    const char *help_order;
    const struct config_alias *aliases; /* ends with a row without a name; NULL: none */
    const char *
        type; /* "webhook": it has targets, each with `enable`, and this is the last part of their ARN; NULL: none */
    size_t conf_size;
    bool (*check)(const void *conf, struct err *e); /* pure; NULL: none */
    /* Makes what the settings name on this machine, when they are changed: a folder. A change that names what cannot be made
     * is refused. NULL: nothing. */
    bool (*prepare)(const void *conf, struct err *e);
};

/* Settings as they are stored: an immutable snapshot. */
struct config_stored;

/* The settings of the server itself, which have no targets: their variables are MINIO_<KEY>. */
#define CONFIG_SERVER "belfry"
/* The target without an id. */
#define CONFIG_DEFAULT_ID STR("_")
#define CONFIG_ID_MAX     64
/* Ids end up in ARNs, folders and rows: letters, digits, _ - and, not at the front, a dot. Pure. */
bool config_id_ok(struct str id);

/* --- variables ------------------------------------------------------------------------------------------------------ */

/* The value of an environment variable given by its MINIO_ name ("MINIO_REGION"); BELFRY_REGION wins. NULL when unset or
 * empty. Not thread-safe against setenv. */
const char *config_env(const char *minio_name);
/* The name of the variable of a key: "MINIO_NOTIFY_WEBHOOK_ENDPOINT_primary"; id "_" has no suffix. In the arena. */
const char *config_env_name(struct arena *a, const char *subsys, const struct config_key *key, struct str id);
/* The key `enable` that every sub-system with targets has. */
extern const struct config_key config_enable_key;

/* The ids (target names) for which MINIO_<SUBSYS>_ENABLE[_<ID>] is set, sorted bytewise; "_" is the one without an id.
 * In the arena. *subsys as in "notify_webhook". */
size_t config_env_ids(const char *subsys, struct arena *a, struct str **ids);
/* Is ENABLE of that id on? Wrong text: false and err. */
bool config_env_enabled(const char *subsys, struct str id, bool *enabled, struct err *e);

/* --- settings: variable, else stored, else default. st NULL: nothing is stored. Any thread, as long as st stays -------- */

/* The ids that have a variable ENABLE or are stored, sorted bytewise. In the arena. */
size_t config_ids(const struct config_stored *st, const char *subsys, struct arena *a, struct str **ids);
bool config_enabled(const struct config_stored *st, const char *subsys, struct str id, bool *enabled,
                    struct err *e);
/* Where a value comes from. */
struct config_value {
    struct str text;      /* in the arena, in the settings, or static */
    const char *variable; /* its name, in the arena; NULL: stored or default */
    bool stored;
    bool quoted; /* quotes around the whole variable were taken off */
};
struct config_value config_value(const struct config_stored *st, const char *subsys,
                                 const struct config_key *key, struct str id, struct arena *a);
/* Fills `conf` (keys' struct, zeroed by the caller; strings in the arena). Quotes around a whole variable, as docker and
 * systemd leave them, are taken off with a warning. False and err (naming the variable or the key, what is wrong and what
 * would be right) for the first bad or missing required value; that key keeps its default and all others are filled in none
 * the less. */
bool config_load_from(const struct config_stored *st, const char *subsys, const struct config_key *keys,
                      struct str id, void *conf, struct arena *a, struct err *e);
/* The same out of the environment alone. */
bool config_load(const char *subsys, const struct config_key *keys, struct str id, void *conf,
                 struct arena *a, struct err *e);
/* Appends all values of a target as one text, so that two states can be compared. */
void config_fingerprint(const struct config_stored *st, const char *subsys, const struct config_key *keys,
                        struct str id, struct buf *out);

/* --- help ------------------------------------------------------------------------------------------------------------ */

/* The keys of a sub-system in the order of help, ours last; `env`: with those that are variables only. Neither has
 * `enable`. In the arena. */
size_t config_help_keys(const struct config_subsys *s, bool env, struct arena *a,
                        const struct config_key ***out);
/* The type of a key as help shows it: "on|off", "namespace*|access". In the arena. */
struct str config_help_type(const struct config_key *key, struct arena *a);

/* --- values: pure --------------------------------------------------------------------------------------------------- */

/* Is that a value of the key? False and err, which names the key as `name` and never shows a secret. */
bool config_check_value(const struct config_key *key, struct str value, const char *name, struct err *e);
/* The value as it may be shown: passwords in URLs and DSNs are replaced. In the arena. */
struct str config_shown(const struct config_key *key, struct str value, struct arena *a);
/* Text to value. Durations: a plain number is seconds, else Go's form ("1m30s", "1.5h", "250ms"; also d for days); not
 * negative, up to 100 years. Sizes: "1048576", "512M", "2GiB". */
bool config_parse_onoff(struct str s, bool *out);
bool config_parse_duration(struct str s, int64_t *ms);
bool config_parse_size(struct str s, int64_t *bytes);
/* An http or https URL with a host, without blanks or control characters. */
bool config_is_url(struct str s);

#endif
