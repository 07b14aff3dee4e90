/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors as S3 clients see them: one table of code, status and message. The callee returns an s3_error, the one place that
 * writes the XML (reply.c) looks it up here. Codes: AWS "Error responses"; texts are our own or what clients match on. */
#ifndef BELFRY_S3_ERROR_H
#define BELFRY_S3_ERROR_H

#include "base/str.h"

#define S3_ERRORS(X) \
    X(NONE, 200, "", "") \
    X(ACCESS_DENIED, 403, "AccessDenied", "Access Denied.") \
    X(EXPIRED, 403, "AccessDenied", "Request has expired") \
    X(NOT_YET_VALID, 403, "AccessDenied", "Request is not valid yet") \
    X(NO_DATE, 403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") \
    X(UNSIGNED_HEADERS, 403, "AccessDenied", \
      "There were headers present in the request which were not signed") \
    X(INVALID_ACCESS_KEY_ID, 403, "InvalidAccessKeyId", \
      "The Access Key Id you provided does not exist in our records.") \
    X(SIGNATURE_DOES_NOT_MATCH, 403, "SignatureDoesNotMatch", \
      "The request signature we calculated does not match the signature you provided. Check your key and " \
      "signing method.") \
    X(REQUEST_TIME_TOO_SKEWED, 403, "RequestTimeTooSkewed", \
      "The difference between the request time and the server's time is too large.") \
    X(AUTHORIZATION_HEADER_MALFORMED, 400, "AuthorizationHeaderMalformed", \
      "The authorization header is malformed; it needs Credential, SignedHeaders and Signature with the " \
      "scope " \
      "date/region/s3/aws4_request.") \
    X(WRONG_REGION, 400, "AuthorizationHeaderMalformed", \
      "The authorization header is malformed; the region is wrong") \
    X(AUTHORIZATION_QUERY_PARAMETERS, 400, "AuthorizationQueryParametersError", \
      "Query-string authentication requires X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, " \
      "X-Amz-Date, " \
      "X-Amz-SignedHeaders and X-Amz-Expires, each well-formed.") \
    X(MALFORMED_V2, 400, "InvalidArgument", \
      "AWS authorization header is invalid. Expected AWSAccessKeyId:signature.") \
    X(V2_QUERY, 403, "AccessDenied", \
      "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters.") \
    X(MALFORMED_FORM, 400, "InvalidArgument", \
      "A signed form needs x-amz-algorithm, x-amz-credential, x-amz-date and x-amz-signature, or " \
      "AWSAccessKeyId " \
      "and signature, each well-formed.") \
    X(TWO_MECHANISMS, 400, "InvalidRequest", \
      "Only one auth mechanism allowed; use either the Authorization header or the query signature.") \
    X(UNSUPPORTED_SIGNATURE, 400, "InvalidRequest", \
      "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.") \
    X(INVALID_TOKEN_ID, 403, "InvalidTokenId", "The security token included in the request is invalid") \
    X(BAD_CONTENT_SHA256, 400, "InvalidArgument", \
      "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- value or a SHA-256 in hex.") \
    X(BAD_REQUEST, 400, "BadRequest", "An unsupported API call") \
    X(MALFORMED_REQUEST, 400, "BadRequest", "The request is not well-formed HTTP/1.1.") \
    X(URI_TOO_LONG, 414, "BadRequest", "The request target is too long.") \
    X(HTTP_VERSION, 505, "BadRequest", "This HTTP version is not supported; use HTTP/1.1.") \
    X(EXPECTATION_FAILED, 417, "BadRequest", "The only expectation that is supported is 100-continue.") \
    X(METHOD_NOT_ALLOWED, 405, "MethodNotAllowed", \
      "The specified method is not allowed against this resource.") \
    X(NOT_IMPLEMENTED, 501, "NotImplemented", \
      "A header or query you provided implies functionality that is not implemented") \
    X(TRANSFER_CODING, 501, "NotImplemented", "The only transfer coding that is supported is chunked.") \
    X(REQUEST_TIMEOUT, 400, "RequestTimeout", \
      "Your socket connection to the server was not read from or written to within the timeout period.") \
    X(INVALID_ARGUMENT, 400, "InvalidArgument", "Invalid Argument") \
    X(REPEATED_HEADER, 400, "InvalidArgument", "A header that has one value was sent more than once.") \
    X(INVALID_REQUEST, 400, "InvalidRequest", "Invalid Request") \
    X(INVALID_BUCKET_NAME, 400, "InvalidBucketName", "The specified bucket is not valid.") \
    X(INVALID_REGION, 400, "InvalidRegion", "Region does not match.") \
    X(INVALID_RESOURCE_NAME, 400, "XMinioInvalidResourceName", \
      "Resource name contains bad components such as \"..\" or \".\".") \
    X(INVALID_OBJECT_NAME, 400, "XMinioInvalidObjectName", "Object name contains unsupported characters.") \
    X(KEY_TOO_LONG, 400, "KeyTooLongError", "Your key is too long") \
    X(METADATA_TOO_LARGE, 400, "MetadataTooLarge", \
      "Your metadata headers exceed the maximum allowed metadata size.") \
    X(INVALID_DIGEST, 400, "InvalidDigest", "The Content-Md5 you specified is not valid.") \
    X(BAD_DIGEST, 400, "BadDigest", "The Content-Md5 you specified did not match what we received.") \
    X(BAD_CHECKSUM, 400, "BadDigest", "The checksum you specified did not match what we received.") \
    X(INVALID_CHECKSUM, 400, "InvalidRequest", "The value of the x-amz-checksum header is not valid.") \
    X(TWO_CHECKSUMS, 400, "InvalidRequest", \
      "Expecting a single x-amz-checksum- header. Multiple checksum types are not allowed.") \
    X(INVALID_CHECKSUM_ALGORITHM, 400, "InvalidRequest", \
      "Checksum algorithm provided is unsupported. Please try again with any of the valid types: CRC32, " \
      "CRC32C, " \
      "CRC64NVME, SHA1, SHA256.") \
    X(INVALID_CHECKSUM_TYPE, 400, "InvalidRequest", \
      "The x-amz-checksum-type does not go with the x-amz-checksum-algorithm.") \
    X(INVALID_CHECKSUM_HINT, 400, "InvalidRequest", \
      "The value of the x-amz-sdk-checksum-algorithm header is not valid.") \
    X(CHECKSUM_MISSING, 400, "InvalidRequest", \
      "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer " \
      "headers " \
      "were found.") \
    X(CONTENT_SHA256_MISMATCH, 400, "XAmzContentSHA256Mismatch", \
      "The provided 'x-amz-content-sha256' header does not match what was computed.") \
    X(INCOMPLETE_BODY, 400, "IncompleteBody", \
      "You did not provide the number of bytes specified by the Content-Length HTTP header.") \
    X(MALFORMED_TRAILER, 400, "MalformedTrailerError", \
      "The request contained trailing data that was not well-formed.") \
    X(ENTITY_TOO_LARGE, 400, "EntityTooLarge", \
      "Your proposed upload exceeds the maximum allowed object size.") \
    X(ENTITY_TOO_SMALL, 400, "EntityTooSmall", \
      "Your proposed upload is smaller than the minimum allowed object size.") \
    X(MALFORMED_POST, 400, "MalformedPOSTRequest", \
      "The body of your POST request is not well-formed multipart/form-data with one file as its last " \
      "field.") \
    X(POST_FIELDS_TOO_LARGE, 400, "MaxPostPreDataLengthExceeded", \
      "Your POST request fields preceding the upload file were too large.") \
    X(POST_NO_KEY, 400, "InvalidArgument", \
      "Bucket POST must contain a field named 'key'. If it is specified, please check the order of the " \
      "fields.") \
    X(POST_NO_POLICY, 400, "InvalidArgument", "Bucket POST must contain a field named 'policy'.") \
    X(INVALID_POLICY_DOCUMENT, 400, "InvalidPolicyDocument", \
      "The content of the form does not meet the conditions specified in the policy document.") \
    X(MISSING_CONTENT_LENGTH, 411, "MissingContentLength", \
      "You must provide the Content-Length HTTP header.") \
    X(MISSING_CONTENT_MD5, 400, "MissingContentMD5", \
      "Missing or invalid required header for this request: Content-Md5 or Amz-Content-Checksum") \
    X(MALFORMED_XML, 400, "MalformedXML", \
      "The XML you provided was not well-formed or did not validate against our published schema.") \
    X(UNSUPPORTED_NOTIFICATION, 400, "UnsupportedNotification", \
      "MinIO server does not support Topic or Cloud Function based notifications.") \
    X(INVALID_STORAGE_CLASS, 400, "InvalidStorageClass", "Invalid storage class.") \
    X(INVALID_PART_NUMBER, 416, "InvalidPartNumber", "The requested partnumber is not satisfiable") \
    X(NO_SUCH_UPLOAD, 404, "NoSuchUpload", \
      "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have " \
      "been " \
      "aborted or completed.") \
    X(INVALID_PART, 400, "InvalidPart", \
      "One or more of the specified parts could not be found. The part may not have been uploaded, or the " \
      "specified " \
      "entity tag may not match the part's entity tag.") \
    X(INVALID_PART_ORDER, 400, "InvalidPartOrder", \
      "The list of parts was not in ascending order. The parts list must be specified in order by part " \
      "number.") \
    X(INVALID_RANGE, 416, "InvalidRange", "The requested range is not satisfiable") \
    X(INVALID_COPY_RANGE, 400, "InvalidArgument", \
      "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the " \
      "zero-based offsets of the first and last bytes to copy.") \
    X(INVALID_COPY_SOURCE, 400, "InvalidArgument", \
      "Copy Source must mention the source bucket and key: sourcebucket/sourcekey.") \
    X(INVALID_DIRECTIVE, 400, "InvalidArgument", "Unknown metadata directive.") \
    X(INVALID_TAGGING_DIRECTIVE, 400, "InvalidArgument", "Unknown tagging directive.") \
    X(SELF_COPY, 400, "InvalidRequest", \
      "This copy request is illegal because it is trying to copy an object to itself without changing the " \
      "object's " \
      "metadata, storage class, website redirect location or encryption attributes.") \
    X(PRECONDITION_FAILED, 412, "PreconditionFailed", \
      "At least one of the pre-conditions you specified did not hold") \
    X(NOT_MODIFIED, 304, "NotModified", "Not Modified") \
    X(NO_SUCH_BUCKET, 404, "NoSuchBucket", "The specified bucket does not exist") \
    X(NO_SUCH_KEY, 404, "NoSuchKey", "The specified key does not exist.") \
    X(NO_SUCH_VERSION, 404, "NoSuchVersion", "The specified version does not exist.") \
    /* sub-resources that were never configured (canned.c) */ \
    X(NO_SUCH_BUCKET_POLICY, 404, "NoSuchBucketPolicy", "The bucket policy does not exist") \
    X(NO_SUCH_CORS, 404, "NoSuchCORSConfiguration", "The CORS configuration does not exist") \
    X(NO_SUCH_ENCRYPTION, 404, "ServerSideEncryptionConfigurationNotFoundError", \
      "The server side encryption configuration was not found") \
    X(NO_SUCH_LIFECYCLE, 404, "NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist") \
    X(NO_SUCH_OBJECT_LOCK, 404, "ObjectLockConfigurationNotFoundError", \
      "Object Lock configuration does not exist for this bucket") \
    X(NO_SUCH_OWNERSHIP_CONTROLS, 404, "OwnershipControlsNotFoundError", \
      "The bucket ownership controls were not found") \
    X(NO_SUCH_PUBLIC_ACCESS_BLOCK, 404, "NoSuchPublicAccessBlockConfiguration", \
      "The public access block configuration was not found") \
    X(NO_SUCH_REPLICATION, 404, "ReplicationConfigurationNotFoundError", \
      "The replication configuration was not found") \
    X(NO_SUCH_TAG_SET, 404, "NoSuchTagSet", "The TagSet does not exist") \
    X(NO_SUCH_WEBSITE, 404, "NoSuchWebsiteConfiguration", \
      "The specified bucket does not have a website configuration") \
    X(NO_OBJECT_LOCK, 400, "InvalidRequest", "Bucket is missing ObjectLockConfiguration") \
    X(MISSING_SECURITY_HEADER, 400, "MissingSecurityHeader", "Your request was missing a required header") \
    X(UNEXPECTED_CONTENT, 400, "UnexpectedContent", "This request does not support content") \
    X(INVALID_TAG, 400, "InvalidTag", \
      "The tags provided are not valid: at most 10, each key once, keys of 1 to 128 and values of up to " \
      "256 " \
      "letters, digits, blanks and + - = . _ : / @.") \
    X(INVALID_TAGGING, 400, "InvalidArgument", \
      "The header x-amz-tagging must be encoded as URL query parameters.") \
    X(INVALID_VERSION_ID, 400, "InvalidArgument", "Invalid version id specified") \
    X(ANONYMOUS_OVERRIDES, 400, "InvalidRequest", \
      "Request specific response headers cannot be used for anonymous GET requests.") \
    X(BUCKET_ALREADY_OWNED, 409, "BucketAlreadyOwnedByYou", \
      "Your previous request to create the named bucket succeeded and you already own it.") \
    X(BUCKET_NOT_EMPTY, 409, "BucketNotEmpty", "The bucket you tried to delete is not empty") \
    X(INTERNAL, 500, "InternalError", "We encountered an internal error, please try again.") \
    X(DAMAGED, 500, "InternalError", \
      "Stored data failed its checksum; the server's log names the object and the file.") \
    X(SLOW_DOWN, 503, "SlowDown", "Please reduce your request rate.") \
    X(SLOW_DOWN_WRITE, 503, "SlowDownWrite", \
      "The store refuses writes after a disk error; the server's log says what to do.") \
    X(SHUTTING_DOWN, 503, "XMinioServerNotInitialized", "Server is shutting down, please try again.") \
    X(STORAGE_FULL, 507, "XMinioStorageFull", \
      "Storage backend has reached its minimum free drive threshold. Please delete a few objects to " \
      "proceed.")

enum s3_error {
#define S3_ERROR_ENUM(id, status, code, message) S3E_##id,
    S3_ERRORS(S3_ERROR_ENUM)
#undef S3_ERROR_ENUM
};

struct s3_error_row {
    int status;
    const char *code, *message;
};
const struct s3_error_row *s3_error_row(enum s3_error e);

#endif
