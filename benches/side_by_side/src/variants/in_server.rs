//! The same functions over rows that the server has already: one statement, nothing sent. The limit.

use postgres::{Client, NoTls};

use crate::work::{Call, Clock, Job, Outcome, Times};

pub fn perform(job: &Job<'_>, call: Call) -> Outcome<Times> {
    let mut clock = Clock::start();
    let mut client = Client::connect(&job.site.runner, NoTls)?;
    clock.connected();
    let mut tx = client.transaction()?;
    let (function, column) = (call.function(), call.name());
    let sql = format!(
        "SELECT count(*) FILTER (WHERE ({function}(r.unit) ->> 'ok')::boolean) \
         FROM (SELECT \"{column}\" AS unit FROM bench.staged ORDER BY ord) AS r"
    );
    let done: i64 = tx.query_one(&sql, &[])?.try_get(0)?;
    tx.commit()?;
    let times = clock.stop();
    if done.unsigned_abs() == job.n {
        Ok(times)
    } else {
        Err(format!("{done} rows are ok, of {}", job.n).into())
    }
}
