//! A device that says it is another one, or ends its lines otherwise: for trying a client against identities and
//! terminators. For devices that speak in lines of text.

use super::Device;

/// How a device is dressed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dress {
    /// Its answer to `*IDN?`, whole.
    pub identity: Option<String>,
    /// What ends each of its answers; its own line feed where not given.
    pub terminator: Option<Vec<u8>>,
}

impl Dress {
    /// Whether it changes anything.
    pub fn is_plain(&self) -> bool {
        *self == Dress::default()
    }
}

pub(crate) struct Dressed {
    inner: Box<dyn Device>,
    dress: Dress,
    /// The device's own answer to `*IDN?`, without its end.
    own: Vec<u8>,
}

impl Dressed {
    /// Asks the device who it is before any client can.
    pub(crate) fn new(mut inner: Box<dyn Device>, dress: Dress, now_s: f64) -> Dressed {
        /// Any device has answered by then.
        const LATER_S: f64 = 10.0;
        inner.receive(now_s, b"*IDN?\n");
        let own = inner.reply(now_s + LATER_S).unwrap_or_default();
        Dressed { inner, dress, own: own.trim_ascii_end().to_vec() }
    }

    fn dressed(&self, mut reply: Vec<u8>) -> Vec<u8> {
        if let Some(identity) = &self.dress.identity
            && !self.own.is_empty()
            && let Some(at) = reply.windows(self.own.len()).position(|w| w == self.own)
        {
            reply.splice(at..at + self.own.len(), identity.bytes());
        }
        if let Some(end) = &self.dress.terminator
            && reply.last() == Some(&b'\n')
        {
            reply.pop();
            if reply.last() == Some(&b'\r') {
                reply.pop();
            }
            reply.extend(end);
        }
        reply
    }
}

impl Device for Dressed {
    fn receive(&mut self, now_s: f64, bytes: &[u8]) {
        self.inner.receive(now_s, bytes);
    }

    fn due(&self) -> Option<f64> {
        self.inner.due()
    }

    fn reply(&mut self, now_s: f64) -> Option<Vec<u8>> {
        self.inner.reply(now_s).map(|reply| self.dressed(reply))
    }

    fn restart(&mut self, now_s: f64) {
        self.inner.restart(now_s);
    }

    fn refuse(&mut self, refuse: bool) {
        self.inner.refuse(refuse);
    }

    fn hang_up(&mut self) {
        self.inner.hang_up();
    }
}
