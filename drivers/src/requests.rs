//! Which requests each driver sends, by their forms. A list that cannot fall behind: in builds with debug assertions a line
//! refuses to send what its driver's list does not have. It is what UNPROVEN.md is made from.

/// What a driver sends.
#[derive(Debug, Clone, Copy)]
pub struct Requests {
    /// The forms: numbers are `#`, a control byte is `#` with its number, a `*` at the end stands for names. A message of a
    /// binary protocol is its number in hexadecimal.
    pub forms: &'static [&'static str],
    /// Forms that only one of a driver's ways of connecting has.
    pub more: &'static [&'static str],
    cut: fn(&[u8]) -> Vec<String>,
}

impl Requests {
    /// Anything: for a line whose driver is not known yet.
    pub const ANY: Requests = Requests { forms: &[], more: &[], cut: |_| Vec::new() };

    /// Whether everything that these bytes ask for is on the list.
    pub(crate) fn have(&self, bytes: &[u8]) -> bool {
        (self.cut)(bytes).iter().all(|said| self.forms.iter().chain(self.more).any(|form| is(said, form)))
    }
}

/// Whether what was said has a form; behind it may stand numbers, and where it ends with `*` anything.
fn is(said: &str, form: &str) -> bool {
    let (form, names) = form.strip_suffix('*').map_or((form, false), |bare| (bare, true));
    let Some(rest) = said.strip_prefix(form) else { return false };
    let numbers = |c: char| matches!(c, '#' | ' ' | ',');
    names && (form.ends_with(' ') || !rest.starts_with('?')) || rest.chars().all(numbers)
}

/// Commands of text, joined by line ends or semicolons, with `#` in place of numbers.
fn texts(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let commands = text.split(['\r', '\n', ';']).filter(|c| !c.is_empty());
    commands.map(|command| numberless(without_checksum(command))).collect()
}

/// A command of the ASCII protocol of Zaber without its checksum.
fn without_checksum(command: &str) -> &str {
    if command.starts_with('/') { command.rsplit_once(':').map_or(command, |(bare, _)| bare) } else { command }
}

/// Signs, digits, points and exponents of each number become one `#`; a control byte `#` and its number.
fn numberless(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_ascii_control() {
            out += &format!("#{}", u32::from(c));
        } else if c.is_ascii_digit()
            || matches!(c, '-' | '+' | '.') && rest.peek().is_some_and(|next| matches!(next, '0'..='9' | '.'))
        {
            while rest.next_if(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+')).is_some() {}
            // An exponent, but not the letter of a unit or of the next word.
            let mut ahead = rest.clone();
            if matches!(ahead.next(), Some('E' | 'e'))
                && ahead.peek().is_some_and(|c| matches!(c, '0'..='9' | '-' | '+'))
            {
                rest.next();
                while rest.next_if(|c| c.is_ascii_digit() || matches!(c, '-' | '+')).is_some() {}
            }
            out.push('#');
        } else {
            out.push(c);
        }
    }
    out
}

const fn text(forms: &'static [&'static str]) -> Requests {
    Requests { forms, more: &[], cut: texts }
}

/// Of the driver of a word; `None` where there is none.
pub fn of(driver: &str) -> Option<Requests> {
    Some(match driver {
        "pi-gcs2" => PI_GCS2,
        "zaber-ascii" => ZABER_ASCII,
        "thorlabs-apt" => THORLABS_APT,
        "newport-smc" => NEWPORT_SMC,
        "newport-esp" => NEWPORT_ESP,
        "thorlabs-pm" => THORLABS_PM,
        "thorlabs-pm-lan" => THORLABS_PM_LAN,
        "keysight-pm" => KEYSIGHT_PM,
        "joinwit-pm" => JOINWIT_PM,
        "newport-1830" => NEWPORT_1830,
        "newport-1936" => NEWPORT_1936,
        "keysight-laser" => KEYSIGHT_LASER,
        "santec-tsl" => SANTEC_TSL,
        "dicon-switch" => DICON_SWITCH,
        _ => return None,
    })
}

