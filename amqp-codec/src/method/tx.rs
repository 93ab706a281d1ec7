//! Class tx: publishes and acknowledgements that count together or not at all.

use super::table::class;

class! {
    90;

    /// makes the channel transactional.
    10 "tx.select" Select {};

    /// the channel is transactional.
    11 "tx.select-ok" SelectOk {};

    /// makes everything since the last commit or rollback count.
    20 "tx.commit" Commit {};

    /// it counts.
    21 "tx.commit-ok" CommitOk {};

    /// forgets everything since the last commit or rollback.
    30 "tx.rollback" Rollback {};

    /// it is forgotten.
    31 "tx.rollback-ok" RollbackOk {};
}
