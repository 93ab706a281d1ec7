//! What paths name.

use std::sync::Arc;

use amqp_codec::ShortString;

use super::problem::Problem;
use super::site::Site;
use crate::broker::vhost::VHost;

/// How paths name the default exchange, whose name is empty.
pub(super) const DEFAULT_EXCHANGE: &str = "amq.default";

/// A name to look something up by. What is too long for one names nothing.
pub(super) fn name(text: &str) -> Result<ShortString, Problem> {
    ShortString::new(text).map_err(|_| Problem::not_found())
}

/// An exchange's name.
pub(super) fn exchange_name(text: &str) -> Result<ShortString, Problem> {
    if text == DEFAULT_EXCHANGE { Ok(ShortString::default()) } else { name(text) }
}

impl Site {
    /// The vhost that a path names, for those who see all of them.
    pub(super) fn vhost(&self, text: &str) -> Result<Arc<VHost>, Problem> {
        self.host().vhost(&name(text)?).ok_or_else(Problem::not_found)
    }
}
