/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes of bytes in HTTP/1.1 messages (RFC 9110 5.6.2, RFC 9112 3). */
#ifndef BELFRY_HTTP_CHARS_H
#define BELFRY_HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>

#define CH_TOKEN 1 /* tchar: names of methods and fields */
#define CH_VALUE 2 /* field-vchar, obs-text, blank, tab */
#define CH_TARGET \
    4 /* visible ASCII but '#': what a request target may hold. Wider than RFC 3986 ('"<>\^`{|}' pass): it
                       opens no second reading, and clients send them in keys */
#define CH_HOST 8 /* uri-host and port: unreserved, sub-delims, % [ ] : */

extern const uint8_t http_char[256];

static inline bool http_is(char c, uint8_t class)
{
    return (http_char[(uint8_t)c] & class) != 0;
}

#endif
