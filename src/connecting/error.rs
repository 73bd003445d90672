use crate::base::files::ReadFileError;
use crate::base::printable::Printable;

/// Why the settings of a connection are not usable. No variant holds a password, or text that may contain one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// A file that a setting names was not read.
    #[error(transparent)]
    File(#[from] ReadFileError),
    /// A source of settings is malformed.
    #[error("{place} {why}", place = Printable(.place), why = Printable(.why))]
    Malformed {
        /// The source: a variable, or a file and the section in it.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// A source of settings has a key that does not exist.
    #[error("{place} has an unknown key `{key}`", place = Printable(.place), key = Printable(.key))]
    UnknownKey {
        /// The source.
        place: String,
        /// The unknown key.
        key: String,
        /// The most similar key that exists.
        nearest: Option<String>,
    },
    /// A setting that would restrict the connection is not supported, and is not ignored either.
    #[error("{place} sets `{key}`, which is not supported", place = Printable(.place), key = Printable(.key))]
    Unsupported {
        /// The source.
        place: String,
        /// The key.
        key: String,
    },
    /// A password stands where others can read it: in `phasegate.toml`, or in a URL on the command line.
    #[error("{place} contains a password, where others can read it", place = Printable(.place))]
    PasswordExposed {
        /// The file and the section in it, or the argument.
        place: String,
    },
    /// Another user could change `phasegate.toml`, which names a command.
    #[error("{file} names a `password_command`, and another user can change the file", file = Printable(.file))]
    Untrusted {
        /// The path of the file.
        file: String,
    },
    /// No service file has a section of this name.
    #[error("the service `{service}` is in no service file", service = Printable(.service))]
    UnknownService {
        /// The name of the service.
        service: String,
    },
    /// The `sslmode` allows a connection without TLS, and the server is on another machine.
    #[error("sslmode `{mode}` is refused for the runner, because an attacker can turn TLS off", mode = Printable(.mode))]
    WeakSslMode {
        /// The mode.
        mode: String,
    },
    /// The connection needs TLS, and the program was built without it.
    #[error("sslmode `{mode}` needs TLS, which this program was built without", mode = Printable(.mode))]
    NoTls {
        /// The mode.
        mode: String,
    },
    /// A certificate or a key is not usable.
    #[error("TLS cannot be set up: {why}", why = Printable(.why))]
    Tls {
        /// What is wrong.
        why: String,
    },
    /// A configured source of the password gave none.
    #[error("no password from {place}: {why}", place = Printable(.place), why = Printable(.why))]
    Password {
        /// The source.
        place: String,
        /// What is wrong.
        why: String,
    },
}

impl EndpointError {
    pub(super) fn malformed(place: impl Into<String>, why: impl Into<String>) -> Self {
        EndpointError::Malformed {
            place: place.into(),
            why: why.into(),
        }
    }

    pub(super) fn password(place: impl Into<String>, why: impl Into<String>) -> Self {
        EndpointError::Password {
            place: place.into(),
            why: why.into(),
        }
    }

    pub(super) fn tls(why: impl Into<String>) -> Self {
        EndpointError::Tls { why: why.into() }
    }

    /// Returns the stable name of the error, for programs; `docs/errors.md` lists them.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            EndpointError::File(error) => error.code(),
            EndpointError::Malformed { .. } => "endpoint_malformed",
            EndpointError::UnknownKey { .. } => "endpoint_unknown_key",
            EndpointError::Unsupported { .. } => "endpoint_unsupported",
            EndpointError::PasswordExposed { .. } => "endpoint_password_exposed",
            EndpointError::Untrusted { .. } => "endpoint_file_untrusted",
            EndpointError::UnknownService { .. } => "endpoint_unknown_service",
            EndpointError::WeakSslMode { .. } => "endpoint_weak_sslmode",
            EndpointError::NoTls { .. } => "endpoint_no_tls",
            EndpointError::Tls { .. } => "endpoint_tls",
            EndpointError::Password { .. } => "endpoint_no_password",
        }
    }

    /// Returns what to do about it, as one or two sentences; `None` if there is nothing to say beside the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            EndpointError::File(error) => return error.hint(),
            EndpointError::UnknownKey { nearest, .. } => {
                return nearest.as_ref().map(|key| format!("Did you mean `{key}`?"));
            }
            EndpointError::Unsupported { .. } => {
                "Remove it. A program that needs it can implement `Connector`."
            }
            EndpointError::PasswordExposed { .. } => {
                "Remove it and change the password. Use ~/.pgpass, `password_file` or `password_command`."
            }
            EndpointError::Untrusted { .. } => {
                "Let the file be owned by you or by root, and run `chmod go-w` on it."
            }
            EndpointError::UnknownService { .. } => {
                "Add a section of this name to ~/.pg_service.conf, or set PGSERVICEFILE."
            }
            EndpointError::WeakSslMode { .. } => {
                "Use `sslmode=verify-full`, which is the default, with `sslrootcert` if the certificate is of a private authority."
            }
            EndpointError::NoTls { .. } => {
                "Build it with the feature `rustls` or `native-tls` of phasegate."
            }
            EndpointError::Malformed { .. }
            | EndpointError::Tls { .. }
            | EndpointError::Password { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
