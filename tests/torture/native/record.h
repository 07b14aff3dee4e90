/* SPDX-License-Identifier: Apache-2.0
 *
 * The form of a recording: what record.c writes and torture/disk.py reads. Little-endian; each entry is a head, then
 * path, second path, data. */
#ifndef BELFRY_TESTS_RECORD_H
#define BELFRY_TESTS_RECORD_H

#include <stdint.h>

#define RECORD_MAGIC 0x44524342u
#define RECORD_KILL  7 /* above SIGRTMIN */

struct record_head {
    uint32_t magic;
    char op; /* see record.c */
    uint8_t flags;
    uint16_t path_n, path2_n, unused;
    uint32_t data_n;
    uint64_t begin, end; /* CLOCK_MONOTONIC, ns: before and after the call */
    uint64_t ino, at;
};

#endif
