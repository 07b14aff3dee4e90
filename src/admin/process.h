/* SPDX-License-Identifier: Apache-2.0
 *
 * What the system says about this process (proc(5)). Linux; what cannot be read is 0. */
#ifndef BELFRY_ADMIN_PROCESS_H
#define BELFRY_ADMIN_PROCESS_H

struct process_info {
    double resident_bytes, virtual_bytes;
    double cpu_seconds; /* user and system */
    double open_fds, max_fds, threads;
};
/* Reads files: on a worker. */
void process_read(struct process_info *out);

#endif
