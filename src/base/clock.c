/* SPDX-License-Identifier: Apache-2.0
 *
 * The clocks, and the forms in which S3 and HTTP write dates. The calendar is proleptic Gregorian, UTC,
 * without leap seconds, computed here because gmtime is slow and strptime depends on the locale. */
#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"

#define NS_PER_S  INT64_C(1000000000)
#define S_PER_DAY INT64_C(86400)

static pthread_once_t offset_once = PTHREAD_ONCE_INIT;
static int64_t offset_ns;

static void read_offset(void)
{
    const char *z = getenv("BELFRY_TEST_CLOCK_OFFSET_S");
    int64_t s;
    if (z && str_to_i64(str_c(z), &s) && s > -INT64_C(2000000000) && s < INT64_C(2000000000))
        offset_ns = s * NS_PER_S;
}

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    BUG_ON(clock_gettime(id, &ts) != 0);
    return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t real_ns(void)
{
    pthread_once(&offset_once, read_offset);
    return read_clock(CLOCK_REALTIME) + offset_ns;
}

static int64_t mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t (*clock_real_ns)(void) = real_ns;
int64_t (*clock_mono_ns)(void) = mono_ns;

struct civil {
    int64_t year;
    unsigned month, day; /* from 1 */
    unsigned hour, minute, second;
    unsigned weekday; /* 0: Sunday */
};

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekdays[] = "SunMonTueWedThuFriSat";

/* Days since 1970-01-01, counted in eras of 400 years that begin on 1 March, so that the leap day is the
 * last. */
static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (int64_t)(m > 2 ? m - 3 : m + 9) + 2) / 5 + (int64_t)d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static struct civil civil_from_seconds(int64_t s)
{
    int64_t days = floor_div(s, S_PER_DAY);
    unsigned rest = (unsigned)(s - days * S_PER_DAY);
    int64_t z = days + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (unsigned)((5 * doy + 2) / 153);
    struct civil c = {
        .day = (unsigned)(doy - (153 * mp + 2) / 5) + 1,
        .month = mp < 10 ? mp + 3 : mp - 9,
        .hour = rest / 3600,
        .minute = rest / 60 % 60,
        .second = rest % 60,
        .weekday = (unsigned)(((days + 4) % 7 + 7) % 7),
    };
    c.year = yoe + era * 400 + (c.month <= 2);
    return c;
}

static char *put_digits(char *out, uint64_t v, unsigned n)
{
    for (unsigned i = n; i-- > 0; v /= 10)
        out[i] = (char)('0' + v % 10);
    return out + n;
}

static char *put_time(char *p, const struct civil *c, const char *sep)
{
    p = put_digits(p, c->hour, 2);
    if (*sep)
        *p++ = *sep;
    p = put_digits(p, c->minute, 2);
    if (*sep)
        *p++ = *sep;
    return put_digits(p, c->second, 2);
}

static char *put_text(char *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

void clock_iso_ms(int64_t ns, char *out)
{
    int64_t s = floor_div(ns, NS_PER_S);
    struct civil c = civil_from_seconds(s);
    char *p = put_digits(out, (uint64_t)c.year, 4);
    *p++ = '-';
    p = put_digits(p, c.month, 2);
    *p++ = '-';
    p = put_digits(p, c.day, 2);
    *p++ = 'T';
    p = put_time(p, &c, ":");
    *p++ = '.';
    p = put_digits(p, (uint64_t)((ns - s * NS_PER_S) / 1000000), 3);
    *p = 'Z';
}

void clock_http(int64_t ns, char *out)
{
    struct civil c = civil_from_seconds(floor_div(ns, NS_PER_S));
    char *p = put_text(out, weekdays + (size_t)c.weekday * 3, 3);
    p = put_text(p, ", ", 2);
    p = put_digits(p, c.day, 2);
    *p++ = ' ';
    p = put_text(p, months + ((size_t)c.month - 1) * 3, 3);
    *p++ = ' ';
    p = put_digits(p, (uint64_t)c.year, 4);
    *p++ = ' ';
    p = put_time(p, &c, ":");
    (void)put_text(p, " GMT", 4);
}

void clock_amz(int64_t ns, char *out)
{
    struct civil c = civil_from_seconds(floor_div(ns, NS_PER_S));
    char *p = put_digits(out, (uint64_t)c.year, 4);
    p = put_digits(p, c.month, 2);
    p = put_digits(p, c.day, 2);
    *p++ = 'T';
    p = put_time(p, &c, "");
    *p = 'Z';
}

/* The parsers below read a pattern: Y four-digit year, y two-digit year, n month, N month name, D day, e day
 * with a blank for its first digit, h m s time; anything else stands for itself. */
static bool take_number(struct str *s, size_t digits, unsigned *out)
{
    struct str head;
    uint64_t v;
    if (!take_bytes(s, digits, &head) || !str_to_u64(head, &v))
        return false;
    *out = (unsigned)v;
    return true;
}

static bool take_month_name(struct str *s, unsigned *out)
{
    struct str head;
    if (!take_bytes(s, 3, &head))
        return false;
    for (unsigned i = 0; i < 12; i++)
        if (memcmp(months + (size_t)i * 3, head.p, 3) == 0) {
            *out = i + 1;
            return true;
        }
    return false;
}

static bool take_field(struct str *s, char kind, struct civil *c)
{
    unsigned v = 0;
    switch (kind) {
    case 'Y':
    case 'y':
        if (!take_number(s, kind == 'Y' ? 4 : 2, &v))
            return false;
        c->year = (int64_t)v;
        return true;
    case 'n':
        return take_number(s, 2, &c->month);
    case 'N':
        return take_month_name(s, &c->month);
    case 'e':
        if (s->n && s->p[0] == ' ') {
            *s = str_from(*s, 1);
            return take_number(s, 1, &c->day);
        }
        return take_number(s, 2, &c->day);
    case 'D':
        return take_number(s, 2, &c->day);
    case 'h':
        return take_number(s, 2, &c->hour);
    case 'm':
        return take_number(s, 2, &c->minute);
    case 's':
        return take_number(s, 2, &c->second);
    default:
        if (s->n == 0 || s->p[0] != kind)
            return false;
        *s = str_from(*s, 1);
        return true;
    }
}

static bool take_pattern(struct str *s, const char *pattern, struct civil *c)
{
    for (; *pattern; pattern++)
        if (!take_field(s, *pattern, c))
            return false;
    return true;
}

static bool civil_valid(const struct civil *c)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (c->month < 1 || c->month > 12 || c->day < 1)
        return false;
    bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
    unsigned last = days[c->month - 1] + (unsigned)(leap && c->month == 2);
    /* Second 60 is a leap second: read as the first of the next minute. */
    return c->day <= last && c->hour < 24 && c->minute < 60 && c->second <= 60;
}

