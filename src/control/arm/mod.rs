//! From the JSON of Azure's resource manager to our YAML: text in, objects and notes out.
//!
//! ```text
//! text -> json -> Node -> resources (scope, functions) -> gateways, evaluated
//!                              -> walk (schema, table, names) -> secrets, complete -> valid -> write
//! ```
//! Reading is lenient, because what people have is: templates with comments, the fragments of
//! documents, exports of tools. What cannot be converted is told of with its line and path, and the
//! rest is converted all the same. Nothing here reads a file or knows of a cluster.

mod complete;
mod convert;
mod expression;
mod frontends;
mod functions;
mod json;
mod marks;
mod names;
mod node;
mod notes;
mod pkcs12;
mod resources;
mod scope;
mod secrets;
mod table;
#[cfg(test)]
mod tests;
mod valid;
mod walk;
mod write;

pub use convert::{ConvertError, ConvertOptions, Converted, convert};
