//! What is in force for a queue or an exchange: its arguments, the policy and the operator policy that
//! match it, merged.

use amqp_codec::{FieldTable, FieldValue};

use super::policy::Policy;

/// The three places a setting can come from.
///
/// As in RabbitMQ: of a number the smallest is in force; of anything else the argument, then the operator
/// policy, then the policy. A value of another type than asked for does not count: validation refuses
/// those where it acts on them.
#[derive(Debug, Clone, Copy)]
pub struct Sources<'a> {
    /// What it was declared with.
    pub arguments: &'a FieldTable,
    /// The policy that matches it.
    pub policy: Option<&'a Policy>,
    /// The operator policy that matches it.
    pub operator: Option<&'a Policy>,
}

impl<'a> Sources<'a> {
    /// The arguments alone, where no policy matches.
    pub fn arguments_only(arguments: &'a FieldTable) -> Self {
        Self { arguments, policy: None, operator: None }
    }

    /// The smallest number that one of them sets, for limits and times.
    ///
    /// A negative number is "no limit" (`delivery-limit`): it never wins over one that is.
    pub fn integer(&self, argument: &str, key: &str) -> Option<u64> {
        let numbers = self.strongest_first(argument, key);
        numbers.filter_map(FieldValue::as_integer).filter_map(|n| u64::try_from(n).ok()).min()
    }

    /// The text that the strongest of them sets, for names and modes.
    pub fn text(&self, argument: &str, key: &str) -> Option<&'a [u8]> {
        self.strongest_first(argument, key).find_map(|value| match value {
            FieldValue::LongString(text) => Some(&text[..]),
            _ => None,
        })
    }

    /// What the argument, the operator policy and the policy say, in this order, as they say it.
    pub fn strongest_first(
        &self,
        argument: &str,
        key: &str,
    ) -> impl Iterator<Item = &'a FieldValue> + use<'a> {
        let by_policies = [self.operator, self.policy].map(|policy| policy?.get(key));
        std::iter::once(self.arguments.get(argument)).chain(by_policies).flatten()
    }
}

#[cfg(test)]
mod tests;