static bool civil_seconds(const struct civil *c, int64_t *out)
{
    if (!civil_valid(c))
        return false;
    *out = days_from_civil(c->year, c->month, c->day) * S_PER_DAY + (int64_t)c->hour * 3600 +
           (int64_t)c->minute * 60 + (int64_t)c->second;
    return true;
}

/* RFC 9110 5.6.7: a two-digit year that looks to be more than 50 years ahead is the past one. */
static int64_t full_year(int64_t two_digits)
{
    int64_t now = civil_from_seconds(floor_div(clock_real_ns(), NS_PER_S)).year;
    int64_t year = now - now % 100 + two_digits;
    if (year > now + 50)
        year -= 100;
    else if (year <= now - 50)
        year += 100;
    return year;
}

static bool is_weekday(struct str name, bool full)
{
    static const char *const ends[] = {"day", "day", "sday", "nesday", "rsday", "day", "urday"};
    for (size_t i = 0; i < 7; i++)
        if (str_starts(name, str_n(weekdays + i * 3, 3)))
            return full ? str_eq_c(str_from(name, 3), ends[i]) : name.n == 3;
    return false;
}

bool clock_parse_http(struct str s, int64_t *seconds)
{
    struct civil c = {0};
    ptrdiff_t comma = str_chr(s, ',');
    struct str rest;
    if (comma < 0) { /* asctime */
        rest = str_from(s, 3);
        return is_weekday(str_head(s, 3), false) && take_pattern(&rest, " N e h:m:s Y", &c) && rest.n == 0 &&
               civil_seconds(&c, seconds);
    }
    bool fixdate = comma == 3;
    if (!is_weekday(str_head(s, (size_t)comma), !fixdate))
        return false;
    rest = str_from(s, (size_t)comma);
    if (!take_pattern(&rest, fixdate ? ", D N Y h:m:s GMT" : ", D-N-y h:m:s GMT", &c) || rest.n != 0)
        return false;
    if (!fixdate)
        c.year = full_year(c.year);
    return civil_seconds(&c, seconds);
}

bool clock_parse_amz(struct str s, int64_t *seconds)
{
    struct civil c = {0};
    return take_pattern(&s, "YnDThmsZ", &c) && s.n == 0 && civil_seconds(&c, seconds);
}

bool clock_parse_iso(struct str s, int64_t *ns)
{
    struct civil c = {0};
    int64_t seconds, fraction = 0;
    if (!take_pattern(&s, "Y-n-DTh:m:s", &c) || !civil_seconds(&c, &seconds))
        return false;
    if (s.n && s.p[0] == '.') {
        int64_t unit = NS_PER_S / 10;
        size_t i = 1;
        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, unit /= 10)
            fraction += (s.p[i] - '0') * unit; /* beyond 9 digits unit is 0 */
        if (i == 1)
            return false;
        s = str_from(s, i);
    }
    if (!str_eq(s, STR("Z")) || seconds > INT64_MAX / NS_PER_S - 1 || seconds < INT64_MIN / NS_PER_S + 1)
        return false;
    *ns = seconds * NS_PER_S + fraction;
    return true;
}
