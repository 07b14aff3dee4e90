/* SPDX-License-Identifier: Apache-2.0
 *
 * What a bare program sends: a record as Belfry writes one. */
#ifndef BENCH_RECORD_H
#define BENCH_RECORD_H

#include <stddef.h>

#define RECORD_MIN 900
#define RECORD_KEY 20

/* The key of event number i, as namespace formats have it; not in order, as belfry-load's are not. */
void record_key(char out[RECORD_KEY], unsigned long i);

/* The body of event number i, {"Records":[…]}, size bytes (RECORD_MIN at least) and a NUL: its key, sequencer and request id
 * are its own, as with real ones, which is what a receiver that looks into it has to work for; one member is as long
 * as it takes. */
void record_fill(char *out, size_t size, unsigned long i);

/* Seconds by the steady clock. */
double record_now(void);

#endif
