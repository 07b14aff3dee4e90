/* SPDX-License-Identifier: Apache-2.0
 *
 * What webhook decides by looking at text alone: its token, statuses. */
#include <stdio.h>

#include "target/webhook.h"

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool webhook_authorization(struct str token, struct buf *out)
{
    size_t words = 0;
    for (size_t i = 0; i < token.n; i++)
        words += !is_space(token.p[i]) && (i == 0 || is_space(token.p[i - 1]));
    if (words != 1 && words != 2)
        return false;
    if (words == 1)
        buf_puts(out, "Bearer ");
    buf_str(out, str_trim(token));
    return true;
}

enum send_result webhook_outcome(long status, const char *shown, struct str location, const char *id,
                                 char *why, size_t why_n)
{
    const char *suffix = strcmp(id, "_") == 0 ? "" : id, *line = *suffix ? "_" : "";
    why[0] = 0;
    if (status >= 200 && status <= 299)
        return SEND_OK;
    switch (status) {
    case 400:
    case 413:
    case 415:
    case 422:
        (void)snprintf(why, why_n, "%s answered %ld: it refuses this event", shown, status);
        return SEND_REJECT;
    case 401:
    case 403:
        (void)snprintf(why, why_n, "%s answered %ld: check MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN%s%s", shown,
                       status, line, suffix);
        return SEND_RETRY;
    case 407:
        (void)snprintf(why, why_n, "the proxy before %s answered 407: check user and password in HTTP_PROXY",
                       shown);
        return SEND_RETRY;
    case 404:
    case 405:
    case 410:
        (void)snprintf(why, why_n, "%s answered %ld: check the path in MINIO_NOTIFY_WEBHOOK_ENDPOINT%s%s",
                       shown, status, line, suffix);
        return SEND_RETRY;
    case 408:
    case 429:
    case 503:
        (void)snprintf(why, why_n, "%s answered %ld: it is too busy", shown, status);
        return SEND_RETRY;
    default:
        break;
    }
    if (status >= 300 && status <= 399 && location.n > 0)
        (void)snprintf(
            why, why_n,
            "%s answered %ld, it moved to %.*s: set MINIO_NOTIFY_WEBHOOK_ENDPOINT%s%s to where it is", shown,
            status, (int)(location.n < 90 ? location.n : 90), location.p, line, suffix);
    else
        (void)snprintf(why, why_n, "%s answered %ld: check the receiver", shown, status);
    return SEND_RETRY;
}
