/* SPDX-License-Identifier: Apache-2.0
 *
 * All targets as they are now, for info and metrics. */
#ifndef BELFRY_ADMIN_TARGETS_H
#define BELFRY_ADMIN_TARGETS_H

#include "event/delivery.h"

#define TARGETS_SHOWN 1024 /* enabled ones, and those switched off that still have events */

/* *out is malloc'd, the caller frees. May read the disk: on a worker. */
size_t targets_now(struct delivery *d, struct target_info **out);
/* As MinIO's clients know it: "online", "offline"; and "off" for one that is not enabled. */
const char *target_status_text(enum target_status s);

#endif
