use std::fmt;

use super::conninfo;
use super::endpoint::Endpoint;
use super::environment::Environment;
use super::error::EndpointError;
use super::project;
use super::role::Role;
use super::settings::Settings;

/// The place of what the program passes in.
const GIVEN: &str = "the given setting";

/// Finds the settings of a connection where `psql` finds them, and where phasegate has more.
///
/// The connection is that of the first of these that is there: the [url](Connect::url) that is given;
/// `PHASEGATE_RUNNER_URL` (or that of another role); `[connect.runner]` of the `phasegate.toml` in the working directory
/// or above it; `DATABASE_URL`. What it does not set is taken from the service (`service=`, `PGSERVICE`), then from the
/// variables of libpq (`PGHOST`..), then from libpq's defaults. TLS is `verify-full` by default as soon as a host is not
/// this machine.
///
/// ```no_run
/// # fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// use phasegate::connect::{Connect, Role};
///
/// let runner = Connect::from_env().role(Role::Runner).endpoint()?;
/// for warning in runner.warnings() {
///     eprintln!("warning: {warning}");
/// }
/// let mut auditor = Connect::from_env().role(Role::Auditor).endpoint()?.client()?;
/// # Ok(()) }
/// ```
///
/// `docs/connecting.md` has each setting.
#[derive(Clone)]
pub struct Connect {
    env: Environment,
    role: Role,
    url: Option<String>,
    settings: Vec<(String, String)>,
    native_tls: bool,
}

impl Connect {
    /// Begins with the environment of this process, for a [`Reader`](Role::Reader).
    #[must_use]
    pub fn from_env() -> Self {
        Connect::within(Environment::of_process())
    }

    /// Begins with an environment that is passed in.
    #[must_use]
    pub fn within(env: Environment) -> Self {
        Connect {
            env,
            role: Role::Reader,
            url: None,
            settings: Vec::new(),
            native_tls: cfg!(not(feature = "rustls")),
        }
    }

    /// Sets what the connection is for.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Uses this URL, or these pairs of `key=value`, in place of every other connection. It must have no password: other
    /// users of the machine can read a command line.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets a key of libpq, such as `host`, over the connection that is found.
    #[must_use]
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((key.into(), value.into()));
        self
    }

    /// Uses the TLS library of the operating system also where rustls is built in.
    #[cfg(feature = "native-tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "native-tls")))]
    #[must_use]
    pub fn native_tls(mut self) -> Self {
        self.native_tls = true;
        self
    }

    /// Returns whether anything says which database is meant. Else [`endpoint`](Connect::endpoint) is that of libpq's
    /// defaults: the local server, and the database of the user's name.
    ///
    /// # Errors
    ///
    /// Returns an error if `phasegate.toml` is malformed, or a variable is not UTF-8.
    pub fn is_configured(&self) -> Result<bool, EndpointError> {
        let of_role = format!("PHASEGATE_{}_URL", self.role.name().to_uppercase());
        let variables = [
            &*of_role,
            "DATABASE_URL",
            "PGSERVICE",
            "PGHOST",
            "PGDATABASE",
        ];
        Ok(self.url.is_some()
            || !self.settings.is_empty()
            || variables.iter().any(|name| self.env.get(name).is_some())
            || project::section(&self.env, self.role.name(), &Role::ALL.map(Role::name))?.is_some())
    }

    /// Finds the settings. It reads files, but connects to nothing, and executes no `password_command`.
    ///
    /// # Errors
    ///
    /// Returns an error if a source is malformed or has an unknown key, a file is not readable, or the mode of TLS is too
    /// weak for the role.
    pub fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        let env = &self.env;
        let mut settings = Settings::default();
        let mut password = None;
        let exposed = |place: &str, key: &str| match key {
            "password" => Err(EndpointError::PasswordExposed {
                place: place.to_owned(),
            }),
            _ => Ok(()),
        };
        for (key, _) in &self.settings {
            exposed(GIVEN, key)?;
        }
        settings.add(GIVEN, self.settings.iter().cloned())?;
        let parse = |place: &str, text: &str| {
            conninfo::parse(text).map_err(|why| EndpointError::malformed(place, why))
        };
        let of_role = format!("PHASEGATE_{}_URL", self.role.name().to_uppercase());
        if let Some(url) = &self.url {
            let pairs = parse("the given URL", url)?;
            for (key, _) in &pairs {
                exposed("the given URL", key)?;
            }
            settings.add("the given URL", pairs)?;
        } else if let Some(url) = env.text(&of_role)? {
            settings.add(&of_role, parse(&of_role, url)?)?;
        } else if let Some(section) =
            project::section(env, self.role.name(), &Role::ALL.map(Role::name))?
        {
            settings.add(&section.place, section.pairs)?;
            password = section.password;
        } else if let Some(url) = env.text("DATABASE_URL")? {
            settings.add("DATABASE_URL", parse("DATABASE_URL", url)?)?;
        }
        settings.add_libpq(env)?;
        Endpoint::new(settings, env, self.role, password, self.native_tls)
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
