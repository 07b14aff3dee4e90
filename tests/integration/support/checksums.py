# SPDX-License-Identifier: Apache-2.0
"""The five checksums of S3, computed apart from the server's code."""
import base64
import hashlib
import zlib


def _crc_table(poly):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (poly if byte & 1 else 0)
        table.append(byte)
    return table


_CRC32C, _CRC64 = _crc_table(0x82F63B78), _crc_table(0x9A6C9329AC4BC9B5)


def _crc(table, bits, data):
    ones = (1 << bits) - 1
    crc = ones
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 255]
    return (crc ^ ones).to_bytes(bits // 8, "big")


DIGESTS = {
    "CRC32": lambda d: zlib.crc32(d).to_bytes(4, "big"),
    "CRC32C": lambda d: _crc(_CRC32C, 32, d),
    "CRC64NVME": lambda d: _crc(_CRC64, 64, d),
    "SHA1": lambda d: hashlib.sha1(d).digest(),
    "SHA256": lambda d: hashlib.sha256(d).digest(),
}
ALGORITHMS = list(DIGESTS)


def checksum(algorithm, data):
    """base64 of the value, as headers carry it."""
    return base64.b64encode(DIGESTS[algorithm](data)).decode()


def header(algorithm):
    return "x-amz-checksum-" + algorithm.lower()
