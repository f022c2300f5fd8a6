"""Asks the cloud over HTTPS to be let in, and for a new token."""

from hashlib import sha256
import http.client
from ipaddress import ip_address
import ssl
from typing import Any, TypeVar
from urllib.parse import SplitResult, parse_qs, urlsplit

import msgspec

from edge.identity import DeviceKey
from edge.uplink.tls import KnownTime, tls_context
from sync_protocol.enrolment import PATH, Challenge, Enrolled, EnrolmentRequest, RenewalRequest, to_sign
from sync_protocol.errors import Denied, Invalid, Rejected, Unavailable

_PATIENCE_S = 20.0
_MOST_BYTES = 64 * 1024
_FINGERPRINT_LENGTH = 64
T = TypeVar("T")


class Claim(msgspec.Struct, frozen=True):
    """Where to ask, with which code, and by what to know the cloud's authority (None: the system's decide)."""

    url: str
    code: str
    authority_sha256: str | None = None


class _Authority(msgspec.Struct):
    pem: str


class _Refusal(msgspec.Struct):
    detail: str = ""


def read_claim(text: str, code: str | None) -> Claim:
    """A claim as it stands in a QR code, or an address and a code beside it. `Invalid` says what was expected."""
    address = urlsplit(text.strip())
    words = {name: values[0] for name, values in parse_qs(address.fragment).items()}
    found = code or words.get("code")
    if address.scheme not in ("https", "http") or not address.hostname:
        raise Invalid(f"address {text!r}: expected https://host, or the whole line that came with the claim code")
    if found is None:
        raise Invalid("expected a claim code behind the address")
    authority = words.get("ca")
    if authority is not None and len(authority) != _FINGERPRINT_LENGTH:
        raise Invalid(f"ca: expected {_FINGERPRINT_LENGTH} hexadecimal digits")
    return Claim(f"{address.scheme}://{address.netloc}", found, authority)


class EnrolmentClient:
    """Speaks to the API at `url`. Certificates are judged by `authority` (PEM; None: the system's) and `known` time.

    Every call blocks for at most some tens of seconds. `Unavailable`: nobody there, or not now; `Denied`: not let in.
    """

    def __init__(self, url: str, authority: str | None, known: KnownTime | None) -> None:
        self._address = urlsplit(url)
        self._authority = authority
        self._known = known
        if self._address.scheme != "https" and not _is_loopback(self._address):
            raise Invalid(f"{url}: expected https: what is sent must not be read by others")

    def trust(self, authority_sha256: str) -> str:
        """Ask for the cloud's authority, believe it if it has this fingerprint, and return it."""
        pem = self._ask("GET", f"{PATH}/authority", _Authority, is_blind=True).pem
        if sha256(_der(pem)).hexdigest() != authority_sha256.lower():
            raise Denied(f"{self._address.netloc} is not the service that this claim code is from")
        self._authority = pem
        return pem

    def enrol(self, key: DeviceKey, code: str, name: str) -> Enrolled:
        """Come in."""
        challenge = self._challenge()
        signature = key.sign(to_sign(challenge, key.public, code, name)).hex()
        return self._ask("POST", PATH, Enrolled, EnrolmentRequest(code, key.public, challenge, signature, name))

    def renew(self, key: DeviceKey) -> Enrolled:
        """A new token."""
        challenge = self._challenge()
        signature = key.sign(to_sign(challenge, key.public)).hex()
        return self._ask("POST", f"{PATH}/renewals", Enrolled, RenewalRequest(key.public, challenge, signature))

    def _challenge(self) -> str:
        return self._ask("POST", f"{PATH}/challenges", Challenge).challenge

    def _ask(self, method: str, path: str, kind: type[T], body: Any = None, *, is_blind: bool = False) -> T:
        connection = self._connection(is_blind=is_blind)
        try:
            data = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read(_MOST_BYTES)
        except (OSError, http.client.HTTPException) as err:
            raise Unavailable(f"{self._address.netloc}: {str(err) or type(err).__name__}", 60.0) from err
        finally:
            connection.close()
        try:
            if answer.status < 300:
                return msgspec.json.decode(content, type=kind)
            detail = msgspec.json.decode(content, type=_Refusal).detail
        except msgspec.DecodeError:
            raise Unavailable(f"{self._address.netloc} answers {answer.status}, not as Milepost does", 60.0) from None
        if answer.status in (429, 500, 502, 503, 504):
            raise Unavailable(detail, float(answer.headers.get("Retry-After") or 60))
        raise Denied(detail) if answer.status in (401, 403) else Rejected(detail)

    def _connection(self, *, is_blind: bool) -> http.client.HTTPConnection:
        host, port = self._address.hostname or "", self._address.port
        if self._address.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
        context = tls_context(None, self._known, self._authority)
        if is_blind:  # for the authority alone, which is then judged by its fingerprint
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(host, port, timeout=_PATIENCE_S, context=context)


def _der(pem: str) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(pem.strip())
    except ValueError:
        raise Denied("the authority that the service shows is no certificate") from None


def _is_loopback(address: SplitResult) -> bool:
    try:
        return address.hostname == "localhost" or ip_address(address.hostname or "").is_loopback
    except ValueError:
        return False
