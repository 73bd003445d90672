//! Set-based SQL, written by hand: a thousand rows in each statement.

use postgres::types::Json;
use postgres::{Client, NoTls};

use crate::work::{Answer, Call, Clock, Job, Outcome, Times};

pub const CHUNK: usize = 1_000;

pub fn sql(call: Call) -> String {
    let function = call.function();
    format!(
        "SELECT r.ord, {function}(r.unit) FROM unnest($1::jsonb[]) WITH ORDINALITY AS r (unit, ord)"
    )
}

pub fn perform(job: &Job<'_>, call: Call) -> Outcome<Times> {
    let mut clock = Clock::start();
    let mut client = Client::connect(&job.site.runner, NoTls)?;
    clock.connected();
    let mut tx = client.transaction()?;
    let statement = tx.prepare(&sql(call))?;
    let mut inputs = job.charter.inputs(call, job.n);
    loop {
        let chunk: Vec<_> = inputs.by_ref().take(CHUNK).map(Json).collect();
        if chunk.is_empty() {
            break;
        }
        for row in tx.query(&statement, &[&chunk])? {
            let Json(answer): Json<Answer> = row.try_get(1)?;
            answer.check()?;
        }
    }
    tx.commit()?;
    Ok(clock.stop())
}
