//! `leveret perf`: a load generator for any AMQP 0-9-1 broker.
//!
//! It shares the machine with the broker that it measures, so what a message costs here is kept small: one
//! thread waits for all connections, publishes are frames that were written in advance (only a stamp in the
//! body changes), and what is received is looked at where it was read.
//!
//! ```text
//!  Plan ─▶ topology ─▶ run ─▶ event_loop ┬▶ publisher ─▶ frames, pace, unconfirmed ┐
//!                       │                └▶ consumer                               ├▶ link ─▶ socket
//!                       │                       │ counts, latencies                ┘
//!                       └─ Report ◀─ tally ◀────┘
//! ```
//!
//! With `--verify` the frames carry marks, and an inspector at each consumer enters what arrives in a ledger.
//! What is no stream of messages has a module each, on the same links: `churn`, `idle`, and `expiry` with its
//! `probe`.
//!
//! It knows nothing of this broker: it stands on the codec alone.

mod address;
mod churn;
mod clock;
mod confirmed;
mod consumer;
mod control;
mod error;
mod event_loop;
mod expiry;
mod frames;
mod idle;
mod input;
mod inspector;
mod latency;
mod ledger;
mod link;
mod mark;
mod notice;
mod pace;
mod plan;
mod probe;
mod process;
mod progress;
mod publisher;
mod report;
mod run;
mod secure;
mod stamp;
mod tally;
mod topology;
mod unconfirmed;
mod uri;

pub use churn::{ChurnPlan, ChurnReport, Churned, churn};
pub use control::Control;
pub use error::PerfError;
pub use expiry::{ExpiryPlan, ExpiryReport, expire};
pub use idle::{Footprint, Idle, IdlePlan, IdleReport, idle};
pub use latency::Percentiles;
pub use ledger::Verified;
pub use plan::{Exchange, Plan, Queues, parse_arguments};
pub use process::ProcessUse;
pub use progress::Progress;
pub use report::{Phase, Report};
pub use run::run;
pub use secure::Tls;
pub use uri::Uri;
pub(crate) use uri::without_login;
