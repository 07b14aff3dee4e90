/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors that only the administration interface has, with the codes that mc and madmin know; what it shares with S3 is in the
 * S3 part's table. */
#ifndef BELFRY_ADMIN_ERROR_H
#define BELFRY_ADMIN_ERROR_H

#define ADMIN_ERRORS(X) \
    X(NONE, 200, "", "") \
    X(CONFIG_REFUSED, 400, "XMinioConfigError", "The settings are refused.") \
    X(CONFIG_BAD, 400, "XMinioAdminConfigBadJSON", "The settings do not fit together.") \
    X(CONFIG_MISSING, 404, "XMinioConfigNotFoundError", "There are no such settings.") \
    X(NOT_SEALED, 400, "XMinioAdminConfigBadJSON", \
      "The body cannot be decrypted: it must be encrypted with the secret key that signs the request.") \
    X(TOO_LARGE, 400, "XMinioAdminConfigTooLarge", \
      "The body is too large: at most 262272 bytes are taken, and their number has to be said in " \
      "Content-Length.") \
    X(VERSION, 426, "XMinioAdminVersionMismatch", "This server does not have this admin call.") \
    X(DENIED, 403, "AccessDenied", "Access Denied.") \
    X(DENIED_TOKEN, 403, "AccessDenied", \
      "Access Denied. (Authentication failed, check your access credentials)") \
    X(NO_PAGE, 404, "XMinioMetricsNotFound", "There is no such page of metrics.") \
    X(ARGUMENT, 400, "InvalidArgument", "Invalid Argument") \
    X(NO_TARGET, 404, "XMinioNotificationTargetNotFound", "There is no such target.") \
    X(NO_LETTER, 404, "NoSuchDeadLetter", "There is no such dead letter.") \
    X(TARGET_OFF, 409, "TargetNotEnabled", "The target is not enabled: nothing can be queued for it.") \
    X(QUEUE_FULL, 503, "QueueFull", "The target's queue has reached its queue_limit.") \
    X(NO_BUCKET, 404, "NoSuchBucket", "The specified bucket does not exist") \
    X(NOT_BUILT, 501, "NotImplemented", "This version does not have this action.") \
    X(BUSY, 503, "SlowDown", "Please reduce your request rate.") \
    X(STORE, 503, "SlowDownWrite", "The store takes no changes; the server's log says why.") \
    X(INTERNAL, 500, "InternalError", "We encountered an internal error, please try again.")

enum admin_error {
#define ADMIN_ERROR_ENUM(id, status, code, message) ADMIN_##id,
    ADMIN_ERRORS(ADMIN_ERROR_ENUM)
#undef ADMIN_ERROR_ENUM
};

#endif
