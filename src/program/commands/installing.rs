//! `init`: installs the schema, and guards tables.

use serde_json::json;

use super::super::answer::{About, Answer, Failed};
use super::super::connect::{Role, client};
use super::Context;
use crate::database::{self, Guard};

pub(super) fn init(
    context: &Context<'_>,
    tables: &[String],
    guard: Option<Guard>,
    print_sql: bool,
) -> Result<Answer, Failed> {
    if print_sql {
        let sql = database::schema_sql();
        return Ok(Answer::new(About::default(), json!({ "sql": sql }), sql));
    }
    let mut session = client(Role::Owner, context.io)?;
    let target = crate::plan::Target::identify(&mut session)?;
    context.say(&format!(
        "installs the schema `phasegate` in {target}, and guards {} tables",
        tables.len()
    ));
    let installed = database::install(&mut session)?;
    for table in tables {
        match guard {
            Some(guard) => database::protect_as(&mut session, table, guard)?,
            None => database::protect(&mut session, table)?,
        }
    }
    let mut text = match installed.applied.as_slice() {
        [] => "the schema was up to date\n".to_owned(),
        applied => format!("installed: version {}\n", applied.join(", ")),
    };
    for table in tables {
        text.push_str(&format!("guarded: {table}\n"));
    }
    text.push_str(
        "next, in psql: GRANT phasegate_runner TO ..; GRANT phasegate_operator TO ..; GRANT phasegate_auditor TO ..;\n\
         REVOKE TEMPORARY ON DATABASE .. FROM PUBLIC",
    );
    let result = json!({
        "applied": installed.applied, "repaired": installed.repaired, "guarded": tables,
    });
    let mut answer = Answer::new(About::default(), result, text);
    answer.warnings = installed.lacking;
    Ok(answer)
}
