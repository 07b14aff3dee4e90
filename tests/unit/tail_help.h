/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the end of the log and of the MANIFEST after a power cut share. A cut is a copy of the store's folder while
 * it is open, with the bytes changed that a disk may have lost. */
#ifndef BELFRY_TEST_TAIL_HELP_H
#define BELFRY_TEST_TAIL_HELP_H

#include "kv_help.h"

#include "kv/tail.h"

/* --- a cut -------------------------------------------------------------------------------------------------------- */

struct cut {
    char dir[64];
    struct kv *kv;
};
/* A copy of the folder, not open. */
void cut_of(const char *from, struct cut *c);
bool open_cut(struct cut *c, bool read_only, struct err *e);
/* Closes it when it is open, and removes it. */
void end_cut(struct cut *c);

/* --- its files ---------------------------------------------------------------------------------------------------- */

/* The one log of a folder; the newest of more. */
void log_of(const char *dir, char out[400]);
off_t log_size(const char *dir);
void remove_logs(const char *dir);
/* The MANIFEST that CURRENT names. */
void manifest_of(const char *dir, char out[400]);
/* What it says; it has to be whole. */
struct tail_manifest read_manifest(const char *dir);
off_t size_of(const char *path);
/* Bytes of the log, from up to to; -1: with garbage. */
void overwrite(const char *dir, off_t from, off_t to, int with);
/* The bits of one byte. */
void flip_byte(const char *path, off_t at);

/* --- its rows ----------------------------------------------------------------------------------------------------- */

/* One row whose value fills about so many bytes of the log. */
void put_row(struct kv *kv, const char *key, size_t n, unsigned flags);
bool has_row(struct kv *kv, const char *key);
/* The row "each" of a space. */
bool has_each(struct kv *kv, enum kv_space space);
/* Four batches of a row each, "a" to "d", the first two synced; where each ends. */
void four_batches(struct fixture *f, size_t n, off_t at[5]);
/* Opened twice: the log of the first time is a table, and gone. */
void reopened(struct fixture *f);

#endif
