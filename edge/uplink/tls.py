"""TLS to the broker on a device whose wall clock may be wrong by years.

OpenSSL judges a certificate's dates by the system clock. Here it is told not to, and the dates are judged by what the
device truly knows of UTC, in the handshake, before any secret is sent. Everything else (chain, name, signatures) is
OpenSSL's. Dates are looked at in the broker's own certificate and in that authority of `ca_file` which has issued it;
an intermediate certificate's dates are not.
"""

import ssl

import msgspec

from sync_protocol.errors import ConfigError

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, which the ssl module does not name


class KnownTime(msgspec.Struct, frozen=True):
    """What is known of UTC. Certain: `utc_ms` is now. Else it is only a time that has surely passed."""

    utc_ms: int
    is_certain: bool


def tls_context(ca_file: str | None, known: KnownTime | None, authority: str | None = None) -> ssl.SSLContext:
    """For connections to the cloud; `ConfigError` for a `ca_file` that cannot be used.

    Only `authority` (PEM) is believed, or those in `ca_file`, or with neither the system's. `known` None leaves the
    dates to OpenSSL and the system clock.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file, cadata=authority)
    except OSError as err:
        raise ConfigError(f"$.uplink.ca_file {ca_file}: {err}") from err
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if known is not None:
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
        context.sslobject_class = _dated_object(known)
        context.sslsocket_class = _dated_socket(known)
    return context


def _dated_object(known: KnownTime) -> type[ssl.SSLObject]:
    class Dated(ssl.SSLObject):
        """Refuses a peer by the dates of its certificate as soon as it has shown it. For asyncio."""

        def do_handshake(self) -> None:
            super().do_handshake()
            _judge(self, known)

    return Dated


def _dated_socket(known: KnownTime) -> type[ssl.SSLSocket]:
    class Dated(ssl.SSLSocket):
        """The same for sockets that block."""

        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            _judge(self, known)

    return Dated


def _judge(connection: ssl.SSLObject | ssl.SSLSocket, known: KnownTime) -> None:
    peer = connection.getpeercert() or {}
    issuers = [ca for ca in connection.context.get_ca_certs() if ca.get("subject") == peer.get("issuer")]
    wrong = dates_wrong("certificate", peer, known)
    found = [dates_wrong("certificate's authority", ca, known) for ca in issuers]
    if wrong is None and found and all(found):
        wrong = found[0]
    if wrong is not None:
        raise ssl.SSLCertVerificationError(1, wrong)


def dates_wrong(what: str, certificate: "ssl._PeerCertRetDictType", known: KnownTime) -> str | None:
    """Why the dates forbid this certificate, None when they do not.

    A time that has only surely passed shows that a certificate has expired, never that it is not valid yet.
    """
    begins, ends = str(certificate.get("notBefore")), str(certificate.get("notAfter"))
    now_s = known.utc_ms / 1000
    if now_s > ssl.cert_time_to_seconds(ends):
        return f"the {what} expired on {ends}"
    if known.is_certain and now_s < ssl.cert_time_to_seconds(begins):
        return f"the {what} is not valid before {begins}"
    return None
