/* SPDX-License-Identifier: Apache-2.0
 *
 * Stored settings: what mc admin config set, get, reset, export, import and history work on. The text forms are those of
 * notifications.md 3.5 (set) and 3.6 (get, export), the JSON ones those of 8.2 and 8.3.
 *
 * A change is parsed, judged and written with its entry of the history in one durable commit, then handed to the apply
 * hook; only then the call returns. Changes run one after the other and are applied in that order. Values are secrets:
 * they are in the rows, in export and in the history, never in the log, in `get` or in an error text.
 *
 * Rows (KV_META): k c -> all settings; k h number -> one entry of the history.
 *
 * All calls but config_open, config_on_change and config_close are for workers: they read the disk, wait for the commit and
 * for what the hook does (seconds, when a sender has to be stopped). Never on an I/O thread. */
#ifndef BELFRY_CONFIG_STORE_H
#define BELFRY_CONFIG_STORE_H

#include "config/config.h"
#include "kv/kv.h"

struct config;

/* What became of a call. `why` says it in words that may be shown to the client. */
enum config_result {
    CONFIG_OK,
    CONFIG_REFUSED, /* 400 XMinioConfigError: the text, a key, a value, a sub-system */
    CONFIG_BAD, /* 400 XMinioAdminConfigBadJSON: "error (ID:TYPE): ..." the settings of a target do not fit together */
    CONFIG_MISSING, /* 404 XMinioConfigNotFoundError: no such target, key or entry of the history */
    CONFIG_FAILED,  /* 503: the store takes no changes, or cannot be read */
};

#define CONFIG_TEXT_MAX    262272      /* bytes of a text that is set or imported, and of all settings */
#define CONFIG_HISTORY_MAX 100         /* entries kept; the oldest go first */
#define CONFIG_OUT_MAX     (16u << 20) /* for the buffers of what is asked; a fuller one has `failed` */

/* The sub-systems there are, in the order in which they are listed. Must outlive the config. */
struct config_table {
    const struct config_subsys *v;
    size_t n;
};
const struct config_subsys *config_find(const struct config_table *table,
                                        struct str name); /* or its alias; NULL */

/* Reads the stored settings. NULL and err: the rows cannot be read. A value that is no longer understood stays stored and
 * is told of when it is loaded. */
struct config *config_open(struct kv *kv, const struct config_table *table, struct err *e);
void config_close(struct config *c);

/* `apply` is called after every change, on the thread that makes it, one call at a time, with all settings as they are
 * stored now (valid during the call). Set before the first change. */
void config_on_change(struct config *c, void (*apply)(void *ctx, const struct config_stored *now), void *ctx);
/* Calls `apply` with the settings as they are, in turn with the changes: what they refer to outside is another. */
void config_apply_again(struct config *c);
/* What is stored now: a snapshot of its own, to be given back with config_stored_free. Any thread. */
struct config_stored *config_snapshot(struct config *c);
void config_stored_free(struct config_stored *st);

/* --- changing ------------------------------------------------------------------------------------------------------ */

/* Merges lines of "subsys[:target] key=value ..." over what is stored: all of them or none. A target that is named in the
 * text must be valid, other ones are left alone. The text becomes an entry of the history. */
enum config_result config_set(struct config *c, struct str text, struct err *why);
/* "subsys[:target]": forgets the target; "subsys[:target] key ...": sets those keys back to their defaults. Several lines
 * may be given. */
enum config_result config_del(struct config *c, struct str text, struct err *why);
/* Replaces everything that is stored by the text (of an export). Sub-systems that are not known are skipped, with a line in
 * the log. The text becomes an entry of the history. */
enum config_result config_import(struct config *c, struct str text, struct err *why);

/* --- asking (appended to out; secrets only in export and history) ------------------------------------------------------- */

/* key: "subsys" (all targets), "subsys:" (the default one), "subsys:target". */
enum config_result config_get(struct config *c, struct str key, struct buf *out, struct err *why);
enum config_result config_export(struct config *c, struct buf *out, struct err *why);
/* The JSON of help, with a line feed at the end. subsys "": all sub-systems; "subsys:target" is taken for "subsys". key "":
 * all keys. env: names of variables instead of keys. */
enum config_result config_help(struct config *c, struct str subsys, struct str key, bool env, struct buf *out,
                               struct err *why);

/* --- history ---------------------------------------------------------------------------------------------------------- */

/* The newest `count` entries (0: all), oldest first: [{"restoreId":...,"createTime":...,"data":...}]. */
enum config_result config_history_list(struct config *c, size_t count, struct buf *out, struct err *why);
/* id: of an entry, or "all". */
enum config_result config_history_clear(struct config *c, struct str id, struct err *why);
/* Merges the text of an entry over what is stored and takes the entry out of the history, in one commit. Everything that is
 * enabled has to be valid then. */
enum config_result config_history_restore(struct config *c, struct str id, struct err *why);

#endif
