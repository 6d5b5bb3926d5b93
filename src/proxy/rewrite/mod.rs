//! Rewriting of requests and responses by sets of rules.
//!
//! A set is compiled when a table is, once for all rules that name it, and works in two steps:
//!
//! ```text
//! request:  each rule in its turn -> conditions on the request -> its headers, path and query change
//!                                                              \-> what its response part needs: Held
//! response: each rule that held   -> conditions on the response -> the response's headers change
//! ```
//! What a rule's values name is looked up before the rule changes anything, and after the rules
//! before it did. Nothing here knows of members, tables or connections' ends.

mod compile;
mod request;
mod response;
mod url;
mod value;
mod variables;

pub(crate) use compile::{Notes, Rewrites};
pub(crate) use request::{Asked, Facts};
pub(crate) use response::Pending;
