/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: one write(2) per line, held back when one place in the code repeats itself. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/thread.h"

#define WINDOW_MS  10000
#define WINDOW_MAX 10
#define TEXT_MAX   2048
#define LINE_MAX_  (8 * TEXT_MAX)

static struct {
    struct mutex mutex;
    bool json, quiet, debug;
} log_ = {.mutex = MUTEX_INIT(RANK_LOG)};

static const char *const level_names[] = {
    [LOG_DEBUG] = "DEBUG", [LOG_INFO] = "INFO", [LOG_WARN] = "WARN", [LOG_ERROR] = "ERROR"};

void log_init(bool json, bool quiet)
{
    log_.json = json;
    log_.quiet = quiet;
    log_.debug = getenv("BELFRY_LOG_DEBUG") != NULL;
}

bool log_is_json(void)
{
    return log_.json;
}

bool log_is_quiet(void)
{
    return log_.quiet;
}

/* Counts this line; false when it is to be held back. *held: lines that were, to be told with this one. */
static bool site_pass(struct log_site *s, unsigned *held)
{
    int64_t now = clock_mono_ms();
    bool pass = true;
    mutex_lock(&log_.mutex);
    if (s->count == 0 || now - s->window_start_ms >= WINDOW_MS) {
        s->window_start_ms = now;
        s->count = 0;
    }
    if (s->count >= WINDOW_MAX) {
        s->held++;
        pass = false;
    } else {
        s->count++;
        *held = s->held;
        s->held = 0;
    }
    mutex_unlock(&log_.mutex);
    return pass;
}

/* Text lines stay lines: what a client may have put into a name cannot start a line of its own. */
static void put_plain(struct buf *b, const char *z)
{
    for (; *z; z++) {
        unsigned char c = (unsigned char)*z;
        if (c < 0x20 || c == 0x7f)
            buf_printf(b, "\\x%02x", c);
        else
            buf_char(b, (char)c);
    }
}

static void put_line(struct buf *b, enum log_level level, const char *area, const char *text, unsigned held)
{
    char now[CLOCK_ISO_MS_LEN];
    clock_iso_ms(clock_real_ns(), now);
    if (log_.json) {
        buf_puts(b, "{\"time\":\"");
        buf_put(b, now, sizeof(now));
        buf_printf(b, "\",\"level\":\"%s\",\"area\":", level_names[level]);
        json_quote(b, str_c(area));
        buf_puts(b, ",\"message\":");
        json_quote(b, str_c(text));
        if (held)
            buf_printf(b, ",\"held_back\":%u", held);
        buf_puts(b, "}\n");
        return;
    }
    buf_put(b, now, sizeof(now));
    buf_printf(b, " %-5s ", level_names[level]);
    put_plain(b, area);
    buf_puts(b, ": ");
    put_plain(b, text);
    if (held)
        buf_printf(b, " (%u more lines like this were held back)", held);
    buf_char(b, '\n');
}

void log_at(struct log_site *site, enum log_level level, const char *area, const char *fmt, ...)
{
    unsigned held = 0;
    if ((level == LOG_DEBUG && !log_.debug) || (level <= LOG_INFO && log_.quiet))
        return;
    if (!site_pass(site, &held))
        return;
    char text[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);

    struct buf line;
    buf_init(&line, LINE_MAX_);
    put_line(&line, level, area, text, held);
    /* A log that cannot be written has nobody to complain to. */
    ssize_t n = write(STDERR_FILENO, line.p, line.len);
    (void)n;
    buf_release(&line);
}
