//! The settings of a connection by their names, each with the place that it is from.

use std::collections::BTreeMap;
use std::time::Duration;

use ::postgres::Config;

use super::environment::Environment;
use super::error::EndpointError;
use super::service;

/// The keys that the driver reads, under the names that libpq and the driver have for them.
const DRIVER: [(&str, &str); 16] = [
    ("user", "user"),
    ("dbname", "dbname"),
    ("options", "options"),
    ("application_name", "application_name"),
    ("host", "host"),
    ("hostaddr", "hostaddr"),
    ("port", "port"),
    ("connect_timeout", "connect_timeout"),
    ("keepalives", "keepalives"),
    ("keepalives_idle", "keepalives_idle"),
    ("keepalives_interval", "keepalives_interval"),
    ("keepalives_count", "keepalives_retries"),
    ("target_session_attrs", "target_session_attrs"),
    ("channel_binding", "channel_binding"),
    ("load_balance_hosts", "load_balance_hosts"),
    ("sslnegotiation", "sslnegotiation"),
];

/// The keys that this module reads itself.
const OURS: [&str; 8] = [
    "password",
    "passfile",
    "service",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "tcp_user_timeout",
];

/// Keys of libpq that restrict nothing, and have no effect here.
const IGNORED: [&str; 7] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "sslcompression",
    "sslsni",
];

/// Keys of libpq that restrict the connection. To ignore one would weaken it.
const UNSUPPORTED: [&str; 10] = [
    "gssencmode",
    "replication",
    "require_auth",
    "requirepeer",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
];

/// The variables of libpq, and the keys that they are. PGPASSWORD, PGPASSFILE and PGSERVICE are read elsewhere.
const VARIABLES: [(&str, &str); 23] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGOPTIONS", "options"),
    ("PGAPPNAME", "application_name"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCERTMODE", "sslcertmode"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
];

/// Returns every key of a connection.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    let driver = DRIVER.iter().map(|(key, _)| *key);
    driver.chain(OURS).chain(IGNORED).chain(UNSUPPORTED)
}

/// Returns the key that is most similar to one that does not exist.
pub(super) fn nearest<'a>(key: &str, keys: impl Iterator<Item = &'a str>) -> Option<String> {
    let similar = keys.map(|known| (strsim::jaro_winkler(key, known), known));
    let best = similar.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(similarity, _)| *similarity > 0.7)
        .map(|(_, known)| known.to_owned())
}

#[derive(Default)]
pub(super) struct Settings(BTreeMap<String, (String, String)>);

impl Settings {
    /// Adds settings of a place. One that an earlier place has is kept.
    pub(super) fn add(
        &mut self,
        place: &str,
        pairs: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), EndpointError> {
        let mut new = BTreeMap::new();
        for (key, value) in pairs {
            let key = match key.as_str() {
                "keepalives_retries" => "keepalives_count".to_owned(),
                _ => key,
            };
            if !keys().any(|known| known == key) {
                let nearest = nearest(&key, keys());
                let place = place.to_owned();
                return Err(EndpointError::UnknownKey {
                    place,
                    key,
                    nearest,
                });
            }
            let harmless = match key.as_str() {
                "gssencmode" => ["disable", "prefer"].contains(&&*value),
                "sslcertmode" => value == "allow",
                _ => false,
            };
            if UNSUPPORTED.contains(&&*key) && !harmless && !value.is_empty() {
                let place = place.to_owned();
                return Err(EndpointError::Unsupported { place, key });
            }
            // The last one of a place counts, as in libpq. An empty value counts as none.
            new.insert(key, (value, place.to_owned()));
        }
        for (key, value) in new.into_iter().filter(|(_, (value, _))| !value.is_empty()) {
            self.0.entry(key).or_insert(value);
        }
        Ok(())
    }

