"""A shop's own certificate authority: makes it, and certificates for the names under which processes are reached.

Keeps: keys are readable by their owner only, files appear whole, and nothing that exists is overwritten unless
that was asked for. Keys are ECDSA on P-256: a handshake costs a server a fraction of a millisecond.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from syncref.errors import ConfigInvalid

CA_DAYS = 3650
CERTIFICATE_DAYS = 365
_BACKDATED = timedelta(hours=1)  # clocks of one shop differ
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_CA = ("ca.pem", "ca.key")


def make_authority(
    folder: Path, *, name: str = "syncref", days: int = CA_DAYS, now: datetime | None = None
) -> Path:
    """Make an authority in a folder (ca.pem, ca.key); return its certificate's file. Raises ConfigInvalid."""
    certificate_file, key_file = (folder / file for file in _CA)
    for file in (certificate_file, key_file):
        if file.exists():
            raise ConfigInvalid(f"{file} is there already; an authority is never replaced in place")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} authority")])
    begin = (now or datetime.now(UTC)) - _BACKDATED
    builder = _builder(subject, subject, key.public_key(), begin=begin, end=begin + timedelta(days=days))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    certificate = builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigInvalid(f"{folder} can't be made: {error.strerror}") from error
    _write(key_file, _key_text(key), mode=0o600)
    _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return certificate_file


def issue(
    authority: Path,
    names: Sequence[str],
    *,
    certificate_file: Path,
    key_file: Path,
    days: int = CERTIFICATE_DAYS,
    now: datetime | None = None,
) -> datetime:
    """Write a certificate and a new key for host names and addresses; return when it ends. Raises ConfigInvalid.

    The key is written first: a process that looks between the two finds that they don't fit, and looks again.
    """
    issuer, signing_key = _authority(authority)
    alternative = x509.SubjectAlternativeName([_name(name) for name in names])
    if not names:
        raise ConfigInvalid("a certificate needs a host name or address at least")
    key = ec.generate_private_key(ec.SECP256R1())
    begin = (now or datetime.now(UTC)) - _BACKDATED
    end = min(begin + timedelta(days=days) + _BACKDATED, issuer.not_valid_after_utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    builder = _builder(issuer.subject, subject, key.public_key(), begin=begin, end=end)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    builder = builder.add_extension(identifier, critical=False).add_extension(alternative, critical=False)
    certificate = builder.sign(signing_key, hashes.SHA256())
    _write(key_file, _key_text(key), mode=0o600)
    _write(certificate_file, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    return end


def _builder(
    issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, begin: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate_file, key_file = (folder / file for file in _CA)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except OSError as error:
        raise ConfigInvalid(f"{error.filename}: {error.strerror}; `syncref provision ca` makes one") from error
    except (ValueError, TypeError) as error:
        raise ConfigInvalid(f"{folder}: ca.pem or ca.key is damaged: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ConfigInvalid(f"{folder}: ca.key is not ca.pem's key")
    return certificate, key


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if len(text) > 253 or not _HOST.fullmatch(text):
            raise ConfigInvalid(f"{text!r}: expected a host name or an IP address") from None
        return x509.DNSName(text)


def _key_text(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes, *, mode: int) -> None:
    """Write a file that appears whole, and never with a wider mode than the one asked for."""
    fresh = file.with_name(f".{file.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(file)
    except OSError as error:
        raise ConfigInvalid(f"{file} can't be written: {error.strerror}") from error
