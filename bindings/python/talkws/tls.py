"""What connections over TLS agreed upon, and what :mod:`ssl` says that can be taken over."""

from __future__ import annotations

import ssl as ssl_module
from typing import NamedTuple, Union

from ._talkws import ClientTLS, ServerTLS

__all__ = ["ClientSSL", "TLSInfo", "client_tls_of", "server_tls_of"]

ClientSSL = Union[ClientTLS, ssl_module.SSLContext, None]

# Revocation, of the last certificate or of all.
_REVOCATION = (
    ssl_module.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    | ssl_module.VerifyFlags.VERIFY_CRL_CHECK_CHAIN
)


class TLSInfo(NamedTuple):
    """What the two ends of a connection over TLS agreed upon."""

    version: str
    """``"TLSv1.2"`` or ``"TLSv1.3"``."""
    cipher: str
    """The cipher suite, by its name in the registry of IANA."""
    is_resumed: bool
    """Whether an earlier session was resumed."""
    peer_certificates: tuple[bytes, ...]
    """The other end's certificates in DER, its own first; none from a client that showed none."""


def client_tls_of(ssl: ClientSSL, keyword: str = "ssl") -> ClientTLS | None:
    """What a client's ``ssl``, or another keyword of its kind, means. ``None`` is for the defaults."""
    if ssl is None or isinstance(ssl, ClientTLS):
        return ssl
    if not isinstance(ssl, ssl_module.SSLContext):
        raise TypeError(
            f"{keyword}={ssl!r}: expected a talkws.ClientTLS, an ssl.SSLContext, or None"
        )
    return _taken_over(ssl)


def _taken_over(context: ssl_module.SSLContext) -> ClientTLS:
    """What a context says, if all of it that can be read can be meant here."""
    if context.protocol == ssl_module.PROTOCOL_TLS_SERVER:
        raise ValueError("ssl: this context is for servers")
    newest = context.maximum_version
    if newest not in {
        ssl_module.TLSVersion.MAXIMUM_SUPPORTED,
        ssl_module.TLSVersion.TLSv1_3,
    }:
        raise _cannot(f"maximum_version={newest!r}", "leave it out")
    if context.verify_flags & _REVOCATION:
        raise _cannot("verify_flags", "pass talkws.ClientTLS(crl_file=...)")
    if getattr(context, "keylog_filename", None) is not None:
        raise _cannot("keylog_filename", "leave it out")
    is_new = context.minimum_version == ssl_module.TLSVersion.TLSv1_3
    version = "TLSv1.3" if is_new else "TLSv1.2"
    if context.verify_mode == ssl_module.CERT_NONE:
        return ClientTLS(
            minimum_version=version,
            danger_accept_any_certificate=True,
        )
    if not context.check_hostname:
        raise _cannot(
            "check_hostname=False",
            "pass server_hostname, or talkws.ClientTLS with pins",
        )
    default = ssl_module.create_default_context()
    trusted = set(context.get_ca_certs(binary_form=True))
    held = context.cert_store_stats()
    is_default = held == default.cert_store_stats()
    if is_default and trusted == set(default.get_ca_certs(binary_form=True)):
        return ClientTLS(minimum_version=version)
    # Only authorities can be read, and not those of a folder before they were of use.
    if not trusted or held["x509"] != held["x509_ca"] or held["crl"]:
        raise _cannot("some of the certificates", "pass talkws.ClientTLS(ca_file=...)")
    pem = "".join(map(ssl_module.DER_cert_to_PEM_cert, trusted))
    return ClientTLS(minimum_version=version, ca_data=pem.encode())


def _cannot(what: str, instead: str) -> NotImplementedError:
    return NotImplementedError(
        f"ssl: {what} of a context means nothing here; {instead}"
    )


def server_tls_of(ssl: ServerTLS | None) -> ServerTLS | None:
    """What a server's ``ssl`` means."""
    if isinstance(ssl, ssl_module.SSLContext):
        raise NotImplementedError(
            "ssl: the private key in a context cannot be read; pass"
            " talkws.ServerTLS((chain_file, key_file)) instead"
        )
    if ssl is None or isinstance(ssl, ServerTLS):
        return ssl
    raise TypeError(f"ssl={ssl!r}: expected a talkws.ServerTLS or None")
