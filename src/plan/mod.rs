//! What is to be done. Pure.

pub mod functions;
pub mod render;
