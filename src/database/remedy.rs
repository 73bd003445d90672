use std::error::Error as StdError;

use super::{ConnectError, SqlError};
use crate::outcome::{BoxError, Remedy};

impl Remedy for BoxError {
    fn remedy(&self) -> Option<String> {
        let mut next: Option<&(dyn StdError + 'static)> = Some(&**self);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<ConnectError>() {
                return error.hint();
            }
            if let Some(error) = error.downcast_ref::<SqlError>() {
                // The message of a failure has the server's HINT already.
                let said = matches!(error, SqlError::Database(_));
                return error.hint().filter(|_| !said);
            }
            next = error.source();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Failure;

    #[test]
    fn the_hint_of_an_error_below_is_found() {
        #[derive(Debug, thiserror::Error)]
        #[error("wrapped")]
        struct Wrapped(#[source] SqlError);

        let hint = SqlError::Copy.hint();
        assert!(hint.is_some());
        assert_eq!(Failure::new(SqlError::Copy).hint(), hint);
        assert_eq!(Failure::new(Wrapped(SqlError::Copy)).hint(), hint);
        assert_eq!(Failure::new("a text").hint(), None);
        let connect: BoxError = ConnectError::new("down").with_hint("Start it.").into();
        assert_eq!(connect.remedy().as_deref(), Some("Start it."));
    }
}
