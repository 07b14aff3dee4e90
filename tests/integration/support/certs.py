# SPDX-License-Identifier: Apache-2.0
"""Throw-away certificates, made with the openssl program."""
import os
import ssl
import subprocess


def _openssl(*args):
    subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True)


class Authority:
    """A certificate authority in a directory."""

    def __init__(self, directory, name="Belfry test CA"):
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.cert, self.key = self.path("ca.crt"), self.path("ca.key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def path(self, name):
        return os.path.join(self.directory, name)

    def issue(self, name, sans=("IP:127.0.0.1", "DNS:localhost"), client=False, into=None, days=2):
        """Certificate and key files for a name; into: (cert path, key path). days: -1 is expired since yesterday."""
        cert, key = into or (self.path(name + ".crt"), self.path(name + ".key"))
        request, extensions = self.path(name + ".csr"), self.path(name + ".ext")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                 "-keyout", key, "-out", request)
        with open(extensions, "w", encoding="ascii") as f:
            f.write(f"subjectAltName={','.join(sans)}\n" +
                    f"extendedKeyUsage={'clientAuth' if client else 'serverAuth'}\n")
        _openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                 "-extfile", extensions, "-out", cert)
        return cert, key

    def client_context(self):
        """An SSL context that trusts this authority."""
        return ssl.create_default_context(cafile=self.cert)

    def server_context(self, cert, key, require_client=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        if require_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.cert)
        return context