pub(crate) const PI_GCS2: Requests = text(&[
    "*IDN?", "CSV?", "HLP?", "SAI?", "KEN?", "ERR?", "#5", "#7", "#24", "PUN? *", "TMN? *", "TMX? *", "NLM *",
    "NLM? *", "PLM *", "PLM? *", "SSL *", "SSL? *", "SVO *", "SVO? *", "RON *", "RON? *", "FRF *", "FRF? *", "VEL *",
    "VEL? *", "VLS #", "VLS?", "POS? *", "MOV *", "MOV? *", "MVR *", "ONT? *", "SPI *", "SPI? *", "TCI? *", "SPA? *",
    "DRC *", "DRT #", "RTR #", "DRL? #", "DRR? #", "FDR *", "FDG *", "FRS #", "FRP #", "FRP? #", "FRR? #",
]);
pub(crate) const ZABER_ASCII: Requests = text(&[
    "/# # #",
    "/# # # home",
    "/# # # move abs #",
    "/# # # stop",
    "/# # stop",
    "/# # # warnings",
    "/# # # warnings clear",
    "/# # # driver enable",
    "/# # # get comm.alert",
    "/# # # get comm.checksum",
    "/# # # get deviceid",
    "/# # # get limit.away.pos",
    "/# # # get limit.home.pos",
    "/# # # get limit.max",
    "/# # # get limit.min",
    "/# # # get maxspeed",
    "/# # # get peripheralid",
    "/# # # get pos",
    "/# # # get resolution",
    "/# # # get system.axiscount",
    "/# # # get system.serial",
    "/# # # get version",
    "/# # # set comm.alert",
    "/# # # set comm.checksum",
    "/# # # set limit.max",
    "/# # # set limit.min",
    "/# # # set maxspeed",
]);
pub(crate) const THORLABS_APT: Requests = Requests {
    more: &[],
    forms: &[
        "0x0005", "0x0012", "0x0060", "0x0210", "0x0211", "0x0413", "0x0414", "0x0423", "0x0424", "0x0443", "0x0453",
        "0x0465", "0x046B", "0x0480", "0x0490", "0x0603", "0x0604", "0x0606", "0x0607", "0x0609", "0x0610", "0x0612",
        "0x0613", "0x0618", "0x0619", "0x0626", "0x0627", "0x0630", "0x0631", "0x0633", "0x0634", "0x0639", "0x0640",
        "0x0641", "0x0646", "0x0650", "0x0658", "0x0660",
    ],
    cut: |bytes| vec![bytes.first_chunk().map(|id| format!("0x{:04X}", u16::from_le_bytes(*id))).unwrap_or_default()],
};
pub(crate) const NEWPORT_SMC: Requests = text(&[
    "#VE", "#ID?", "#TS", "#TE", "#TP", "#TH", "#MM#", "#OR", "#PA#", "#PA?", "#RS", "#SL#", "#SL?", "#SR#", "#SR?",
    "#VA#", "#VA?", "ST",
]);
pub(crate) const NEWPORT_ESP: Requests = text(&[
    "VE?", "TB?", "ST", "#SN?", "#MO", "#MO?", "#MD?", "#OR", "#PA#", "#DP?", "#TP?", "#SL#", "#SL?", "#SR#", "#SR?",
    "#VA#", "#VA?",
]);
pub(crate) const THORLABS_PM: Requests = text(&[
    "*IDN?",
    "*CLS",
    "ABOR",
    "CONF#:POW",
    "CONF#?",
    "CONF:POW",
    "CONF?",
    "INP#:FILT #",
    "INP#:FILT?",
    "INP:FILT #",
    "INP:FILT?",
    "READ?",
    "SENS#:AVER:COUN #",
    "SENS#:AVER:COUN?",
    "SENS#:CORR:COLL:ZERO:ABOR",
    "SENS#:CORR:COLL:ZERO:INIT",
    "SENS#:CORR:COLL:ZERO:STAT?",
    "SENS#:CORR:LOSS #",
    "SENS#:CORR:LOSS?",
    "SENS#:CORR:WAV #",
    "SENS#:CORR:WAV?",
    "SENS#:POW:RANG #",
    "SENS#:POW:RANG:AUTO #",
    "SENS#:POW:RANG:AUTO?",
    "SENS#:POW:RANG?",
    "SENS#:POW:REF:STAT #",
    "SENS#:POW:REF:STAT?",
    "SENS#:POW:UNIT W",
    "SENS#:POW:UNIT?",
    "SENS:AVER:COUN #",
    "SENS:AVER:COUN?",
    "SENS:CORR:COLL:ZERO:ABOR",
    "SENS:CORR:COLL:ZERO:INIT",
    "SENS:CORR:COLL:ZERO:STAT?",
    "SENS:CORR:LOSS #",
    "SENS:CORR:LOSS?",
    "SENS:CORR:WAV #",
    "SENS:CORR:WAV?",
    "SENS:POW:RANG #",
    "SENS:POW:RANG:AUTO #",
    "SENS:POW:RANG:AUTO?",
    "SENS:POW:RANG?",
    "SENS:POW:REF:STAT #",
    "SENS:POW:REF:STAT?",
    "SENS:POW:UNIT W",
    "SENS:POW:UNIT?",
    "SENS:SER:JAB #",
    "SYST:ERR?",
    "SYST:SENS#:IDN?",
    "SYST:SENS:IDN?",
]);
/// Over Ethernet a PM103E and a PM5020 stream, and the two channels of the latter are read at once.
pub(crate) const THORLABS_PM_LAN: Requests =
    Requests { more: &["ACQ#:FAST:FETC?", "ACQ#:FAST:POW", "ACQ#:FAST:RESET", "MEAS:SIMU?"], ..THORLABS_PM };
