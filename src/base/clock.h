/* SPDX-License-Identifier: Apache-2.0
 *
 * Time. The two clocks are function pointers so that tests can set them; BELFRY_TEST_CLOCK_OFFSET_S shifts the wall
 * clock for tests that step it. */
#ifndef BELFRY_BASE_CLOCK_H
#define BELFRY_BASE_CLOCK_H

#include "base/buf.h"

/* Wall clock, ns since 1970; steady clock, ns since some start. */
extern int64_t (*clock_real_ns)(void);
extern int64_t (*clock_mono_ns)(void);
static inline int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}

#define CLOCK_ISO_MS_LEN 24 /* 2026-02-01T10:20:30.123Z */
#define CLOCK_HTTP_LEN   29 /* Sun, 01 Feb 2026 10:20:30 GMT */
#define CLOCK_AMZ_LEN    16 /* 20260201T102030Z */
/* Formats of a wall-clock time in ns, written without NUL; out must have room for the length above. */
void clock_iso_ms(int64_t ns, char *out);
void clock_http(int64_t ns, char *out); /* IMF-fixdate, RFC 9110 5.6.7 */
void clock_amz(int64_t ns, char *out);  /* ISO 8601 basic, SigV4 */
/* Parsing; false when malformed. HTTP dates: the three forms of RFC 9110 5.6.7. Seconds since 1970. */
bool clock_parse_http(struct str s, int64_t *seconds);
bool clock_parse_amz(struct str s, int64_t *seconds);
bool clock_parse_iso(struct str s, int64_t *ns); /* 2026-02-01T10:20:30[.fraction]Z */

#endif
