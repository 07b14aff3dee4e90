/* SPDX-License-Identifier: Apache-2.0
 *
 * Reason phrases of status codes (RFC 9110 15). */
#include "http/http.h"

#define REASONS(X) \
    X(100, "Continue") \
    X(200, "OK") \
    X(201, "Created") \
    X(202, "Accepted") \
    X(204, "No Content") \
    X(206, "Partial Content") \
    X(301, "Moved Permanently") \
    X(302, "Found") \
    X(303, "See Other") \
    X(304, "Not Modified") \
    X(307, "Temporary Redirect") \
    X(308, "Permanent Redirect") \
    X(400, "Bad Request") \
    X(401, "Unauthorized") \
    X(403, "Forbidden") \
    X(404, "Not Found") \
    X(405, "Method Not Allowed") \
    X(406, "Not Acceptable") \
    X(408, "Request Timeout") \
    X(409, "Conflict") \
    X(410, "Gone") \
    X(411, "Length Required") \
    X(412, "Precondition Failed") \
    X(413, "Content Too Large") \
    X(414, "URI Too Long") \
    X(415, "Unsupported Media Type") \
    X(416, "Range Not Satisfiable") \
    X(417, "Expectation Failed") \
    X(422, "Unprocessable Content") \
    X(426, "Upgrade Required") \
    X(429, "Too Many Requests") \
    X(431, "Request Header Fields Too Large") \
    X(499, "Client Closed Request") \
    X(500, "Internal Server Error") \
    X(501, "Not Implemented") \
    X(502, "Bad Gateway") \
    X(503, "Service Unavailable") \
    X(504, "Gateway Timeout") \
    X(505, "HTTP Version Not Supported") \
    X(507, "Insufficient Storage")

const char *http_reason(int status)
{
    switch (status) {
#define REASON(code, text) \
    case code: \
        return text;
        REASONS(REASON)
#undef REASON
    default:
        return "Status";
    }
}
