//! The SQLSTATEs that the schema raises, class `ZG`.

/// The transaction is not a phase that was opened, sealed and finished; or it is a rehearsal, which is never
/// committed.
pub(crate) const NOT_SEALED: &str = "ZG001";
/// The kill switch is OFF.
pub(crate) const SWITCH_OFF: &str = "ZG002";
/// The lease of the kill switch is over.
pub(crate) const LEASE_OVER: &str = "ZG003";
/// The kill switch was turned on in another cluster, on another timeline, or in another epoch.
pub(crate) const LEASE_ELSEWHERE: &str = "ZG004";
/// The plan is not admitted.
pub(crate) const NOT_ADMITTED: &str = "ZG010";
/// An approval is missing, was not admitted, is spent, or has expired.
pub(crate) const NOT_APPROVED: &str = "ZG013";
/// The effects differ from the plan; DATATYPE has the tables as JSON.
pub(crate) const EFFECTS_DIFFER: &str = "ZG014";
/// The session is in a transaction already, acts as another role, or has another isolation level.
pub(crate) const SESSION_UNFIT: &str = "ZG016";
/// The crate and the schema have different versions of their protocol.
pub(crate) const ANOTHER_PROTOCOL: &str = "ZG017";
/// The role has privileges that bypass the interlock; DATATYPE has each, with its remedy, as JSON.
pub(crate) const PRIVILEGED_ROLE: &str = "ZG018";
/// The plan is for another server, database or role.
pub(crate) const ANOTHER_TARGET: &str = "ZG021";
/// The plan, or an approval that the phase has spent, has expired.
pub(crate) const PLAN_EXPIRED: &str = "ZG023";
/// What the plan's statements use has changed since the rehearsal; DATATYPE has the names of the objects, as JSON.
pub(crate) const MEANS_CHANGED: &str = "ZG026";
/// The changed columns differ from the plan; DATATYPE has them as JSON.
pub(crate) const CONTENTS_DIFFER: &str = "ZG027";
/// An eligible approver has rejected the plan.
pub(crate) const REJECTED: &str = "ZG024";
