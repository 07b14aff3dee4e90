/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up config.h. */
#ifndef BELFRY_CONFIG_CONFIG_IMPL_H
#define BELFRY_CONFIG_CONFIG_IMPL_H

#include "config/config.h"

/* The value without quotes that enclose the whole of it: nothing that reads env files strips them, and no value of ours begins
 * and ends with one (minio/minio#21295). */
struct str config_unquoted(struct str s, bool *quoted);
/* Sorts bytewise and takes out what is there twice; how many are left. */
size_t config_sort_ids(struct str *ids, size_t n);

#endif
