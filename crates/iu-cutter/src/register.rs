//! Performs the five phases live, through the functions of the register.
//!
//! Every method is lent a transaction and returns: on `Ok` the engine commits, on `Err` it rolls
//! back. Calls for rows, and `for_each_row`, name the row that failed.

use phasegate::{Execute, Failure, PhaseTx};
use serde_json::{Value, json};

use crate::markdown::Unit;
use crate::phases::{CutLegA, CutLegB, Digests, EnactVerify, Enacted, LifecycleEnact, WriteVerify};

/// The register of information units, as the runner's role may use it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Register;

impl Execute<CutLegA> for Register {
    fn execute(&mut self, cut: &CutLegA, (): (), tx: &mut PhaseTx<'_>) -> Result<Digests, Failure> {
        let digests = tx
            .batch(&cut.units)
            .key(|unit| format!("{}, {}:{}", unit.address, cut.document, unit.line))
            .call(
                "iu.fn_iu_create",
                |unit, params| {
                    params.with(&json!({
                        "document": cut.document,
                        "address": unit.address,
                        "title": unit.title,
                        "body": unit.body,
                        "digest": unit.digest(),
                    }))
                },
                |unit, answer| {
                    accepted(&answer)?;
                    Ok((unit.address.clone(), unit.digest()))
                },
            )?;
        Ok(digests.into_iter().collect())
    }
}

impl Execute<WriteVerify> for Register {
    fn execute(
        &mut self,
        verify: &WriteVerify,
        written: &Digests,
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        let read =
            tx.prepare("SELECT title, body FROM iu.unit WHERE document = $1 AND address = $2")?;
        let verified = tx.for_each_row(
            written,
            |(address, _)| *address,
            |tx, (address, digest)| {
                let row = tx
                    .query_opt(&read, &[&verify.document, address])?
                    .ok_or_else(|| Failure::new("the unit is not in the register"))?;
                let unit = Unit {
                    address: (*address).clone(),
                    parent: None,
                    position: 0,
                    title: row.try_get(0)?,
                    body: row.try_get(1)?,
                    line: 0,
                };
                let found = unit.digest();
                if found == **digest {
                    Ok(())
                } else {
                    Err(Failure::new(format!(
                        "written as {digest}, read back as {found}"
                    )))
                }
            },
        )?;
        let there = count(
            tx,
            "SELECT count(*) FROM iu.unit WHERE document = $1",
            &verify.document,
        )?;
        if there == verified.len() as u64 {
            Ok(there)
        } else {
            let more = format!(
                "{} units were written, and the register has {there}",
                verified.len()
            );
            Err(Failure::new(more))
        }
    }
}

impl Execute<CutLegB> for Register {
    fn execute(&mut self, cut: &CutLegB, _: &u64, tx: &mut PhaseTx<'_>) -> Result<u64, Failure> {
        let linked = tx.batch(&cut.links).key(|link| &link.address).call(
            "iu.fn_iu_link",
            |unit, params| {
                params.with(&json!({
                    "document": cut.document,
                    "address": unit.address,
                    "parent": unit.parent,
                    "position": unit.position,
                }))
            },
            |_, answer| accepted(&answer),
        )?;
        Ok(linked.len() as u64)
    }
}

impl Execute<LifecycleEnact> for Register {
    fn execute(
        &mut self,
        enact: &LifecycleEnact,
        _: &u64,
        tx: &mut PhaseTx<'_>,
    ) -> Result<Enacted, Failure> {
        // Without its trigger the register would enact, and log nothing.
        let triggers = tx
            .query(
                "SELECT tgname::text FROM pg_catalog.pg_trigger \
                 WHERE tgrelid = 'iu.unit'::regclass AND NOT tgisinternal AND tgenabled <> 'D' \
                   AND tgname NOT LIKE 'phasegate%' \
                 ORDER BY tgname",
                &[],
            )?
            .iter()
            .map(|row| row.try_get(0))
            .collect::<Result<Vec<String>, _>>()?;
        if !triggers.iter().any(|trigger| trigger == "unit_lifecycle") {
            let missing = format!("the trigger unit_lifecycle is not active, only {triggers:?}");
            return Err(Failure::new(missing));
        }
        let enacted = tx.batch(&enact.addresses).key(|address| *address).call(
            "iu.fn_iu_enact",
            |address, params| {
                params.with(&json!({ "document": enact.document, "address": address }))
            },
            |_, answer| accepted(&answer),
        )?;
        let log = "SELECT count(*) FROM iu.lifecycle_log WHERE document = $1";
        Ok(Enacted {
            units: enacted.len() as u64,
            triggers,
            log_entries: count(tx, log, &enact.document)?,
        })
    }
}

impl Execute<EnactVerify> for Register {
    fn execute(
        &mut self,
        verify: &EnactVerify,
        enacted: &Enacted,
        tx: &mut PhaseTx<'_>,
    ) -> Result<u64, Failure> {
        let expect = |what: &str, sql: &str, tx: &mut PhaseTx<'_>| {
            let found = count(tx, sql, &verify.document)?;
            if found == enacted.units {
                Ok(())
            } else {
                let units = enacted.units;
                Err(Failure::new(format!(
                    "{units} units were enacted, {what}: {found}"
                )))
            }
        };
        expect(
            "in force",
            "SELECT count(*) FROM iu.unit WHERE document = $1 AND state = 'enacted'",
            tx,
        )?;
        expect(
            "logged once as created and once as enacted",
            "SELECT count(*) FROM iu.unit JOIN \
               (SELECT document, address, array_agg(to_state ORDER BY entry) AS states \
                FROM iu.lifecycle_log WHERE document = $1 GROUP BY document, address) AS log \
               USING (document, address) \
             WHERE states = ARRAY['draft', 'enacted']",
            tx,
        )?;
        Ok(enacted.units)
    }
}

/// Returns an error unless the server function returned `"ok": true`.
fn accepted(answer: &Value) -> Result<(), Failure> {
    if answer["ok"] == Value::Bool(true) {
        Ok(())
    } else {
        Err(Failure::new(format!("the register returned {answer}")))
    }
}

fn count(tx: &mut PhaseTx<'_>, sql: &str, document: &str) -> Result<u64, Failure> {
    let count: i64 = tx.query_one(sql, &[&document])?.try_get(0)?;
    Ok(count.unsigned_abs())
}
