//! The server that `DATABASE_URL` names.

use std::env;
use std::fmt::Write as _;
use std::time::Duration;

use postgres::Config;
use postgres::config::{Host, SslMode};

use super::error::{ServerError, whole};
use super::installed::OLDEST;
use super::source::Source;
use super::sql;

/// The time limit of the server's first response.
const FIRST: Duration = Duration::from_secs(15);

/// Returns the server of `DATABASE_URL`, after checking that it can be used; `None` if the variable is unset or empty.
pub(super) fn find(settings: &[(String, String)]) -> Result<Option<(Source, Config)>, ServerError> {
    let Some(url) = env::var_os("DATABASE_URL").filter(|url| !url.is_empty()) else {
        return Ok(None);
    };
    let url = url
        .into_string()
        .map_err(|_| ServerError::url("it is not UTF-8"))?;
    let config: Config = url
        .parse()
        .map_err(|error| ServerError::url(whole(&error)))?;
    if config.get_ssl_mode() == SslMode::Require {
        return Err(ServerError::url(
            "it asks for TLS, which this harness does not speak",
        ));
    }
    let server = place(&config);
    let wanted: Vec<String> = settings.iter().map(|(name, _)| name.clone()).collect();
    let answers = sql::session(&config, "ask the server what it is", FIRST, move |client| {
        let row = client.query_one(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int, \
                    current_user::text, rolsuper OR rolcreatedb, rolsuper OR rolcreaterole, \
                    pg_is_in_recovery(), \
                    ARRAY(SELECT coalesce(current_setting(name, true), '') \
                            FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, ord) \
                           ORDER BY ord) \
               FROM pg_roles WHERE rolname = current_user",
            &[&wanted],
        )?;
        Ok(Answers {
            version: row.try_get(0)?,
            number: row.try_get(1)?,
            user: row.try_get(2)?,
            createdb: row.try_get(3)?,
            createrole: row.try_get(4)?,
            standby: row.try_get(5)?,
            settings: row.try_get(6)?,
        })
    })
    .map_err(|error| ServerError::url(format!("{server}: {error}")))?;
    answers
        .fit(settings)
        .map_err(|(reason, remedy)| ServerError::DatabaseUrl {
            reason: format!("{server}: {reason}"),
            remedy,
        })?;
    let version = answers
        .version
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned();
    Ok(Some((Source::DatabaseUrl { server, version }, config)))
}

struct Answers {
    version: String,
    number: i32,
    user: String,
    createdb: bool,
    createrole: bool,
    standby: bool,
    settings: Vec<String>,
}

impl Answers {
    /// Checks the server. The error is what is wrong, and the remedy.
    fn fit(&self, settings: &[(String, String)]) -> Result<(), (String, Option<String>)> {
        let Self { version, user, .. } = self;
        if self.number / 10_000 < i32::try_from(OLDEST).unwrap_or(i32::MAX) {
            let reason = format!("it is PostgreSQL {version}; {OLDEST} or newer is needed");
            return Err((reason, None));
        }
        if self.standby {
            let reason = "it is a standby; databases can be made only on a primary";
            return Err((reason.into(), Some("Name the primary in it.".into())));
        }
        let lacking: Vec<&str> = [(self.createdb, "CREATEDB"), (self.createrole, "CREATEROLE")]
            .into_iter()
            .filter_map(|(has, right)| (!has).then_some(right))
            .collect();
        if !lacking.is_empty() {
            let lacking = lacking.join(" and ");
            let grant = lacking.replace(" and ", " ");
            return Err((
                format!("the role {user} lacks {lacking}"),
                Some(format!("As a superuser: ALTER ROLE \"{user}\" {grant}.")),
            ));
        }
        for ((name, wanted), has) in settings.iter().zip(&self.settings) {
            if wanted != has {
                return Err((
                    format!("it has {name} = '{has}', and '{wanted}' is needed"),
                    Some("Set that, or build with `ignore_database_url()`.".into()),
                ));
            }
        }
        Ok(())
    }
}

/// Returns the address in `config`, without the password.
fn place(config: &Config) -> String {
    let ports = config.get_ports();
    let mut text = String::new();
    for (index, host) in config.get_hosts().iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let _ = match host {
            Host::Tcp(name) => write!(text, "{separator}{name}:{port}"),
            Host::Unix(path) => write!(text, "{separator}{}/.s.PGSQL.{port}", path.display()),
        };
    }
    let user = config.get_user().unwrap_or("(unnamed)");
    let _ = write!(
        text,
        " (user {user}, database {})",
        config.get_dbname().unwrap_or(user)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_does_not_tell_the_password() {
        let config: Config = "postgres://me:secret@a,b:7/shop"
            .parse()
            .expect("a good URL");
        assert_eq!(place(&config), "a:5432, b:7 (user me, database shop)");
    }
}
