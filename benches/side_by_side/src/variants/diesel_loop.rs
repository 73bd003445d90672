//! `diesel`, once for each row; it prepares the statement at its first use.

use diesel::pg::PgConnection;
use diesel::sql_types::Jsonb;
use diesel::{Connection, RunQueryDsl, define_sql_function, select};
use serde_json::Value;

use crate::work::{Answer, Call, Clock, Job, Outcome, Times};

define_sql_function! {
    #[sql_name = "iu.fn_iu_create"]
    fn fn_iu_create(input: Jsonb) -> Jsonb;
}

define_sql_function! {
    #[sql_name = "iu.fn_iu_enact"]
    fn fn_iu_enact(input: Jsonb) -> Jsonb;
}

pub fn perform(job: &Job<'_>, call: Call) -> Outcome<Times> {
    let mut clock = Clock::start();
    let mut connection = PgConnection::establish(&job.site.runner)?;
    clock.connected();
    connection.transaction(|connection| {
        for input in job.charter.inputs(call, job.n) {
            let input = serde_json::to_value(input)?;
            let answer: Value = match call {
                Call::Create => select(fn_iu_create(input)).get_result(connection)?,
                Call::Enact => select(fn_iu_enact(input)).get_result(connection)?,
            };
            serde_json::from_value::<Answer>(answer)?.check()?;
        }
        Outcome::Ok(())
    })?;
    Ok(clock.stop())
}
