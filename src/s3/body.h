/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of an object or of a part on its way into a stage. Small ones are decoded and hashed on the I/O thread and ride in
 * the batch; larger ones flow through two buffers to a worker, which hashes them and writes the file. Internal to s3/. */
#ifndef BELFRY_S3_BODY_H
#define BELFRY_S3_BODY_H

#include "s3/upload.h"

#define BODY_MAX (5ull << 30) /* AWS: of one PUT, and of one part */

struct body {
    struct upload upload;
    struct store_stage *stage;       /* finished once ready is called; whoever commits it sets it to NULL */
    void (*ready)(struct s3_req *r); /* on the loop: the body is whole and right, nothing was replied */
    char *fill, *busy;               /* large bodies: being filled by the socket; being worked on */
    size_t filled, working, fill_cap, busy_cap;
    bool large, ended, cut, job, paused, finished;
};

/* What the headers say of the body: S3E_NONE or what to answer before any of it is read. b is zeroed, in the request's arena,
 * and becomes the request's r->upload. */
enum s3_error body_init(struct s3_req *r, struct body *b);
/* The same for the file of a form; file as for upload_init_form. */
enum s3_error body_init_form(struct s3_req *r, struct body *b, struct str boundary,
                             enum s3_error (*file)(struct s3_req *r));
/* After body_init: takes memory from the budget, then the bytes; ends in ready, or in an error's reply and body_finish. */
void body_read(struct s3_req *r, struct body *b, void (*ready)(struct s3_req *r));
/* Over, for whatever reason: gives back what is still held, the stage included. May be called again. */
void body_finish(struct s3_req *r, struct body *b);

#endif
