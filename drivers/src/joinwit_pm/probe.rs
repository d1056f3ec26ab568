//! A frame that is sound and answers the connection is a Joinwit meter's.

use super::codec;
use crate::probe::{Class, Known, Talk};

/// Who answers.
pub(crate) async fn recognise(talk: &mut Talk<'_>) -> Option<Known> {
    let answer = talk.ask(codec::CONNECT_FRAME).await;
    let mut rest = &answer[..];
    while let Some(end) = codec::frame_end(rest) {
        if let Some(serial) = codec::connected(&rest[..end]) {
            return Some(Known::new("joinwit-pm", Class::Meter, codec::identity(serial)));
        }
        rest = &rest[end..];
    }
    None
}
