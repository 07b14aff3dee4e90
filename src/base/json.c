/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON strings in the form of Go's encoder. Most bytes need nothing: runs of them are found by a table and
 * copied at once. */
#include "base/json.h"

/* 1: has to be looked at. Control characters, " & < > \, and everything that is not ASCII. */
static const uint8_t special[256] = {
    [0 ... 0x1f] = 1, ['"'] = 1, ['&'] = 1, ['<'] = 1, ['>'] = 1, ['\\'] = 1, [0x80 ... 0xff] = 1,
};

static void put_unicode(struct buf *b, unsigned c)
{
    static const char digits[] = "0123456789abcdef";
    char text[6] = {'\\',          'u', digits[c >> 12 & 15], digits[c >> 8 & 15], digits[c >> 4 & 15],
                    digits[c & 15]};
    buf_put(b, text, sizeof(text));
}

static void put_ascii(struct buf *b, unsigned char c)
{
    static const char short_forms[128] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't',
    };
    if (short_forms[c]) {
        char text[2] = {'\\', short_forms[c]};
        buf_put(b, text, sizeof(text));
    } else {
        put_unicode(b, c);
    }
}

/* Length of the run at s that stays as it is, multi-byte characters included. */
static size_t plain_run(struct str s)
{
    size_t i = 0;
    while (i < s.n) {
        if (!special[(uint8_t)s.p[i]]) {
            i++;
            continue;
        }
        if ((uint8_t)s.p[i] < 0x80)
            break;
        struct str rest = str_from(s, i);
        size_t n = str_utf8_seq(rest);
        if (n == 0 ||
            (n == 3 && (memcmp(rest.p, "\xe2\x80\xa8", 3) == 0 || memcmp(rest.p, "\xe2\x80\xa9", 3) == 0)))
            break;
        i += n;
    }
    return i;
}

void json_escape(struct buf *b, struct str s)
{
    while (s.n) {
        size_t run = plain_run(s);
        buf_put(b, s.p, run);
        s = str_from(s, run);
        if (s.n == 0)
            return;
        if ((uint8_t)s.p[0] < 0x80) {
            put_ascii(b, (uint8_t)s.p[0]);
            s = str_from(s, 1);
        } else if (str_utf8_seq(s) == 0) {
            put_unicode(b, 0xfffd);
            s = str_from(s, 1);
        } else { /* the two line separators of plain_run */
            put_unicode(b, 0x2000u | ((uint8_t)s.p[2] & 0x3fu));
            s = str_from(s, 3);
        }
    }
}

void json_quote(struct buf *b, struct str s)
{
    buf_char(b, '"');
    json_escape(b, s);
    buf_char(b, '"');
}
