use std::error::Error as StdError;

use ::postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use bytes::BytesMut;

use super::statement::SqlError;
use crate::outcome::BoxError;

/// A parameter that is already encoded for the server.
///
/// The driver passes the buffer of the whole message to the parameter's own `to_sql`, and what is in that buffer when
/// `to_sql` panics is sent with the next message. Here user code never sees that buffer: each parameter is encoded
/// into a buffer of its own, before the driver is called.
#[derive(Debug)]
pub(super) struct Encoded {
    bytes: BytesMut,
    null: bool,
    text: bool,
}

/// Encodes one parameter for each of `types`.
pub(super) fn encode(
    params: &[&(dyn ToSql + Sync)],
    types: &[Type],
) -> Result<Vec<Encoded>, SqlError> {
    if params.len() != types.len() {
        return Err(SqlError::ParameterCount {
            expected: types.len(),
            given: params.len(),
        });
    }
    params
        .iter()
        .zip(types)
        .map(|(param, ty)| encode_one(*param, ty))
        .collect::<Result<_, _>>()
        .map_err(SqlError::Parameter)
}

/// Encodes one parameter.
pub(super) fn encode_one(param: &(dyn ToSql + Sync), ty: &Type) -> Result<Encoded, BoxError> {
    let mut bytes = BytesMut::new();
    let null = matches!(param.to_sql_checked(ty, &mut bytes)?, IsNull::Yes);
    let text = matches!(param.encode_format(ty), Format::Text);
    Ok(Encoded { bytes, null, text })
}

impl Encoded {
    pub(super) fn binary(bytes: BytesMut) -> Self {
        Encoded {
            bytes,
            null: false,
            text: false,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn is_null(&self) -> bool {
        self.null
    }

    pub(super) fn is_text(&self) -> bool {
        self.text
    }
}

pub(super) fn by_reference(params: &[Encoded]) -> Vec<&(dyn ToSql + Sync)> {
    params
        .iter()
        .map(|param| param as &(dyn ToSql + Sync))
        .collect()
}

pub(super) fn with_types<'p>(
    params: &'p [Encoded],
    types: &[Type],
) -> Vec<(&'p (dyn ToSql + Sync), Type)> {
    let types = types.iter().cloned();
    by_reference(params).into_iter().zip(types).collect()
}

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(&self.bytes);
        Ok(if self.null { IsNull::Yes } else { IsNull::No })
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.text {
            Format::Text
        } else {
            Format::Binary
        }
    }

    to_sql_checked!();
}
