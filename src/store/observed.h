/* SPDX-License-Identifier: Apache-2.0
 *
 * Which time has truly passed. An upload is abandoned when no part came for 24 h, and its row has the wall clock of its last
 * part; but a wall clock may be set, and be wrong for a while. So the store notes, every hour that it runs by the steady
 * clock, what the wall clock said. Of what was touched before a note that is 24 h of running old it is certain that 24 h
 * passed, whatever the clocks did; a clock that jumps, and hours in which no server ran, make uploads live longer, never
 * shorter. Pure. */
#ifndef BELFRY_STORE_OBSERVED_H
#define BELFRY_STORE_OBSERVED_H

#include "base/buf.h"

#define OBSERVED_EVERY_NS (3600 * INT64_C(1000000000))
#define OBSERVED_SPAN_NS  (24 * OBSERVED_EVERY_NS)
#define OBSERVED_NOTES    32

/* Zeroed: nothing was observed yet. */
struct observed {
    size_t n;
    int64_t running_ns; /* how long servers ran on this store, as far as it was observed */
    struct {
        int64_t wall_ns, running_ns;
    } note[OBSERVED_NOTES]; /* oldest first */
};

/* elapsed_ns more of the steady clock; the wall clock says wall_ns now. */
void observed_add(struct observed *o, int64_t wall_ns, int64_t elapsed_ns);
/* What was touched before this time of the wall clock has not been touched for 24 h of running. INT64_MIN: nothing is known to
 * be so old. */
int64_t observed_before(const struct observed *o);
/* The row "m.observed": version, running time, notes (big-endian). */
void observed_encode(const struct observed *o, struct buf *out);
bool observed_decode(struct str row, struct observed *out);

#endif
