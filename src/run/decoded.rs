use crate::canonical;
use crate::outcome::Refusal;
use crate::phase::{PhaseSpec, full_name};

/// The spec as its own bytes have it, which is what is performed, found valid.
pub(super) fn decoded<S: PhaseSpec>(phase: &str, spec: &S) -> Result<(Vec<u8>, S), Refusal> {
    let not_canonical = |source| Refusal::NotCanonical {
        phase: phase.to_owned(),
        source,
    };
    let (bytes, spec) = canonical::round_trip(spec).map_err(not_canonical)?;
    let decoded = full_name(&spec);
    if decoded != phase {
        let phase = phase.to_owned();
        return Err(Refusal::NameNotPlanned { phase, decoded });
    }
    spec.validate().map_err(|source| Refusal::Invalid {
        phase: phase.to_owned(),
        source,
    })?;
    // Read once more: whatever the check did to the value that it was shown stays there.
    let spec = canonical::decode(&bytes).map_err(not_canonical)?;
    Ok((bytes, spec))
}
