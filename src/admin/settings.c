/* SPDX-License-Identifier: Apache-2.0
 *
 * mc admin config: each call is one of config/store.h. A change is stored and at work when its reply goes, and says so; then mc
 * does not ask for a restart. */
#include "admin/request.h"

#define HISTORY_SHOWN 10

/* What became of it, in the codes that clients know. */
static bool settle(struct admin_req *r, enum config_result res, const struct err *why)
{
    static const enum admin_error errors[] = {
        [CONFIG_OK] = ADMIN_NONE,        [CONFIG_REFUSED] = ADMIN_CONFIG_REFUSED,
        [CONFIG_BAD] = ADMIN_CONFIG_BAD, [CONFIG_MISSING] = ADMIN_CONFIG_MISSING,
        [CONFIG_FAILED] = ADMIN_STORE,
    };
    if (res != CONFIG_OK)
        admin_set_error(r, errors[res], why->text[0] ? arena_strz(&r->http->arena, str_c(why->text)) : NULL);
    return res == CONFIG_OK;
}

static void settle_change(struct admin_req *r, enum config_result res, const struct err *why)
{
    if (settle(r, res, why))
        r->extra = "X-Minio-Config-Applied: true\r\n";
}

void call_config_get(struct admin_req *r)
{
    struct err why = {0};
    (void)settle(r, config_get(r->admin->o.config, admin_query(r, "key"), &r->out, &why), &why);
}

void call_config_set(struct admin_req *r)
{
    struct err why = {0};
    settle_change(r, config_set(r->admin->o.config, buf_view(&r->body), &why), &why);
}

void call_config_del(struct admin_req *r)
{
    struct err why = {0};
    settle_change(r, config_del(r->admin->o.config, buf_view(&r->body), &why), &why);
}

void call_config_help(struct admin_req *r)
{
    struct err why = {0};
    struct str env;
    bool variables = query_get(&r->query, STR("env"), &env);
    (void)settle(r,
                 config_help(r->admin->o.config, admin_query(r, "subSys"), admin_query(r, "key"), variables,
                             &r->out, &why),
                 &why);
}

void call_config_export(struct admin_req *r)
{
    struct err why = {0};
    (void)settle(r, config_export(r->admin->o.config, &r->out, &why), &why);
}

void call_config_import(struct admin_req *r)
{
    struct err why = {0};
    settle_change(r, config_import(r->admin->o.config, buf_view(&r->body), &why), &why);
}

void call_history_list(struct admin_req *r)
{
    struct err why = {0};
    struct str text = admin_query(r, "count");
    uint64_t n = HISTORY_SHOWN;
    if (text.n && !str_to_u64(text, &n)) {
        admin_set_error(r, ADMIN_ARGUMENT, "count must be a number, not negative.");
        return;
    }
    (void)settle(r, config_history_list(r->admin->o.config, n, &r->out, &why), &why);
}

void call_history_clear(struct admin_req *r)
{
    struct err why = {0};
    (void)settle(r, config_history_clear(r->admin->o.config, admin_query(r, "restoreId"), &why), &why);
}

void call_history_restore(struct admin_req *r)
{
    struct err why = {0};
    settle_change(r, config_history_restore(r->admin->o.config, admin_query(r, "restoreId"), &why), &why);
}
