//! `sqlx`, once for each row; it prepares the statement at its first use.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, Connection, SqlSafeStr};
use tokio::runtime::Builder;

use crate::work::{Answer, Call, Clock, Job, Outcome, Times};

pub fn perform(job: &Job<'_>, call: Call) -> Outcome<Times> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let options = options(&job.site.runner)?;
    runtime.block_on(async {
        let mut clock = Clock::start();
        let mut connection = PgConnection::connect_with(&options).await?;
        clock.connected();
        let mut tx = connection.begin().await?;
        let sql = AssertSqlSafe(format!("SELECT {}($1)", call.function())).into_sql_str();
        for input in job.charter.inputs(call, job.n) {
            let query = sqlx::query_scalar(sql.clone()).bind(Json(input));
            let Json(answer): Json<Answer> = query.fetch_one(&mut *tx).await?;
            answer.check()?;
        }
        tx.commit().await?;
        let times = clock.stop();
        connection.close().await?;
        Ok(times)
    })
}

/// `sqlx` reads URLs, which have no good place for a path.
fn options(conninfo: &str) -> Outcome<PgConnectOptions> {
    let mut options = PgConnectOptions::new_without_pgpass();
    for (key, value) in conninfo
        .split(' ')
        .filter_map(|field| field.split_once('='))
    {
        options = match key {
            "host" => options.socket(value),
            "port" => options.port(value.parse()?),
            "user" => options.username(value),
            "dbname" => options.database(value),
            other => return Err(format!("{other} is not known").into()),
        };
    }
    Ok(options)
}
