"""The exception tree, by what the caller does next.

EdgeError
├── UserError            a person must change something; the command line prints one line and exits non-zero
│   ├── ConfigError      a key or value of the configuration or of an option
│   ├── SpecError        a frontend or head description that cannot be used
│   ├── BundleError      a bundle that is damaged, edited, newer than this program, or not what it claims
│   └── AudioError       a recording that cannot be read or makes no sense
└── BackendError         inference failed at run time: restart the model, count the window as lost
"""

from __future__ import annotations

__all__ = ["AudioError", "BackendError", "BundleError", "ConfigError", "EdgeError", "SpecError", "UserError"]


class EdgeError(Exception):
    """Base of everything this project raises on purpose."""


class UserError(EdgeError):
    """What is wrong and what to do, in one line that names the file, key or device."""


class ConfigError(UserError):
    """A key or value of the configuration, or a command-line option, is wrong."""


class SpecError(UserError, ValueError):
    """A frontend or head description that cannot be used; the message names the key and the reason."""


class BundleError(UserError):
    """A bundle that cannot be trusted; the message names the file and the reason."""


class AudioError(UserError):
    """A recording that cannot be read; the message names the file and the reason."""


class BackendError(EdgeError):
    """Inference failed although the bundle is sound."""
