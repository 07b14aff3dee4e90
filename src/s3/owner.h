/* SPDX-License-Identifier: Apache-2.0
 *
 * The one owner of everything: the constant that MinIO's clients have always seen. Internal to s3/. */
#ifndef BELFRY_S3_OWNER_H
#define BELFRY_S3_OWNER_H

#define S3_OWNER_ID   "02d6176db174dc93cb1b899f7c6078f08654445fe8cf1b6ce98d8855f66bdbf4"
#define S3_OWNER_NAME "minio"
#define S3_OWNER      "<Owner><ID>" S3_OWNER_ID "</ID><DisplayName>" S3_OWNER_NAME "</DisplayName></Owner>"

#endif
