/* SPDX-License-Identifier: Apache-2.0
 *
 * Which time has truly passed. An upload is abandoned when no part came for 24 h; but a wall clock may be set, and be wrong for
 * a while. So the store notes, every hour that it runs by the steady clock, which number the sequencer handed out last, and an
 * upload's row has the number of its last part: what has a lower number than a note that is 24 h of running old was not touched
 * for so long, whatever the wall clock did. Hours in which no server ran do not count: uploads live longer then, never shorter.
 * Pure. */
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
        uint64_t seq;
        int64_t running_ns;
    } note[OBSERVED_NOTES]; /* oldest first; both rise */
};

/* elapsed_ns more of the steady clock; seq: the sequencer's next number, above all that were handed out. */
void observed_add(struct observed *o, uint64_t seq, int64_t elapsed_ns);
/* What was touched below this number has not been touched for 24 h of running. 0: nothing is known to be so old. */
uint64_t observed_before(const struct observed *o);
/* The row "m.observed": version, running time, notes (big-endian). */
void observed_encode(const struct observed *o, struct buf *out);
bool observed_decode(struct str row, struct observed *out);

#endif
