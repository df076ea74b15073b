//! What administrators run: deployments, the directory, the audit of a store, the doctor and the demo.
//!
//! - [`deployment`] makes and extends a deployment: root key, signed directory, one folder per relay and office.
//! - [`audit`] replays a station's store from zero and says which promises hold; [`history`] shows what is in it.
//! - [`exposed`] lists what a stolen key signed: what is safe, what must be confirmed again.
//! - [`doctor`] looks at one machine and says in words what is wrong with it.
//! - [`ca`] is the certificate authority: an offline root, one authority for each province and for the centre.
//! - `demo` (in the binary) is a small country of real processes on this machine.
//!
//! What this room deliberately does not do: it decides nothing about documents and holds no state of its own. The
//! promises it checks are functions in [`schema::invariant`]; the folders it writes are read by the programs themselves.

pub mod audit;
pub mod ca;
pub mod calendar;
pub mod deployment;
pub mod doctor;
pub mod exposed;
pub mod history;
pub mod lookup;
pub mod registry;
pub mod table;
