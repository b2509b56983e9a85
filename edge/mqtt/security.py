"""Credentials and TLS of a connection to the broker, read from their files at each connection."""

from __future__ import annotations

import ssl

import paho.mqtt.client as mqtt

from edge.config.sections import MqttConfig
from edge.errors import DeliveryError

__all__ = ["HANDSHAKE_S", "secure"]

HANDSHAKE_S = 5.0
LONGEST_BYTES = 65_535  # of a string in MQTT


class _TlsSocket(ssl.SSLSocket):
    """A socket whose handshake ends in time and leaves nothing open.

    paho would wait a whole keepalive, and forget the socket of a handshake that failed.
    """

    def do_handshake(self, block: bool = False) -> None:
        self.settimeout(HANDSHAKE_S)
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def secure(client: mqtt.Client, config: MqttConfig) -> None:
    """Give `client` its user, password and certificates as the files have them now.

    They may have been renewed since the last connection, or be there only now. Raises
    `DeliveryError`.
    """
    try:
        for key, path in config.files.items():
            if path.exists() and not path.is_file():  # a pipe would be waited for, without end
                raise DeliveryError("credentials", f"mqtt.{key}: {path} is not a regular file")
            path.open("rb").close()  # ssl's own error would not name the file
        credentials = config.credentials()
        if credentials.username is not None:
            _check_length("mqtt.username_file", credentials.username)
            _check_length("mqtt.password_file", credentials.password or "")
            client.username_pw_set(credentials.username, credentials.password)
        if config.tls:
            client.tls_set_context(_context(config))
    except ssl.SSLError as exc:
        reason = f"mqtt.ca_file, cert_file or key_file cannot be used: {exc.reason or exc}"
        raise DeliveryError("tls", reason) from exc
    except OSError as exc:
        raise DeliveryError("credentials", f"{exc.filename}: {exc.strerror}") from exc
    except ValueError as exc:  # a file that is not text; its content is not for the log
        reason = "mqtt.username_file or password_file is not UTF-8 text"
        raise DeliveryError("credentials", reason) from exc


def _check_length(key: str, text: str) -> None:
    """Raise where MQTT has no place for a text: it counts its bytes in two."""
    if len(text.encode()) > LONGEST_BYTES:
        reason = f"{key} holds more than the {LONGEST_BYTES} bytes that MQTT can send"
        raise DeliveryError("credentials", reason)
    if "\0" in text:
        raise DeliveryError("credentials", f"{key} holds a zero byte: is it the right file?")


def _context(config: MqttConfig) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=config.ca_file)
    if config.cert_file is not None:
        # The empty password keeps ssl from asking for one on a terminal.
        context.load_cert_chain(config.cert_file, config.key_file, password="")
    context.sslsocket_class = _TlsSocket
    return context
