"""A certificate authority for tests: issues a broker's certificate with any dates, on this machine's loopback."""

from datetime import UTC, datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """One key; its own certificate holds from `begins` to `ends` (years), a hundred of them unless said otherwise."""

    def __init__(self, folder: Path, begins: int = 2000, ends: int = 2100) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        own = self._builder(self._name, self._key, begins, ends)
        own = own.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begins: int, ends: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(begins, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(ends, 1, 1, tzinfo=UTC))
        )

    def nats_tls(self, begins: int, ends: int, host: str = "127.0.0.1") -> str:
        """A new certificate for `host`, as lines for nats-server's configuration."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test broker")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        certificate = self._builder(name, key, begins, ends).add_extension(names, critical=False)
        cert_file, key_file = self._folder / "broker.pem", self._folder / "broker.key"
        cert_file.write_bytes(certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return f'tls {{ cert_file: "{cert_file}", key_file: "{key_file}" }}'
