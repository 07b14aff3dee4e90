/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables that nothing reads. */
#include "unread.h"

#include "base/log.h"
#include "cmdline.h"
#include "settings.h"
#include "target/target.h"

#define NAMED_MAX 12 /* the rest is counted: a log line has an end */

extern char **environ;

/* Is `name` the key, or the key with _ID behind it? `key` in either case of letters. */
static bool names_key(struct str name, struct str key)
{
    return str_istarts(name, key) && (name.n == key.n || name.p[key.n] == '_');
}

/* name: what follows MINIO_ or BELFRY_. */
static bool target_reads(struct str name)
{
    for (const struct target_type *const *t = target_types; *t; t++) {
        struct str subsys = str_c((*t)->subsys);
        if (!names_key(name, subsys) || name.n == subsys.n)
            continue;
        struct str rest = str_from(name, subsys.n + 1);
        if (names_key(rest, STR("ENABLE")))
            return true;
        for (const struct config_key *k = (*t)->keys; k->name; k++)
            if (names_key(rest, str_c(k->env ? k->env : k->name)))
                return true;
    }
    return false;
}

bool unread_variable(struct str name)
{
    bool minio = str_starts(name, STR("MINIO_"));
    if (!minio && !str_starts(name, STR("BELFRY_NOTIFY_")))
        return false;
    name = str_from(name, minio ? strlen("MINIO_") : strlen("BELFRY_"));
    return !target_reads(name) && !settings_reads(name) && !cmdline_reads(name);
}

void unread_warn(void)
{
    struct buf names;
    size_t n = 0;
    buf_init(&names, 4096);
    for (char **v = environ; v && *v; v++) {
        struct str var = str_c(*v);
        ptrdiff_t eq = str_chr(var, '=');
        if (eq <= 0 || (size_t)eq + 1 == var.n || !unread_variable(str_head(var, (size_t)eq)))
            continue;
        if (n++ < NAMED_MAX)
            buf_printf(&names, "%s%.*s", n > 1 ? ", " : "", (int)(eq < 100 ? eq : 100), var.p);
    }
    if (n > NAMED_MAX)
        buf_printf(&names, " and %zu more", n - NAMED_MAX);
    if (n)
        log_warn(
            "server",
            "set, but nothing in this version reads it: %.*s; see 'belfry help environment' for what is read",
            STR_FMT(buf_view(&names)));
    buf_release(&names);
}
