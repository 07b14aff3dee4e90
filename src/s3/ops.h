/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations' run functions: each is called once on the I/O thread, authenticated and authorised, with r->xml filled for
 * BODY_XML; each ends, then or later, in exactly one reply. Internal to s3/. */
#ifndef BELFRY_S3_OPS_H
#define BELFRY_S3_OPS_H

#include "s3/request.h"

void op_list_buckets(struct s3_req *r); /* bucket.c */
void op_create_bucket(struct s3_req *r);
void op_head_bucket(struct s3_req *r);
void op_delete_bucket(struct s3_req *r);
void op_get_bucket_location(struct s3_req *r);
void op_get_bucket_notification(struct s3_req *r); /* notification.c */
void op_put_bucket_notification(struct s3_req *r);
void op_listen(struct s3_req *r);       /* listen.c */
void s3_listen_release(struct s3 *s3);  /* after the loops have ended */
void op_list_objects(struct s3_req *r); /* list.c */
void op_put_object(struct s3_req *r);   /* put.c */
void op_post_object(struct s3_req *r);  /* post.c */
void op_post_to_key(struct s3_req *r);
void op_get_object(struct s3_req *r); /* get.c */
void op_head_object(struct s3_req *r);
void op_copy_object(struct s3_req *r);    /* copy.c */
void op_delete_object(struct s3_req *r);  /* delete.c */
void op_delete_objects(struct s3_req *r); /* deletes.c */

void op_list_object_versions(struct s3_req *r); /* list.c */
void op_get_object_tagging(struct s3_req *r);   /* tagging.c */
void op_put_object_tagging(struct s3_req *r);
void op_delete_object_tagging(struct s3_req *r);
void op_canned(struct s3_req *r); /* canned.c: what is not configured */
void op_put_acl(struct s3_req *r);
void force_delete(struct s3_req *r); /* force.c: the object and everything below it; r->bucket is set */
void op_create_multipart_upload(struct s3_req *r); /* multipart.c */
void op_abort_multipart_upload(struct s3_req *r);
void op_upload_part(struct s3_req *r);               /* multipart_part.c */
void op_upload_part_copy(struct s3_req *r);          /* multipart_copy.c */
void op_complete_multipart_upload(struct s3_req *r); /* multipart_complete.c */
void op_list_parts(struct s3_req *r);                /* multipart_list.c */
void op_list_multipart_uploads(struct s3_req *r);
void op_get_object_attributes(struct s3_req *r); /* attributes.c */

#endif
