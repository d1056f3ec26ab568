//! What `HLP?` lists for each family of controllers; clients decide by it what exists.

/// What all have.
const COMMON: &[&str] = &[
    "#3 Get Real-Time Position",
    "#4 Get Status Register",
    "#5 Request Motion Status",
    "#6 Query For Position Change",
    "#7 Request Controller Ready Status",
    "#8 Query If Macro Is Running",
    "#24 Stop All Axes",
    "*IDN? Get Device Identification",
    "CSV? Get Current Syntax Version",
    "ECO? <String> Echo A String",
    "ERR? Get Error Number",
    "HLP? Get List Of Available Commands",
    "HLT [{<AxisID>}] Halt Motion Smoothly",
    "HPA? Get List Of Available Parameters",
    "MOV {<AxisID> <Position>} Set Target Position",
    "MOV? [{<AxisID>}] Get Target Position",
    "MVR {<AxisID> <Distance>} Set Target Relative To Current Target",
    "NLM {<AxisID> <LowLimit>} Set Low Position Soft Limit",
    "NLM? [{<AxisID>}] Get Low Position Soft Limit",
    "ONT? [{<AxisID>}] Get On Target State",
    "PLM {<AxisID> <HighLimit>} Set High Position Soft Limit",
    "PLM? [{<AxisID>}] Get High Position Soft Limit",
    "POS? [{<AxisID>}] Get Real Position",
    "PUN? [{<AxisID>}] Get Position Unit",
    "RBT Reboot System",
    "SAI? [ALL] Get List Of Current Axis Identifiers",
    "SPA {<ItemID> <PamID> <PamValue>} Set Volatile Memory Parameters",
    "SPA? [{<ItemID> <PamID>}] Get Volatile Memory Parameters",
    "SSL {<AxisID> <SoftLimitsOn>} Set Soft Limit",
    "SSL? [{<AxisID>}] Get Soft Limit Status",
    "STP Stop All Axes",
    "SVO {<AxisID> <ServoState>} Set Servo Mode",
    "SVO? [{<AxisID>}] Get Servo Mode",
    "TMN? [{<AxisID>}] Get Minimum Commandable Position",
    "TMX? [{<AxisID>}] Get Maximum Commandable Position",
    "VER? Get Versions Of Firmware And Drivers",
];

/// Axes with a velocity each.
const AXES: &[&str] = &[
    "ACC? [{<AxisID>}] Get Closed-Loop Acceleration",
    "DEC? [{<AxisID>}] Get Closed-Loop Deceleration",
    "VEL {<AxisID> <Velocity>} Set Closed-Loop Velocity",
    "VEL? [{<AxisID>}] Get Closed-Loop Velocity",
];

/// Stages with switches.
const STAGES: &[&str] = &[
    "CST {<AxisID> <StageName>} Set Assignment Of Stages To Axes",
    "CST? [{<AxisID>}] Get Assignment Of Stages To Axes",
    "DFH [{<AxisID>}] Define Home Position",
    "DFH? [{<AxisID>}] Get Home Position Definition",
    "FNL [{<AxisID>}] Fast Reference Move To Negative Limit",
    "FPL [{<AxisID>}] Fast Reference Move To Positive Limit",
    "FRF [{<AxisID>}] Fast Reference Move To Reference Switch",
    "FRF? [{<AxisID>}] Get Referencing Result",
    "GOH [{<AxisID>}] Go To Home Position",
    "LIM? [{<AxisID>}] Indicate Limit Switches",
    "POS {<AxisID> <Position>} Set Real Position",
    "RON {<AxisID> <ReferenceOn>} Set Reference Mode",
    "RON? [{<AxisID>}] Get Reference Mode",
    "TRS? [{<AxisID>}] Indicate Reference Switch",
    "VST? Get List Of Available Stages",
];

/// Lines and the data recorder, of all.
const LINES: &[&str] = &[
    "DIO {<DIOID> <OutputOn>} Set Digital Output Lines",
    "DIO? [{<DIOID>}] Get Digital Input Lines",
    "DRC {<RecTableID> <Source> <RecOption>} Set Data Recorder Configuration",
    "DRC? [{<RecTableID>}] Get Data Recorder Configuration",
    "DRL? [{<RecTableID>}] Get Number Of Recorded Points",
    "DRR? [<StartPoint> <NumberOfPoints> [{<RecTableID>}]] Get Recorded Data Values",
    "DRT {<RecTableID> <TriggerSource> <Value>} Set Data Recorder Trigger Source",
    "DRT? [{<RecTableID>}] Get Data Recorder Trigger Source",
    "HDR? Get All Data Recorder Options",
    "NAV {<AnalogInputID> <NoReadings>} Set Number Of Readings To Be Averaged",
    "NAV? [{<AnalogInputID>}] Get Number Of Readings To Be Averaged",
    "RTR <RecordTableRate> Set Record Table Rate",
    "RTR? Get Record Table Rate",
    "SGA {<AnalogInputID> <Gain>} Set Gain Of Analog Input",
    "SGA? [{<AnalogInputID>}] Get Gain Of Analog Input",
    "TAC? Tell Analog Channels",
    "TAD? [{<AnalogInputID>}] Get ADC Value Of Input Signal",
    "TAV? [{<AnalogInputID>}] Get Analog Input Voltage",
    "TIO? Tell Digital I/O Lines",
    "TNR? Get Number Of Record Tables",
];

