//! The program as its users call it: what it prints, how it exits, and what it leaves in the lake.

mod bad_catalogue;
mod bad_places;
mod bad_projects;
mod bad_snapshots;
mod checkpoint;
mod commands;
mod crash;
mod docs;
mod domain;
mod exit_codes;
mod foreign;
mod formats;
mod history;
mod in_doubt;
mod lake;
mod lineage;
mod memory;
mod people;
mod plans;
mod promises;
mod reader;
mod real;
mod sample;
mod support;
mod views;
