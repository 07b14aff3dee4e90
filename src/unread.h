/* SPDX-License-Identifier: Apache-2.0
 *
 * Variables that somebody set for this server and that nothing in it reads: a feature of MinIO's that is not
 * here, a name that is misspelt. Saying nothing would let them believe it works. */
#ifndef BELFRY_UNREAD_H
#define BELFRY_UNREAD_H

#include "base/str.h"

/* Is this variable (name without value) of the kind that concerns a server, and does nothing read it? All MINIO_ names,
 * and of BELFRY_ names those of targets: others are of this project's tools. Pure. */
bool unread_variable(struct str name);
/* One warning that names those which are set and not empty; nothing when there are none. Before threads start. */
void unread_warn(void);

#endif
