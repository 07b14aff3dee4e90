/* SPDX-License-Identifier: Apache-2.0
 *
 * What the server prints when it is ready. */
#include "banner.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include "base/clock.h"
#include "base/json.h"

#define URLS_MAX 64

struct urls {
    struct arena *arena;
    struct str port;
    const char *scheme;
    struct str *v;
    size_t n;
};

static void add(struct urls *u, const char *host, bool brackets)
{
    if (u->n < URLS_MAX)
        u->v[u->n++] = arena_printf(u->arena, "%s://%s%s%s:%.*s", u->scheme, brackets ? "[" : "", host,
                                    brackets ? "]" : "", STR_FMT(u->port));
}

enum which { V4_OUTSIDE, V6_OUTSIDE, V4_LOOPBACK };

static void add_interface(struct urls *u, const struct ifaddrs *i, enum which which)
{
    char host[INET6_ADDRSTRLEN];
    if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
        return;
    bool loopback = i->ifa_flags & IFF_LOOPBACK;
    if (i->ifa_addr->sa_family == AF_INET && which != V6_OUTSIDE && loopback == (which == V4_LOOPBACK)) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)i->ifa_addr;
        if (inet_ntop(AF_INET, &in->sin_addr, host, sizeof host))
            add(u, host, false);
    } else if (i->ifa_addr->sa_family == AF_INET6 && which == V6_OUTSIDE && !loopback) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)i->ifa_addr;
        if (!IN6_IS_ADDR_LINKLOCAL(&in->sin6_addr) && inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host))
            add(u, host, true);
    }
}

static void add_interfaces(struct urls *u, bool v6)
{
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0)
        list = NULL;
    for (enum which w = V4_OUTSIDE; w <= V4_LOOPBACK; w++)
        for (const struct ifaddrs *i = list; i && (v6 || w != V6_OUTSIDE); i = i->ifa_next)
            add_interface(u, i, w);
    freeifaddrs(list);
    if (u->n == 0)
        add(u, "127.0.0.1", false);
}

size_t banner_urls(struct arena *a, const char *address, bool tls, struct str **out)
{
    struct str s = str_c(address);
    const char *colon = strrchr(address, ':');
    size_t at = colon ? (size_t)(colon - address) : s.n;
    struct str host = str_head(s, at);
    struct urls u = {.arena = a, .port = str_from(s, at + 1), .scheme = tls ? "https" : "http"};
    u.v = ARENA_ARRAY(a, struct str, URLS_MAX);
    if (str_eq(host, STR("0.0.0.0")) || str_eq(host, STR("[::]")))
        add_interfaces(&u, host.p[0] == '[');
    else
        add(&u, arena_strz(a, host), false);
    *out = u.v;
    return u.n;
}

void banner_text(struct buf *b, const struct str *urls, size_t n_urls, const struct str *arns, size_t n_arns)
{
    buf_puts(b, "API: ");
    for (size_t i = 0; i < n_urls; i++) {
        buf_str(b, urls[i]);
        buf_puts(b, i + 1 < n_urls ? "  " : "\n");
    }
    if (n_arns == 0)
        return;
    buf_puts(b, "SQS ARNs: ");
    for (size_t i = 0; i < n_arns; i++) {
        buf_str(b, arns[i]);
        buf_char(b, ' ');
    }
    buf_puts(b, "\n\n");
}

static void json_array(struct buf *b, const char *name, const struct str *v, size_t n)
{
    buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(b, ',');
        json_quote(b, v[i]);
    }
    buf_char(b, ']');
}

void banner_json(struct buf *b, const struct str *urls, size_t n_urls, const struct str *arns, size_t n_arns,
                 int64_t now_ns)
{
    char now[CLOCK_ISO_MS_LEN];
    clock_iso_ms(now_ns, now);
    buf_puts(b, "{\"time\":\"");
    buf_put(b, now, sizeof now);
    buf_puts(b, "\",\"level\":\"INFO\",\"area\":\"server\",\"message\":\"ready\"");
    json_array(b, "api", urls, n_urls);
    json_array(b, "sqsARNs", arns, n_arns);
    buf_puts(b, "}\n");
}
