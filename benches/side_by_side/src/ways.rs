//! The ways that are measured beside each other.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::variants::phasegate_rows::How;
use crate::variants::psycopg_loop::Psycopg;
use crate::variants::{diesel_loop, in_server, pipelined, postgres_loop, set_based, sqlx_loop};
use crate::work::{Charter, Outcome, Variant};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    Psycopg,
    Postgres,
    Sqlx,
    Diesel,
    Pipelined,
    SetBased,
    InServer,
    GuardedLoop,
    GuardedByHand,
    Phasegate,
}

impl Way {
    pub const ALL: [Way; 10] = [
        Way::Psycopg,
        Way::Postgres,
        Way::Sqlx,
        Way::Diesel,
        Way::Pipelined,
        Way::SetBased,
        Way::InServer,
        Way::GuardedLoop,
        Way::GuardedByHand,
        Way::Phasegate,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Way::Psycopg => "psycopg 3, loop: what is replaced",
            Way::Postgres => "`postgres`, prepared loop",
            Way::Sqlx => "`sqlx`, loop",
            Way::Diesel => "`diesel`, loop",
            Way::Pipelined => "`tokio-postgres`, pipelined, window 256",
            Way::SetBased => "set-based SQL by hand, chunks of 1,000",
            Way::InServer => "wholly inside the server: the limit",
            Way::GuardedLoop => "`for_each_row`, a loop in a guarded phase",
            Way::GuardedByHand => "set-based SQL by hand, in a guarded phase",
            Way::Phasegate => "**phasegate, row calls**, guarded",
        }
    }

    pub fn key(self) -> String {
        format!("{self:?}")
    }

    pub fn from_key(key: &str) -> Option<Self> {
        Way::ALL.into_iter().find(|way| way.key() == key)
    }

    /// Whether its tables are under guard.
    pub fn is_guarded(self) -> bool {
        matches!(self, Way::GuardedLoop | Way::GuardedByHand | Way::Phasegate)
    }

    /// `None` for the one that is no Rust.
    pub fn variant(self) -> Option<Box<dyn Variant>> {
        Some(match self {
            Way::Psycopg => return None,
            Way::Postgres => Box::new(postgres_loop::perform),
            Way::Sqlx => Box::new(sqlx_loop::perform),
            Way::Diesel => Box::new(diesel_loop::perform),
            Way::Pipelined => Box::new(pipelined::perform),
            Way::SetBased => Box::new(set_based::perform),
            Way::InServer => Box::new(in_server::perform),
            Way::GuardedLoop => Box::new(How::Loop),
            Way::GuardedByHand => Box::new(How::ByHand),
            Way::Phasegate => Box::new(How::RowBatch),
        })
    }
}

/// The interpreter, as a variant.
pub fn psycopg(python: &Path, charter: &Charter, most: u64) -> Outcome<Box<dyn Variant>> {
    let mut psycopg = Psycopg::start(python, charter, most)?;
    let perform = move |job: &crate::work::Job<'_>, call| psycopg.perform(job, call);
    Ok(Box::new(perform))
}
