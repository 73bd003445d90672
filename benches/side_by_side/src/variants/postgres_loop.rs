//! A prepared statement of `postgres`, once for each row.

use postgres::types::Json;
use postgres::{Client, NoTls};

use crate::work::{Answer, Call, Clock, Job, Outcome, Times};

pub fn perform(job: &Job<'_>, call: Call) -> Outcome<Times> {
    let mut clock = Clock::start();
    let mut client = Client::connect(&job.site.runner, NoTls)?;
    clock.connected();
    let mut tx = client.transaction()?;
    let statement = tx.prepare(&format!("SELECT {}($1)", call.function()))?;
    for input in job.charter.inputs(call, job.n) {
        let Json(answer): Json<Answer> = tx.query_one(&statement, &[&Json(input)])?.try_get(0)?;
        answer.check()?;
    }
    tx.commit()?;
    Ok(clock.stop())
}
