/* SPDX-License-Identifier: Apache-2.0
 *
 * What the query of ListObjects, ListObjectsV2 and ListObjectVersions asks for (AWS API reference, "Request Parameters" of
 * each). Pure. Internal to s3/. */
#ifndef BELFRY_S3_LIST_PARAMS_H
#define BELFRY_S3_LIST_PARAMS_H

#include "base/header.h"
#include "store/store.h"

#define KEYS_MAX      1000
#define KEYS_MAX_META 100 /* with up to 8 KiB of metadata and 15 KiB of tags each */

/* Without encoding-type=url the next page would begin at another name than the one this page ends at, and keys would be left
 * out without a word. */
#define LIST_UNSAYABLE \
    "This page ends at a name that XML cannot carry; list with encoding-type=url, or with list-type=2"

enum list_kind { LIST_V1, LIST_V2, LIST_VERSIONS };
struct list_params {
    struct list_query q;
    enum list_kind kind;
    bool url, owner, has_token, metadata;
    struct str marker, version_marker, start_after, token; /* as they came, to be echoed */
};
/* Fills *out, whose kind is set and all else zero; views of the query, or in the arena. NULL, or the message of an
 * InvalidArgument. */
const char *list_params(struct arena *a, const struct headers *query, struct list_params *out);

#endif
