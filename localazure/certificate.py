"""The self-made certificate of one data folder: for clients that insist on TLS, such as `https://localhost:8081/`.

Owns: `certificate-key.pem`, the key and the certificate in one file, so that a crash leaves a pair (owner-readable;
made at the first start with TLS and again before its end), and `certificate.pem`, which clients are told to trust.
Refuses to know: sockets. No authority stands behind the certificate: it vouches for `localhost`, `127.0.0.1` and `::1`
and signs nothing else.

`cryptography` makes it, which is optional (`pip install "cqrs-on-azure-lab[tls]"`): without TLS nothing needs it.

Source: RFC 5280, sections 4.2.1.3, 4.2.1.6 and 4.2.1.9 (key usage, alternative names, basic constraints).
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from localazure import private_file
from localazure.errors import DataDamaged, TlsUnavailable

CERTIFICATE_FILE, KEY_FILE = "certificate.pem", "certificate-key.pem"
LIFE = timedelta(days=365)
RENEWED_BEFORE = timedelta(days=30)
HOST_NAME = "localhost"
_BEGIN = "-----BEGIN CERTIFICATE-----"
ADDRESSES = ("127.0.0.1", "::1")


def server_context(data_dir: Path, now: datetime | None = None) -> ssl.SSLContext:
    """What a server of `data_dir` speaks TLS with; makes the certificate if there is none, or its end is near.

    Raises: `TlsUnavailable` without `cryptography`; `DataDamaged`, `OSError` for files that cannot be used.
    """
    try:
        from cryptography import x509
    except ImportError as error:
        raise TlsUnavailable from error
    pair = data_dir / KEY_FILE
    now = now or datetime.now(UTC)
    try:
        if not pair.exists() or (
            x509.load_pem_x509_certificate(pair.read_bytes()).not_valid_after_utc < now + RENEWED_BEFORE
        ):
            private_file.write_text(pair, _make(now))
        text = pair.read_text(encoding="ascii")
        private_file.write_text(data_dir / CERTIFICATE_FILE, text[text.index(_BEGIN) :])
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair)
    except (ValueError, ssl.SSLError) as error:
        raise DataDamaged(pair, str(error)) from error
    return context


def _make(now: datetime) -> str:
    """Key and certificate, in that order."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    public = private.public_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localazure")])
    names = [x509.DNSName(HOST_NAME), *(x509.IPAddress(ipaddress.ip_address(one)) for one in ADDRESSES)]
    usage = {
        "digital_signature": True,
        "content_commitment": False,
        "key_encipherment": False,
        "data_encipherment": False,
        "key_agreement": False,
        "key_cert_sign": True,
        "crl_sign": False,
        "encipher_only": False,
        "decipher_only": False,
    }
    made = (
        x509.CertificateBuilder(name, name, public, x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(**usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    key = private.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return (key + made.public_bytes(pem)).decode("ascii")