    /// Adds the settings of the service that these, or PGSERVICE, name; and then the variables of libpq.
    pub(super) fn add_libpq(&mut self, env: &Environment) -> Result<(), EndpointError> {
        let named = self.get("service").map(str::to_owned);
        let named = match named {
            Some(named) => Some(named),
            None => env.text("PGSERVICE")?.map(str::to_owned),
        };
        if let Some(named) = named {
            let service = service::find(env, &named)?;
            self.add(&service.place, service.pairs)?;
        }
        for (variable, key) in VARIABLES {
            if let Some(value) = env.text(variable)? {
                self.add(variable, [(key.to_owned(), value.to_owned())])?;
            }
        }
        Ok(())
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(value, _)| value.as_str())
    }

    pub(super) fn place(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|(_, place)| place.as_str())
    }

    /// Sets what no place has.
    pub(super) fn fill(&mut self, key: &str, value: &str) {
        let value = (value.to_owned(), "a default".to_owned());
        self.0.entry(key.to_owned()).or_insert(value);
    }

    /// Returns a list, such as that of the hosts.
    pub(super) fn list(&self, key: &str) -> Vec<&str> {
        self.get(key)
            .map(|list| list.split(',').collect())
            .unwrap_or_default()
    }

    /// Returns these settings as the driver has them, without password and TLS.
    pub(super) fn config(&self) -> Result<Config, EndpointError> {
        let mut all = String::new();
        for (key, driver) in DRIVER {
            let Some((value, place)) = self.0.get(key) else {
                continue;
            };
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            let pair = format!("{driver}='{value}' ");
            if pair.parse::<Config>().is_err() {
                let why = format!("has a `{key}` that is not valid");
                return Err(EndpointError::malformed(place, why));
            }
            all.push_str(&pair);
        }
        let config = all.parse::<Config>();
        let mut config =
            config.map_err(|error| EndpointError::malformed("the settings", error.to_string()))?;
        if let Some((value, place)) = self.0.get("tcp_user_timeout") {
            // Milliseconds, by libpq.
            let parsed = value.parse().map(Duration::from_millis);
            let wrong = "has a `tcp_user_timeout` that is not valid";
            config.tcp_user_timeout(parsed.map_err(|_| EndpointError::malformed(place, wrong))?);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<Settings, EndpointError> {
        let mut settings = Settings::default();
        settings.add("a test", [(key.to_owned(), value.to_owned())])?;
        Ok(settings)
    }

    #[test]
    fn the_first_place_counts_and_an_empty_value_is_none() {
        let mut settings = one("host", "a").unwrap();
        settings
            .add("second", [("host".into(), "b".into())])
            .unwrap();
        settings
            .add("second", [("user".into(), String::new())])
            .unwrap();
        settings
            .add("third", [("user".into(), "u".into())])
            .unwrap();
        assert_eq!(settings.get("host"), Some("a"));
        assert_eq!(settings.place("user"), Some("third"));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let error = one("sslrotcert", "x").err().unwrap();
        assert_eq!(error.hint().unwrap(), "Did you mean `sslrootcert`?");
        assert!(one("zzz", "x").err().unwrap().hint().is_none());
    }

    #[test]
    fn what_restricts_the_connection_is_not_ignored() {
        for key in UNSUPPORTED {
            let error = one(key, "x").err().unwrap();
            assert_eq!(error.code(), "endpoint_unsupported");
        }
        assert!(one("gssencmode", "prefer").is_ok());
        assert!(one("sslsni", "1").is_ok());
    }

    #[test]
    fn a_wrong_value_is_not_quoted() {
        for key in ["port", "connect_timeout", "hostaddr", "tcp_user_timeout"] {
            let settings = one(key, "hunter2'\\").unwrap();
            let error = settings.config().unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_value_with_quotes_reaches_the_driver() {
        let settings = one("user", r"o'ne\il").unwrap();
        assert_eq!(settings.config().unwrap().get_user(), Some(r"o'ne\il"));
    }
}
