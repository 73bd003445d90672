//! `tokio-postgres`, which sends on while answers are outstanding: 256 of them at most.

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Builder;
use tokio_postgres::types::Json;
use tokio_postgres::{Error, NoTls};

use crate::work::{Answer, Call, Clock, Job, Outcome, Times};

const WINDOW: usize = 256;

pub fn perform(job: &Job<'_>, call: Call) -> Outcome<Times> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut clock = Clock::start();
        let (mut client, connection) = tokio_postgres::connect(&job.site.runner, NoTls).await?;
        clock.connected();
        tokio::spawn(connection);
        let tx = client.transaction().await?;
        let statement = tx
            .prepare(&format!("SELECT {}($1)", call.function()))
            .await?;
        let answers = stream::iter(job.charter.inputs(call, job.n)).map(|input| {
            let (tx, statement) = (&tx, &statement);
            async move { tx.query_one(statement, &[&Json(input)]).await?.try_get(0) }
        });
        let mut answers = answers.buffered(WINDOW);
        while let Some(Json(answer)) = answers.try_next().await.map_err(|e: Error| e)? {
            let answer: Answer = answer;
            answer.check()?;
        }
        drop(answers);
        tx.commit().await?;
        Ok(clock.stop())
    })
}
