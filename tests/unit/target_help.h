/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance of a target inside the test: configured by the environment as t, connected, and sent batches of events, of which
 * each is to end as expected. */
#ifndef BELFRY_TESTS_TARGET_HELP_H
#define BELFRY_TESTS_TARGET_HELP_H

#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "receiver.h"
#include "target/target.h"

struct instance {
    const struct target_type *type;
    struct arena arena;
    void *conf, *self;
};

/* With the settings that the environment holds for target t. */
struct instance instance_of(const struct target_type *type);
void instance_close(struct instance *in);
/* *e is empty before. */
bool connect_within(struct instance *in, int64_t ms, struct err *e);

#define BATCH 16
struct batch {
    struct event_ref ev[BATCH];
    enum send_result out[BATCH];
    char why[BATCH][SEND_WHY], key[BATCH][32];
    struct err e;
    int64_t took_ms;
};

/* A kind of the window form, used as one of the batch form. */
void send_batch(struct instance *in, struct batch *b, size_t n, int64_t deadline_ms);
/* Sends one event per key; an answer that is forgotten would show as what `out` held before. */
void send_keys(struct instance *in, struct batch *b, const char *const *keys, size_t n, int64_t within_ms);

struct expected {
    const char *key;
    enum send_result result;
    const char *why; /* part of the reason */
};

/* Connects, sends these in one batch, and sees that each ends so, in time. */
void expect(struct instance *in, const struct expected *x, size_t n, int64_t within_ms);

/* --- webhook ------------------------------------------------------------------------------------------------------ */

struct instance webhook_of(const char *url, const char *token);
/* Of a receiver in this program, under /hook. */
struct instance webhook_with(const struct receiver *r, const char *token);

#endif
