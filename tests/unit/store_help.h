/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of src/store share: a store over rows in memory or over RocksDB in a fresh folder, and changes as plain
 * calls that commit and wait. */
#ifndef BELFRY_TESTS_STORE_HELP_H
#define BELFRY_TESTS_STORE_HELP_H

#include "unit.h"

#include "store/store_internal.h"

#define INLINE_MAX 1000 /* bodies of the tests ride inline up to here */
#define WAIT_MS    20000

struct fixture {
    bool rocks;
    char dir[64];
    struct store_options options;
    struct store *store;
};
int setup_memory(void **state);
int setup_rocks(void **state);
int teardown(void **state);
void remove_dir(const char *dir);
void make_dir(char *dir, size_t size);
/* Closes and opens again; rocks only. */
void reopen(struct fixture *f);

enum store_result create_bucket(struct store *s, const char *name);
enum store_result delete_bucket(struct store *s, const char *name, bool force);
enum store_result set_rules(struct store *s, const struct bucket *b, const char *rules);
struct bucket *need_bucket(struct store *s, const char *name);

/* n bytes that depend on seed only; the caller frees. */
char *make_body(size_t n, unsigned seed);
/* A finished stage of these bytes, appended in pieces of `piece` (0: at once); announced: -1 or n. */
struct store_stage *make_stage(struct store *s, const char *body, size_t n, size_t piece, int64_t announced);
enum store_result commit_put(struct store *s, const struct bucket *b, const char *key,
                             struct store_stage *st);
/* The same with the number of parts of a multipart object. */
enum store_result commit_copy(struct store *s, const struct bucket *b, const char *key,
                              struct store_stage *st, unsigned parts);
/* Stages and commits make_body(n, seed). */
void put(struct store *s, const struct bucket *b, const char *key, size_t n, unsigned seed);
enum store_result del(struct store *s, const struct bucket *b, const char *key);

/* The object is there and its bytes are make_body(n, seed). */
void assert_object(struct store *s, const struct bucket *b, const char *key, size_t n, unsigned seed);
void assert_absent(struct store *s, const struct bucket *b, const char *key);
void assert_counters(struct store *s, const struct bucket *b, int64_t objects, int64_t bytes);
/* Rows whose keys begin with prefix; files in the blob folder. */
size_t count_rows(struct store *s, enum kv_space space, const char *prefix);
size_t count_files(struct store *s);
/* Until a whole pass of the janitor is done. */
void run_janitor(struct store *s);

#endif
