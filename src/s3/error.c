/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of S3 errors. */
#include "s3/error.h"

static const struct s3_error_row rows[] = {
#define S3_ERROR_ROW(id, status, code, message) [S3E_##id] = {status, code, message},
    S3_ERRORS(S3_ERROR_ROW)
#undef S3_ERROR_ROW
};

const struct s3_error_row *s3_error_row(enum s3_error e)
{
    return &rows[e];
}