pub(crate) const KEYSIGHT_PM: Requests = text(&[
    "*IDN?",
    "*CLS",
    "*OPC?",
    "SYST:ERR?",
    "INIT#:CONT #",
    "INIT#:CONT?",
    "READ:POW:ALL?",
    "READ:POW:ALL:CONF?",
    "SENS#:CORR:COLL:ZERO:ALL",
    "SENS#:CORR:COLL:ZERO?",
    "SENS#:FUNC:STAT *",
    "SENS#:FUNC:STAT?",
    "SENS#:FUNC:PAR:LOGG #",
    "SENS#:FUNC:PAR:LOGG?",
    "SENS#:POW:ATIM #",
    "SENS#:POW:ATIM?",
    "TRIG#:INP *",
    "TRIG#:INP?",
    "SENS#:CORR #",
    "SENS#:CORR?",
    "SENS#:FUNC:RES?",
    "SENS#:FUNC:RES:BLOC? #",
    "SENS#:POW:RANG #DBM",
    "SENS#:POW:RANG?",
    "SENS#:POW:RANG:AUTO #",
    "SENS#:POW:RANG:AUTO?",
    "SENS#:POW:REF:STAT #",
    "SENS#:POW:REF:STAT?",
    "SENS#:POW:UNIT #",
    "SENS#:POW:UNIT?",
    "SENS#:POW:WAV #NM",
    "SENS#:POW:WAV?",
    "SENS#:CHAN#:CORR #",
    "SENS#:CHAN#:CORR?",
    "SENS#:CHAN#:FUNC:RES?",
    "SENS#:CHAN#:FUNC:RES:BLOC? #",
    "SENS#:CHAN#:POW:RANG #DBM",
    "SENS#:CHAN#:POW:RANG?",
    "SENS#:CHAN#:POW:RANG:AUTO #",
    "SENS#:CHAN#:POW:RANG:AUTO?",
    "SENS#:CHAN#:POW:REF:STAT #",
    "SENS#:CHAN#:POW:REF:STAT?",
    "SENS#:CHAN#:POW:UNIT #",
    "SENS#:CHAN#:POW:UNIT?",
    "SENS#:CHAN#:POW:WAV #NM",
    "SENS#:CHAN#:POW:WAV?",
]);
pub(crate) const JOINWIT_PM: Requests = Requests {
    more: &[],
    forms: &["0x0140", "0x0160", "0x0164", "0x0730"],
    // Head, address and length come before the command.
    cut: |bytes| {
        let command = bytes.get(3..5).and_then(<[u8]>::first_chunk);
        vec![command.map(|id| format!("0x{:04X}", u16::from_be_bytes(*id))).unwrap_or_default()]
    },
};
pub(crate) const NEWPORT_1830: Requests =
    text(&["A#", "A?", "C", "D?", "E#", "F#", "F?", "G#", "G?", "Q?", "R#", "R?", "U#", "U?", "W#", "W?", "Z#", "Z?"]);
