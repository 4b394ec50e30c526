//! Local stand-in.
pub mod people;
pub mod routes;
