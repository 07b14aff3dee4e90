/* SPDX-License-Identifier: Apache-2.0
 *
 * Is the server alive, ready, able to write? For load balancers, orchestrators and mc ready. Without a signature. */
#ifndef BELFRY_ADMIN_HEALTH_H
#define BELFRY_ADMIN_HEALTH_H

#include "s3/s3.h"

/* Answers a GET or HEAD of /minio/health/{live,ready,cluster,cluster/read}; false, and no answer, for anything else.
 * live: the process answers. ready, cluster: and it takes writes. cluster/read: and it takes reads. */
bool health_answer(struct s3 *s3, struct http_req *r);

#endif
