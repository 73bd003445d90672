use crate::base::digest::Digest;
use crate::plan::Target;

/// The identity of an attempt for the server, read when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempted {
    pub(crate) plan: Digest,
    pub(crate) target: Target,
    pub(crate) place: u32,
    pub(crate) nonce: String,
    pub(crate) xid: String,
    pub(crate) timeline: String,
    pub(crate) backend_pid: i32,
    pub(crate) backend_start: String,
    pub(crate) opened_at: String,
}
