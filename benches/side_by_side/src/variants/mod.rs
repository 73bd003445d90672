//! One file for each way to perform the rows.

pub mod diesel_loop;
pub mod in_server;
pub mod phasegate_rows;
pub mod pipelined;
pub mod postgres_loop;
pub mod psycopg_loop;
pub mod set_based;
pub mod sqlx_loop;
