/* SPDX-License-Identifier: Apache-2.0
 *
 * Framing of HTTP/1.1 messages: see message.h. */
#include "message.h"

#include <string.h>
#include <strings.h>

static void begin(struct message *m, bool is_request, bool no_body)
{
    /* The line buffer needs no clearing, and clearing it would cost more than the parsing. */
    memset(m, 0, offsetof(struct message, line));
    m->is_request = is_request;
    m->no_body = no_body;
}

void message_begin_reply(struct message *m, bool to_head)
{
    begin(m, false, to_head);
}

void message_begin_request(struct message *m)
{
    begin(m, true, false);
}

static bool read_number(const char *text, size_t n, unsigned base, uint64_t *out)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned digit = c >= '0' && c <= '9' ? c - (unsigned)'0' : (c | 0x20u) - 'a' + 10;
        if (digit >= base || c < '0')
            break;
        if (value > (UINT64_MAX >> 4) - digit)
            return false;
        value = value * base + digit;
    }
    *out = value;
    return i > 0;
}

static bool start_of_request(struct message *m, const char *line, size_t n)
{
    const char *space = memchr(line, ' ', n);
    if (space == NULL || (size_t)(space - line) >= sizeof(m->method))
        return false;
    memcpy(m->method, line, (size_t)(space - line));
    const char *target = space + 1;
    const char *end = memchr(target, ' ', n - (size_t)(target - line));
    if (end == NULL)
        return false;
    size_t len = (size_t)(end - target);
    memcpy(m->target, target, len < sizeof(m->target) ? len : sizeof(m->target) - 1);
    m->close = n >= 8 && memcmp(line + n - 8, "HTTP/1.0", 8) == 0;
    return true;
}

static bool start_of_reply(struct message *m, const char *line, size_t n)
{
    uint64_t status;
    if (n < 12 || memcmp(line, "HTTP/1.", 7) != 0 || line[8] != ' ' || !read_number(line + 9, 3, 10, &status))
        return false;
    m->status = (int)status;
    m->close = line[7] == '0';
    return status >= 100 && status <= 599;
}

static bool is_name(const char *line, size_t n, const char *name)
{
    return n == strlen(name) && strncasecmp(line, name, n) == 0;
}

static bool has_value(const char *value, size_t n, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= n; i++)
        if (strncasecmp(value + i, word, len) == 0)
            return true;
    return false;
}

static bool header(struct message *m, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n);
    if (colon == NULL)
        return false;
    size_t name_len = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + n;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    size_t len = (size_t)(end - value);
    if (is_name(line, name_len, "content-length")) {
        m->has_length = true;
        return read_number(value, len, 10, &m->left);
    }
    if (is_name(line, name_len, "transfer-encoding"))
        m->chunked = has_value(value, len, "chunked");
    else if (is_name(line, name_len, "connection"))
        m->close = has_value(value, len, "close") || (m->close && !has_value(value, len, "keep-alive"));
    else if (is_name(line, name_len, "expect"))
        m->expects = has_value(value, len, "100-continue");
    return true;
}

/* The empty line after the head: what follows? */
static enum message_phase after_head(struct message *m)
{
    if (!m->is_request && m->status < 200) {
        begin(m, false, m->no_body);
        return MESSAGE_START;
    }
    if (!m->is_request && (m->no_body || m->status == 204 || m->status == 304))
        return MESSAGE_DONE;
    if (m->chunked)
        return MESSAGE_CHUNK_SIZE;
    if (m->has_length)
        return m->left > 0 ? MESSAGE_BODY : MESSAGE_DONE;
    if (m->is_request)
        return MESSAGE_DONE;
    m->close = true;
    return MESSAGE_UNTIL_CLOSE;
}

static enum message_phase chunk_size(struct message *m, const char *line, size_t n)
{
    if (!read_number(line, n, 16, &m->left))
        return MESSAGE_BAD;
    return m->left > 0 ? MESSAGE_CHUNK_DATA : MESSAGE_TRAILER;
}

/* One whole line, without its end. */
static enum message_phase take_line(struct message *m, const char *line, size_t n)
{
    switch (m->phase) {
    case MESSAGE_START:
        if (n == 0)
            return MESSAGE_START;
        if (m->is_request ? start_of_request(m, line, n) : start_of_reply(m, line, n))
            return MESSAGE_HEADER;
        return MESSAGE_BAD;
    case MESSAGE_HEADER:
        if (n == 0)
            return after_head(m);
        return header(m, line, n) ? MESSAGE_HEADER : MESSAGE_BAD;
    case MESSAGE_CHUNK_SIZE:
        return chunk_size(m, line, n);
    case MESSAGE_CHUNK_END:
        return n == 0 ? MESSAGE_CHUNK_SIZE : MESSAGE_BAD;
    case MESSAGE_TRAILER:
        return n == 0 ? MESSAGE_DONE : MESSAGE_TRAILER;
    default:
        return MESSAGE_BAD;
    }
}

/* Lines that arrive whole are read where they are; others are put together in m->line. */
static size_t feed_line(struct message *m, const char *data, size_t n)
{
    const char *end = memchr(data, '\n', n);
    size_t used = end != NULL ? (size_t)(end - data) + 1 : n;
    const char *line = data;
    size_t len = used;
    if (end == NULL || m->line_len > 0) {
        if (m->line_len + used > sizeof(m->line)) {
            m->phase = MESSAGE_BAD;
            return used;
        }
        memcpy(m->line + m->line_len, data, used);
        m->line_len += used;
        line = m->line;
        len = m->line_len;
    }
    if (end == NULL)
        return used;
    m->line_len = 0;
    len--;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    m->phase = take_line(m, line, len);
    return used;
}

size_t message_feed(struct message *m, const char *data, size_t n, struct piece *body)
{
    *body = (struct piece){data, 0};
    if (n == 0 || m->phase == MESSAGE_DONE || m->phase == MESSAGE_BAD)
        return 0;
    if (m->phase == MESSAGE_UNTIL_CLOSE) {
        body->len = n;
        return n;
    }
    if (m->phase != MESSAGE_BODY && m->phase != MESSAGE_CHUNK_DATA)
        return feed_line(m, data, n);
    body->len = n < m->left ? n : (size_t)m->left;
    m->left -= body->len;
    if (m->left == 0)
        m->phase = m->phase == MESSAGE_BODY ? MESSAGE_DONE : MESSAGE_CHUNK_END;
    return body->len;
}

void message_end(struct message *m)
{
    m->phase = m->phase == MESSAGE_UNTIL_CLOSE ? MESSAGE_DONE : MESSAGE_BAD;
}
