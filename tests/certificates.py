"""Certificates for tests: an authority, and whom it signs for."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_FROM = datetime(2020, 1, 1, tzinfo=UTC)
_TO = _FROM + timedelta(days=36_500)


class Pair(NamedTuple):
    """PEM of a certificate and its key."""

    certificate: bytes
    key: bytes
    serial: int

    def write(self, cert_file: Path, key_file: Path) -> None:
        """Each file at once: whoever reads meanwhile reads the old one or the new one."""
        for path, content in ((cert_file, self.certificate), (key_file, self.key)):
            draft = path.with_suffix(".new")
            draft.write_bytes(content)
            draft.replace(path)


class Authority:
    """Signs certificates for a name on this machine."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = _begun(self._name, self._name, self._key).add_extension(constraints, critical=True)
        self.certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def pair(self, name: str) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName(
            [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        builder = _begun(_named(name), self._name, key).add_extension(alternatives, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(signed.public_bytes(Encoding.PEM), pem, signed.serial_number)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number(), _FROM, _TO)
