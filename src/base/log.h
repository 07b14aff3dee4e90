/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: one line per happening on stderr, as text or JSON (--json), for an operator to act on. Thread-safe.
 * A line that would repeat (same place in the code) more than 10 times in 10 s is held back; the number of lines
 * held back is said with the next one that passes. Secrets never go in. */
#ifndef BELFRY_BASE_LOG_H
#define BELFRY_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Once, before threads start. `quiet` leaves out LOG_INFO and below. LOG_DEBUG lines are written only when
 * BELFRY_LOG_DEBUG is set in the environment. */
void log_init(bool json, bool quiet);
bool log_is_json(void);
bool log_is_quiet(void);
struct log_site {
    long long window_start_ms;
    unsigned count, held;
};
void log_at(struct log_site *site, enum log_level level, const char *area, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* area: short name of the part that speaks: "http", "store", "webhook:1". */
#define LOG_(level, area, ...) \
    do { \
        static struct log_site log_site_; \
        log_at(&log_site_, (level), (area), __VA_ARGS__); \
    } while (0)
#define log_debug(area, ...) LOG_(LOG_DEBUG, area, __VA_ARGS__)
#define log_info(area, ...)  LOG_(LOG_INFO, area, __VA_ARGS__)
#define log_warn(area, ...)  LOG_(LOG_WARN, area, __VA_ARGS__)
#define log_error(area, ...) LOG_(LOG_ERROR, area, __VA_ARGS__)

#endif