/// Controllers that align.
const ALIGNMENT: &[&str] = &[
    "FDG <Name> <ScanAxis> <StepAxis> [ML <v>] [A <v>] [MIA <v>] [MAA <v>] [F <v>] [SP <v>] [V <v>] [MDC <v>] [SPO <v>] Define Gradient Search",
    "FDL <Name> <ScanAxis> <Range> <StepAxis> <Range> [S <v>] [C <v>] [A <v>] [MT <v>] [MP1 <v>] [MP2 <v>] [CP1 <v>] [CP2 <v>] Define First Light Search",
    "FDR <Name> <ScanAxis> <Range> <StepAxis> <Range> [L <v>] [A <v>] [F <v>] [V <v>] [MP1 <v>] [MP2 <v>] [TT <v>] [CM <v>] [MIIL <v>] [MAIL <v>] [ST <v>] Define Area Scan",
    "FGC <Name> <ScanCentre> <StepCentre> Change Centre Of Gradient Search",
    "FGC? [{<Name>}] Get Centre Of Gradient Search",
    "FRC <Base> {<Coupled>} Couple Routines",
    "FRC? [{<Base>}] Get Coupled Routines",
    "FRH? Get Help About Results",
    "FRP {<Name> <Action>} Stop, Pause Or Resume Routine",
    "FRP? [{<Name>}] Get State Of Routine",
    "FRR? [{<Name> <ResultID>}] Get Results Of Routine",
    "FRS {<Name>} Start Routine",
    "SIC <InputID> <CalcType> [{<Parameter>}] Set Calculation Of Input",
    "SIC? [{<InputID>}] Get Calculation Of Input",
    "TCI? [{<InputID>}] Get Calculated Value Of Input",
];

/// A hexapod.
const HEXAPOD: &[&str] = &[
    "CST? [{<AxisID>}] Get Assignment Of Stages To Axes",
    "FRF [{<AxisID>}] Fast Reference Move To Reference Switch",
    "FRF? [{<AxisID>}] Get Referencing Result",
    "GOH [{<AxisID>}] Go To Home Position",
    "KCP {<Source> <Dest>} Copy Coordinate System",
    "KEN <CSName> Enable Coordinate System",
    "KEN? [{<CSName>}] Get Enabled Coordinate Systems",
    "KET? [{<CSType>}] Get Enabled Coordinate Systems By Type",
    "KLN {<Child> <Parent>} Link Coordinate Systems",
    "KLN? [{<CSName>}] Get Chains Of Coordinate Systems",
    "KLS? [<CSName> [<Item> [<Item>]]] Get Properties Of Coordinate Systems",
    "KLT? [<Start> [<End>]] Get Position Resulting From A Chain",
    "KRM <CSName> Remove Coordinate System",
    "KSD <CSName> {<AxisID> <Value>} Define Directed Coordinate System",
    "KSF <CSName> Define Coordinate System Here",
    "KST <CSName> {<AxisID> <Value>} Define Tool Coordinate System",
    "KSW <CSName> {<AxisID> <Value>} Define Work Coordinate System",
    "LIM? [{<AxisID>}] Indicate Limit Switches",
    "RON {<AxisID> <ReferenceOn>} Set Reference Mode",
    "RON? [{<AxisID>}] Get Reference Mode",
    "SPI {<Coordinate> <Position>} Set Pivot Point",
    "SPI? [{<Coordinate>}] Get Pivot Point",
    "TRA? {<AxisID> <Component>} Get Maximum Absolute Position Which Can Be Reached",
    "TRS? [{<AxisID>}] Indicate Reference Switch",
    "VLS <Velocity> Set System Velocity",
    "VLS? Get System Velocity",
    "VMO? {<AxisID> <Position>} Virtual Move",
];

/// Piezo axes.
const PIEZO: &[&str] = &[
    "ATZ [{<AxisID> <LowVoltage>}] Set Automatic Zero Point Calibration",
    "ATZ? [{<AxisID>}] Get State Of Automatic Zero Point Calibration",
    "OVF? [{<AxisID>}] Get Overflow State",
    "TPC? Get Number Of Piezo Channels",
    "VOL? [{<ChannelID>}] Get Voltage Of Output Signal Channel",
];

/// The lines of a family.
pub(super) fn lines(hexapod: bool, piezo: bool) -> impl Iterator<Item = &'static str> {
    let parts: &[&[&str]] = match (hexapod, piezo) {
        (true, _) => &[COMMON, LINES, ALIGNMENT, HEXAPOD],
        (_, true) => &[COMMON, AXES, LINES, ALIGNMENT, PIEZO],
        _ => &[COMMON, AXES, STAGES, LINES],
    };
    parts.iter().copied().flatten().copied()
}
