/* SPDX-License-Identifier: Apache-2.0
 *
 * HighwayHash-256 (Alakuijala, Cox, Wassenberg, arXiv:1612.06257): the keyed hash that document ids of Elasticsearch are
 * made of (notifications.md 2.8). Not for secrets here: everybody knows the key. Pure. */
#ifndef BELFRY_TARGET_HIGHWAY_H
#define BELFRY_TARGET_HIGHWAY_H

#include "base/str.h"

#define HIGHWAY_BYTES 32

/* The hash of `text` under a key of 32 bytes. */
void highway_256(const unsigned char key[HIGHWAY_BYTES], struct str text, unsigned char out[HIGHWAY_BYTES]);

#endif
