//! Methods that a broker sends of its own accord.

use amqp_codec::Method;

use super::PerfError;
use super::tally::Tally;

/// Takes in a method that nobody asked for.
pub(super) fn take_notice(payload: &[u8], tally: &mut Tally) -> Result<(), PerfError> {
    match Method::decode(payload)? {
        Method::ConnectionBlocked(blocked) => {
            tally.blocked = Some(blocked.reason.to_str_lossy().into_owned());
        }
        Method::ConnectionUnblocked(_) => tally.blocked = None,
        Method::BasicCancel(_) => return Err(PerfError::Cancelled),
        method => check_open(&method)?,
    }
    Ok(())
}

/// An error, if the method ends the connection or the channel.
pub(super) fn check_open(method: &Method) -> Result<(), PerfError> {
    let (scope, code, text) = match method {
        Method::ConnectionClose(close) => ("connection", close.reply_code, &close.reply_text),
        Method::ChannelClose(close) => ("channel", close.reply_code, &close.reply_text),
        _ => return Ok(()),
    };
    Err(PerfError::Closed { scope, code, text: text.to_str_lossy().into_owned() })
}
