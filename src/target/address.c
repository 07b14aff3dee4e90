/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses in the settings of targets, taken apart. */
#include "target/address.h"

#include <stdio.h>
#include <string.h>

static bool split_port(struct str text, struct str *host, struct str *port)
{
    *port = (struct str){0};
    if (text.n > 0 && text.p[0] == '[') {
        ptrdiff_t end = str_chr(text, ']');
        if (end < 2)
            return false;
        *host = str_n(text.p + 1, (size_t)end - 1);
        struct str rest = str_from(text, (size_t)end + 1);
        if (rest.n > 0 && rest.p[0] != ':')
            return false;
        if (rest.n > 0)
            *port = str_from(rest, 1);
        return rest.n != 1;
    }
    ptrdiff_t colon = str_chr(text, ':');
    *host = colon < 0 ? text : str_head(text, (size_t)colon);
    if (colon >= 0)
        *port = str_from(text, (size_t)colon + 1);
    return host->n > 0 && (colon < 0 || port->n > 0);
}

static bool host_ok(struct str host)
{
    for (size_t i = 0; i < host.n; i++)
        if ((unsigned char)host.p[i] <= ' ' || host.p[i] == 0x7f || memchr("/@?#[],\\", host.p[i], 8))
            return false;
    return host.n > 0 && host.n < sizeof(((struct target_address *)0)->host);
}

bool target_address_parse(struct str text, const struct address_words *w, struct target_address *out,
                          struct err *e)
{
    struct str host, port;
    uint64_t number = 0;
    if (str_find(text, STR("://")) >= 0)
        return err_set(e, "%s must be host:port%s", w->setting, w->scheme);
    if (!split_port(text, &host, &port) || !host_ok(host))
        return err_set(e, "%s must be host:port, such as %s or [::1]:%s", w->setting, w->example, w->port);
    if (!str_to_u64(port.n > 0 ? port : str_c(w->port), &number) || number == 0 || number > 65535)
        return err_set(e, "%s must end in a port from 1 to 65535", w->setting);
    bool v6 = str_chr(host, ':') >= 0;
    (void)snprintf(out->host, sizeof(out->host), "%.*s", STR_FMT(host));
    (void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)number);
    (void)snprintf(out->shown, sizeof(out->shown), "%s%s%s:%s", v6 ? "[" : "", out->host, v6 ? "]" : "",
                   out->port);
    return true;
}
