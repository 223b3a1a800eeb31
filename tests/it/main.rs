//! The program as its users call it: what it prints, how it exits, and what it leaves in the lake.

mod bad_places;
mod bad_projects;
mod bad_snapshots;
mod checkpoint;
mod commands;
mod crash;
mod exit_codes;
mod foreign;
mod formats;
mod lake;
mod memory;
mod people;
mod plans;
mod reader;
mod real;
mod support;
