# SPDX-License-Identifier: Apache-2.0
"""What an event record must look like, byte for byte, as a pattern with the varying parts named."""
import json
import re

VARYING = {
    "time": r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)", "id2": r"(?P<id2>[0-9a-f]{64})",
    "request_id": r"(?P<request_id>[0-9A-F]{16})", "sequencer": r"(?P<sequencer>[0-9A-F]{16})",
    "deployment": r"(?P<deployment>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
}


def quoted(text):
    """A JSON string with the escapes that MinIO's encoder makes (HTML-safe, non-ASCII kept)."""
    out = json.dumps(text, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        out = out.replace(char, f"\\u{ord(char):04x}")
    return out.replace("\x7f", "\x7f")


def members(pairs):
    """{"a":"b",...} of the pairs, sorted by key bytes."""
    inner = ",".join(f"{quoted(k)}:{quoted(v)}" for k, v in sorted(pairs.items(), key=lambda p: p[0].encode()))
    return "{" + inner + "}"


def pattern(event, bucket, key, encoded_key, principal, endpoint, agent, region="", content_length=None, size=None,
            etag=None, content_type=None, metadata=None, byte_range=None, host="127.0.0.1"):
    """A compiled pattern of the whole body that a webhook gets. metadata None: the omissions of a removal."""
    parameters = {"principalId": principal, "region": region, "sourceIPAddress": host}
    if byte_range is not None:
        parameters["range"] = byte_range
    response = f'"content-length":{quoted(str(content_length))},' if content_length is not None else ""
    thing = f'"key":{quoted(encoded_key)}'
    if size:
        thing += f',"size":{size}'
    if metadata is not None:
        thing += f',"eTag":{quoted(etag)},"contentType":{quoted(content_type)},"userMetadata":{members(metadata)}'
    text = (
        f'{{"EventName":{quoted(event)},"Key":{quoted(bucket + "/" + key)},"Records":[{{"eventVersion":"2.0",'
        f'"eventSource":"minio:s3","awsRegion":{quoted(region)},"eventTime":"@time@","eventName":{quoted(event)},'
        f'"userIdentity":{{"principalId":{quoted(principal)}}},"requestParameters":{members(parameters)},'
        f'"responseElements":{{{response}"x-amz-id-2":"@id2@","x-amz-request-id":"@request_id@",'
        f'"x-minio-deployment-id":"@deployment@","x-minio-origin-endpoint":{quoted(endpoint)}}},'
        f'"s3":{{"s3SchemaVersion":"1.0","configurationId":"Config","bucket":{{"name":{quoted(bucket)},'
        f'"ownerIdentity":{{"principalId":{quoted(principal)}}},"arn":"arn:aws:s3:::{bucket}"}},'
        f'"object":{{{thing},"sequencer":"@sequencer@"}}}},'
        f'"source":{{"host":{quoted(host)},"port":"","userAgent":{quoted(agent)}}}}}]}}')
    regex = re.escape(text)
    for name, sub in VARYING.items():
        regex = regex.replace(re.escape(f"@{name}@"), sub)
    return re.compile(regex)