pub(crate) const NEWPORT_1936: Requests = text(&[
    "*IDN?",
    "ECHO #",
    "ERRSTR?",
    "PM:ATT #",
    "PM:ATT?",
    "PM:AUTO #",
    "PM:AUTO?",
    "PM:CHAN #",
    "PM:CHAN?",
    "PM:DIGITALFILTER #",
    "PM:DIGITALFILTER?",
    "PM:FILT #",
    "PM:FILT?",
    "PM:L #",
    "PM:L?",
    "PM:MAX:Power?",
    "PM:MODE #",
    "PM:MODE?",
    "PM:PWS?",
    "PM:RAN #",
    "PM:RAN?",
    "PM:RUN #",
    "PM:RUN?",
    "PM:UNIT #",
    "PM:UNIT?",
    "PM:ZEROSTO",
    "PM:ZEROVAL #",
    "PM:ZEROVAL?",
]);
pub(crate) const KEYSIGHT_LASER: Requests = text(&[
    "*IDN?",
    "*CLS",
    "*OPC?",
    "SYST:ERR?",
    "LOCK?",
    "POW?",
    "POW:STAT?",
    "SOUR#:POW #DBM",
    "SOUR#:POW:STAT #",
    "SOUR#:POW:UNIT #",
    "SOUR#:POW:UNIT?",
    "SOUR#:WAV #NM",
    "SOUR#:WAV?",
]);
pub(crate) const SANTEC_TSL: Requests = text(&[
    "*IDN?",
    "*CLS",
    "*OPC?",
    "SYST:ERR?",
    ":POW #",
    ":POW?",
    ":POW:SHUT #",
    ":POW:SHUT?",
    ":POW:STAT #",
    ":POW:STAT?",
    ":POW:UNIT #",
    ":POW:UNIT?",
    ":SYST:COMM:CODE #",
    ":SYST:COMM:CODE?",
    ":WAV #",
    ":WAV?",
    ":WAV:SWE #",
]);
pub(crate) const DICON_SWITCH: Requests = text(&["*IDN?", "SYST:CONF?", "SYST:ERR?", "X# CH #", "X# CH #?", "X# DIM?"]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_on_the_list_by_its_form_and_no_other_is() {
        let check = |of: Requests, said: &[u8], has: bool| assert_eq!(of.have(said), has, "{}", said.escape_ascii());
        check(PI_GCS2, b"MOV 1 -2.5E-3 X 4\nERR?\n", true);
        check(PI_GCS2, b"\x18", true);
        check(PI_GCS2, b"\x19", false);
        check(PI_GCS2, b"MOVE 1 2\n", false);
        check(PI_GCS2, b"POS? 1\nXYZ?\n", false);
        check(ZABER_ASCII, b"/1 2 04 get system.serial:1B\n", true);
        check(ZABER_ASCII, b"/1 2 04 get system:1B\n", false);
        check(ZABER_ASCII, b"/1 2 04:1B\n", true);
        check(NEWPORT_SMC, b"1PA0.5\r\n1TE\r\n", true);
        check(NEWPORT_SMC, b"1PA?\r\n", true);
        check(NEWPORT_SMC, b"1TE?\r\n", false);
        check(NEWPORT_ESP, b"1PA1.25;2PA-3\rTB?\r", true);
        check(THORLABS_APT, &[0x90, 4, 1, 0, 0x50, 1], true);
        check(THORLABS_APT, &[0x91, 4, 1, 0, 0x50, 1], false);
        check(KEYSIGHT_LASER, b"SOUR0:WAV 1550.0000NM\n", true);
        check(KEYSIGHT_LASER, b"SOUR0:WAV 1550.0000PM\n", false);
        check(JOINWIT_PM, b"\x7b\xff\x05\x01\x40\x40\x7d", true);
        check(JOINWIT_PM, b"\x7b", false);
        check(Requests::ANY, b"anything", true);
    }
}
