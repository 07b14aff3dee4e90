/* SPDX-License-Identifier: Apache-2.0
 *
 * Restart and stop. The reply goes first; what is to be done is done once it is out (admin.c). */
#include "admin/request.h"
#include "base/json.h"
#include "base/log.h"

static void answer(struct admin_req *r, const char *name, enum service_action action)
{
    bool dry = str_eq(admin_query(r, "dry-run"), STR("true"));
    if (!dry) {
        r->service = action;
        log_info("server", "%s, as %.*s asked from %s", name, STR_FMT(r->id.access_key), r->http->peer_ip);
    }
    if (!str_eq(admin_query(r, "type"), STR("2"))) /* older clients want a status only */
        return;
    buf_printf(&r->out, "{\"action\":\"%s\",\"dryRun\":%s,\"results\":[{\"host\":", name,
               dry ? "true" : "false");
    json_quote(&r->out, str_c(r->admin->o.node));
    buf_puts(&r->out, "}]}\n");
}

void call_restart(struct admin_req *r)
{
    answer(r, "restart", SERVICE_RESTART);
}

void call_stop(struct admin_req *r)
{
    answer(r, "stop", SERVICE_STOP);
}

void call_no_freeze(struct admin_req *r)
{
    admin_set_error(r, ADMIN_NOT_BUILT,
                    "This version cannot hold requests back (freeze); stop the server instead.");
}
