/* SPDX-License-Identifier: Apache-2.0
 *
 * Multipart uploads as plain calls that commit and wait, for the tests of src/store. */
#ifndef BELFRY_TESTS_UPLOAD_HELP_H
#define BELFRY_TESTS_UPLOAD_HELP_H

#include "store_help.h"

#include "store/upload.h"

void create_upload(struct store *s, const struct bucket *b, const char *key, char id[UPLOAD_ID_LEN]);
/* Stages and commits make_body(n, seed) as that part; try_part says how it ended. */
void put_part(struct store *s, const struct bucket *b, const char *key, const char id[UPLOAD_ID_LEN],
              unsigned number, size_t n, unsigned seed);
enum store_result try_part(struct store *s, const struct bucket *b, const char *key,
                           const char id[UPLOAD_ID_LEN], unsigned number, size_t n, unsigned seed);
enum store_result put_part_bytes(struct store *s, const struct bucket *b, const char *key,
                                 const char id[UPLOAD_ID_LEN], unsigned number, const char *body, size_t n);
enum store_result abort_upload(struct store *s, const struct bucket *b, const char *key,
                               const char id[UPLOAD_ID_LEN]);

/* What a worker of CompleteMultipartUpload reads, and its closure; numbers end with 0. */
struct upload_read {
    struct arena arena;
    struct store_upload upload;
    struct store_part *parts;
    size_t n;
};
enum store_result try_read_upload(struct store *s, const struct bucket *b, const char *key,
                                  const char id[UPLOAD_ID_LEN], struct upload_read *out);
void read_upload(struct store *s, const struct bucket *b, const char *key, const char id[UPLOAD_ID_LEN],
                 struct upload_read *out);
/* Releases r. */
enum store_result finish_upload_read(struct store *s, const struct bucket *b, const char *key,
                                     const char id[UPLOAD_ID_LEN], const unsigned *numbers,
                                     struct upload_read *r);
enum store_result complete_upload(struct store *s, const struct bucket *b, const char *key,
                                  const char id[UPLOAD_ID_LEN], const unsigned *numbers);
void copy_object(struct store *s, const struct bucket *b, const char *from, const char *to);
/* The object is make_body(sizes[i], seeds[i]) one behind the other, and its parts say so; sizes end with 0. */
void assert_parts(struct store *s, const struct bucket *b, const char *key, const size_t *sizes,
                  const unsigned *seeds);

struct store *store_of(void **state);
/* Until nothing is left to do: what a pass of the janitor makes garbage of, the next one removes. */
void clean_store(struct store *s);
/* So many rows of uploads, and of extents; no garbage. */
void assert_upload_rows(struct store *s, size_t uploads, size_t extents_rows);

/* An object of so many pieces, most of them files, some in their rows. */
#define MANY 40
void make_many(struct store *s, const struct bucket *b, const char *key);
void assert_many(struct store *s, const struct bucket *b, const char *key);

#endif
